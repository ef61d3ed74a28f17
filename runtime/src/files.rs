//! The limit on open files: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit on open files towards `wanted`, as far as the hard one lets us, and says what holds then. It
/// never lowers the limit. Most systems start a process with 1,024 and allow far more.
pub fn raise_open_files(wanted: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // `None` is "no limit".
    let Some(current) = limit.current else {
        return u64::MAX;
    };
    let aim = limit.maximum.map_or(wanted, |maximum| wanted.min(maximum));
    if aim <= current {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(aim), maximum: limit.maximum }) {
        Ok(()) => aim,
        Err(_) => current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_lowers() {
        let before = raise_open_files(0);
        assert!(raise_open_files(before.saturating_add(1)) >= before);
        assert_eq!(raise_open_files(10), raise_open_files(0));
    }
}
