//! Durations and sizes as people write them: `30s`, `5d`, `50MB`.

use std::time::Duration;

/// `500ms`, `30s`, `2m`, `1h`, `5d`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 3600 * 1000,
        "d" => 24 * 3600 * 1000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

/// `512B`, `64KB`, `50MB`, `2GB`, each unit 1,024 of the one before; `KiB` and so on mean the same.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let unit = match unit.to_ascii_uppercase().as_str() {
        "B" => 1,
        "KB" | "KIB" | "K" => 1 << 10,
        "MB" | "MIB" | "M" => 1 << 20,
        "GB" | "GIB" | "G" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// A number in plain digits, and what stands behind it.
fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim_start_matches(' ')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [("30s", 30), ("2m", 120), ("1h", 3600), ("5d", 432_000), ("0s", 0), ("1 h", 3600)] {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        for bad in ["", "5", "s", "-5s", "+5s", "5 days", "1.5h", "5S", "99999999999999999999s", "213503982335d"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("50MB", 50 << 20), ("64KiB", 65_536), ("1g", 1 << 30), ("10 kb", 10_240), ("7B", 7)] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for bad in ["", "50", "MB", "-1MB", "5 apples", "99999999999GB"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }
}
