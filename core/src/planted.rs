//! Mistakes that are made on purpose, to see whether the tests find them.
//!
//! Each is one that a programmer could make in good faith. They exist in builds with the feature `planted` alone, where
//! at most one of them is there at a time, chosen at run time; in every other build [`is`] is `false`, and the compiler
//! takes the mistake out.

use core::fmt;
use core::str::FromStr;

macro_rules! bugs {
    ($($(#[$doc:meta])* $name:ident = $words:literal,)*) => {
        /// A mistake.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Bug { $($(#[$doc])* $name,)* }

        impl Bug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name on a command line.
            #[must_use]
            pub fn words(self) -> &'static str {
                match self { $(Self::$name => $words,)* }
            }
        }
    };
}

bugs! {
    /// A disk says that it has written what it has only heard.
    DropTheFsync = "drop-the-fsync",
    /// A message is acknowledged when the store was asked, and not when it has answered.
    AnswerBeforeCommit = "answer-before-commit",
    /// One of the recipients of a message is left out of what the store is given.
    ForgetARecipient = "forget-a-recipient",
    /// What waits for its next attempt when a server is started again is passed over.
    LoseARetryOnRestart = "lose-a-retry-on-restart",
    /// A connection that breaks behind the 250 is taken for one that broke before it.
    DoubleADeliveryAfterAReset = "double-a-delivery-after-a-reset",
    /// The queue does not say when it wants to look at the store again.
    ADeadlineThatLies = "a-deadline-that-lies",
    /// When the store fails, whoever asked is not told.
    ALeakedTicket = "a-leaked-ticket",
    /// The least preferred exchanger is tried first.
    AWrongMxOrder = "a-wrong-mx-order",
    /// A report goes to the recipient that failed, and not to the sender.
    ABounceToAStranger = "a-bounce-to-a-stranger",
    /// What is marked as deleted is deleted, whether there was a QUIT or not.
    APop3DeleteWithoutQuit = "a-pop3-delete-without-quit",
    /// The next UID is one more than the largest that is there, and what was removed is forgotten.
    AUidGivenTwice = "a-uid-given-twice",
    /// What another session has removed is not taken into the view.
    AnExpungeNotTold = "an-expunge-not-told",
    /// Flags are changed, and the message keeps its mod-sequence.
    AFlagWithoutAModseq = "a-flag-without-a-modseq",
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// There is no such mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchBug;

impl fmt::Display for NoSuchBug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such mistake: there are")?;
        Bug::ALL.iter().try_for_each(|bug| write!(f, " {bug}"))
    }
}

impl core::error::Error for NoSuchBug {}

impl FromStr for Bug {
    type Err = NoSuchBug;

    fn from_str(words: &str) -> Result<Self, NoSuchBug> {
        Self::ALL.iter().copied().find(|bug| bug.words() == words).ok_or(NoSuchBug)
    }
}

#[cfg(feature = "planted")]
mod planted_now {
    use core::sync::atomic::{AtomicUsize, Ordering};

    use super::Bug;

    /// One more than the mistake's place among all; 0 when there is none.
    static PLANTED: AtomicUsize = AtomicUsize::new(0);

    /// From now on there is this mistake, or none, in the whole process.
    pub fn plant(bug: Option<Bug>) {
        let place = bug.and_then(|bug| Bug::ALL.iter().position(|other| *other == bug));
        PLANTED.store(place.map_or(0, |place| place + 1), Ordering::SeqCst);
    }

    /// Whether it is there.
    #[must_use]
    pub fn is(bug: Bug) -> bool {
        match PLANTED.load(Ordering::Relaxed) {
            0 => false,
            place => Bug::ALL.get(place - 1) == Some(&bug),
        }
    }
}

#[cfg(feature = "planted")]
pub use planted_now::{is, plant};

/// It is not: this build has no mistakes that are made on purpose.
#[cfg(not(feature = "planted"))]
#[inline(always)]
#[must_use]
pub const fn is(bug: Bug) -> bool {
    let _ = bug;
    false
}
