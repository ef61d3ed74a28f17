//! Where the laws take their choices from: a list of numbers that proptest makes, and makes smaller when it finds a
//! failure. A zero, and whatever lies behind the end, is the plain choice.

use proptest::prelude::*;

/// The choices of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tape {
    numbers: Vec<u32>,
    at: usize,
}

impl Tape {
    /// Tapes of up to `len` choices.
    pub fn strategy(len: usize) -> impl Strategy<Value = Self> {
        proptest::collection::vec(any::<u32>(), 0..=len).prop_map(|numbers| Self { numbers, at: 0 })
    }

    /// A tape of these choices.
    #[must_use]
    pub fn of(numbers: Vec<u32>) -> Self {
        Self { numbers, at: 0 }
    }

    /// A tape on which every choice is the plain one.
    #[must_use]
    pub fn plain() -> Self {
        Self { numbers: Vec::new(), at: 0 }
    }

    /// A number below `bound`; 0 is the plain choice, and all there is when `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let number = self.numbers.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        number as usize % bound.max(1)
    }

    /// Something rare happens: once in `odds`, and never by the plain choice.
    pub fn rarely(&mut self, odds: usize) -> bool {
        self.below(odds) == odds - 1
    }
}
