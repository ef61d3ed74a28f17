//! Numbers, durations and faults, as people read them.

use std::collections::BTreeMap;
use std::time::Duration;

use pillarbox_sim::FaultKind;

/// A number, its thousands apart.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// So many of these.
pub(super) fn some(count: usize, what: &str) -> String {
    format!("{} {what}{}", number(count as u64), if count == 1 { "" } else { "s" })
}

/// A duration in the two largest units that it has.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match () {
        () if days > 0 => format!("{} d {hours} h", number(days)),
        () if hours > 0 => format!("{hours} h {minutes} min"),
        () if minutes > 0 => format!("{minutes} min {} s", seconds % 60),
        () if seconds > 0 => format!("{seconds} s"),
        () => format!("{} ms", duration.as_millis()),
    }
}

/// Faults by kind, the most frequent first.
pub(super) fn faults(faults: &BTreeMap<FaultKind, u64>) -> String {
    if faults.is_empty() {
        return "nothing goes wrong".to_owned();
    }
    let mut by_count: Vec<_> = faults.iter().collect();
    by_count.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let words: Vec<_> = by_count.iter().map(|(kind, count)| format!("{kind} {}", number(**count))).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_are_readable() {
        assert_eq!([0, 999, 1000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(some(1, "machine"), "1 machine");
        assert_eq!(some(2000, "machine"), "2,000 machines");
        assert_eq!(
            [5, 5_000, 65_000, 3_661_000, 90_000_000].map(|ms| duration(Duration::from_millis(ms))),
            ["5 ms", "5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]
        );
    }
}
