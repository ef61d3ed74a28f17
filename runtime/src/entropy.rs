//! Randomness from the operating system, for the seeds of machines.

use std::io;

use pillarbox_core::Seed;

/// A seed that nobody can guess.
///
/// # Errors
/// When the operating system has no randomness to give. There is nothing to fall back on: a machine with a guessable
/// seed draws guessable DNS ids.
pub fn seed() -> io::Result<Seed> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(format!("no randomness to be had: {error}")))?;
    Ok(Seed(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_seeds_are_alike() {
        assert_ne!(seed().unwrap(), seed().unwrap());
    }
}
