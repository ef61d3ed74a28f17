//! Randomness as data: a machine draws from the [`Seed`] it was given, so the same seed gives the same run.
//!
//! Production fills the seed from the operating system; the simulator counts. The generator is ChaCha20, because DNS
//! query ids and source ports must not be guessable from the ones already seen (RFC 5452 §4).

use core::fmt;
use core::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// 256 bits from which a machine draws all its randomness.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed(pub [u8; 32]);

impl Seed {
    /// A seed for tests and simulations: the same number, the same run.
    #[must_use]
    pub fn number(n: u64) -> Self {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&n.to_le_bytes());
        Self(seed)
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// The generator a machine grows from its seed.
pub struct Random(ChaCha20Rng);

impl Random {
    /// The stream of numbers that belongs to `seed`.
    #[must_use]
    pub fn new(seed: &Seed) -> Self {
        Self(ChaCha20Rng::from_seed(seed.0))
    }

    /// A seed for a machine inside this one; its stream does not overlap with ours.
    pub fn seed(&mut self) -> Seed {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        Seed(seed)
    }

    /// 16 random bits, as a DNS id wants them.
    pub fn u16(&mut self) -> u16 {
        (self.0.next_u32() >> 16) as u16
    }

    /// 64 random bits.
    pub fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0..bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        // Multiply-shift: the bias is below 2^-32 for every bound that fits in memory here.
        ((u128::from(self.0.next_u64()) * bound as u128) >> 64) as usize
    }

    /// Puts `items` in random order (Fisher-Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// `around` give or take `percent` per cent, so that what failed together does not come back together.
    pub fn jitter(&mut self, around: Duration, percent: u32) -> Duration {
        let millis = u64::try_from(around.as_millis()).unwrap_or(u64::MAX / 400);
        let spread = millis / 100 * u64::from(percent.min(100)) + millis % 100 * u64::from(percent.min(100)) / 100;
        let drawn = self.below(usize::try_from(spread * 2 + 1).unwrap_or(usize::MAX)) as u64;
        Duration::from_millis((millis - spread).saturating_add(drawn))
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let (mut a, mut b) = (Random::new(&Seed::number(7)), Random::new(&Seed::number(7)));
        assert_eq!([a.u64(), a.u64()], [b.u64(), b.u64()]);
        assert_ne!(Random::new(&Seed::number(8)).u64(), Random::new(&Seed::number(7)).u64());
    }

    #[test]
    fn jitter_stays_in_its_band() {
        let mut random = Random::new(&Seed::number(1));
        for _ in 0..1000 {
            let drawn = random.jitter(Duration::from_secs(100), 20).as_secs_f64();
            assert!((80.0..=120.0).contains(&drawn), "{drawn}");
        }
        assert_eq!(random.jitter(Duration::ZERO, 20), Duration::ZERO);
    }
}
