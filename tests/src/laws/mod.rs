//! The laws of the machines, each one a property over every dialogue of a machine.
//!
//! 1. [`drain`]: `Wait` is stable.
//! 2. [`deadline`]: polling at `until` makes progress, before it does not.
//! 3. [`split`]: however the bytes are cut, the same comes out.
//! 4. [`answer`]: one question, one answer.
//! 5. [`bounded`]: no peer makes a machine hold or do more than its limits say.
//! 6. [`pure`]: the same inputs give the same trace.
//! 7. [`total`]: no input panics; after `Done` comes `Done`; what is held is given back.
//!
//! The cases are the same in every run. `PILLARBOX_LAWS=seed,cases` asks for others, and for more or fewer of them:
//! `PILLARBOX_LAWS=7,1000 cargo test -p pillarbox-tests`.

pub mod answer;
pub mod bounded;
mod cuts;
pub mod deadline;
pub mod drain;
pub mod pure;
pub mod replay;
pub mod split;
mod tape;
pub mod total;

use std::fmt::Debug;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::bench::Breach;
use crate::dialogue::{self, Dialogue, Story};
use crate::subject::Subject;
pub use replay::Record;
pub use tape::Tape;

/// Cases of one property over one dialogue.
const CASES: u32 = 64;

/// The tests of one machine: its dialogues as they stand, and every law over all of them.
///
/// `laws!(Binding, "folder")` takes every file of `tests/dialogues/folder/`.
#[macro_export]
macro_rules! laws {
    ($subject:ty, $machine:literal) => {
        #[global_allocator]
        static COUNTING: $crate::alloc::Counting = $crate::alloc::Counting;

        #[test]
        fn dialogues() {
            $crate::laws::dialogues::<$subject>($machine);
        }

        #[test]
        fn law_1_drain() {
            $crate::laws::hold::<$subject>($machine, $crate::laws::drain::check::<$subject>);
        }

        #[test]
        fn law_2_honest_deadline() {
            $crate::laws::hold::<$subject>($machine, $crate::laws::deadline::check::<$subject>);
        }

        #[test]
        fn law_3_split_invariance() {
            $crate::laws::hold::<$subject>($machine, $crate::laws::split::check::<$subject>);
        }

        #[test]
        fn law_4_one_question_one_answer() {
            $crate::laws::hold::<$subject>($machine, $crate::laws::answer::check::<$subject>);
        }

        #[test]
        fn law_5_bounded() {
            $crate::laws::hold::<$subject>($machine, $crate::laws::bounded::check::<$subject>);
        }

        #[test]
        fn law_6_pure() {
            $crate::laws::hold::<$subject>($machine, $crate::laws::pure::check::<$subject>);
        }

        #[test]
        fn law_7_total() {
            $crate::laws::hold::<$subject>($machine, $crate::laws::total::check::<$subject>);
        }
    };
}

/// One law: whether it holds over this dialogue.
pub type Law = fn(&Dialogue, &Story) -> Result<(), String>;

/// All laws of `S`, by number from 1.
#[must_use]
pub fn all<S: Subject>() -> [Law; 7] {
    [
        drain::check::<S>,
        deadline::check::<S>,
        split::check::<S>,
        answer::check::<S>,
        bounded::check::<S>,
        pure::check::<S>,
        total::check::<S>,
    ]
}

/// Plays every dialogue of `machine` as it stands.
///
/// # Panics
/// When one goes otherwise; all that do are named.
pub fn dialogues<S: Subject>(machine: &str) {
    each(machine, |dialogue| dialogue::run::<S>(dialogue).map(drop));
}

/// Checks `law` over every dialogue of `machine`.
///
/// # Panics
/// When it does not hold; all dialogues over which it does not are named.
pub fn hold<S: Subject>(machine: &str, law: Law) {
    each(machine, |dialogue| {
        let story = dialogue::run::<S>(dialogue).map_err(|_| {
            format!("{}: does not play as it stands (see the test \"dialogues\")", dialogue.path.display())
        })?;
        law(dialogue, &story)
    });
}

/// Runs `check` over every dialogue of `machine`, and reports every failure.
fn each(machine: &str, check: impl Fn(&Dialogue) -> Result<(), String>) {
    let dialogues = dialogue::all(machine);
    let failures: Vec<_> = dialogues.iter().filter_map(|dialogue| check(dialogue).err()).collect();
    assert!(
        failures.is_empty(),
        "{} of {} dialogues fail:\n\n{}",
        failures.len(),
        dialogues.len(),
        failures.join("\n\n")
    );
}

/// Tries a property on [`CASES`] cases.
fn property<T: Debug>(
    dialogue: &Dialogue,
    law: u8,
    strategy: impl Strategy<Value = T>,
    check: impl Fn(T) -> Result<(), Breach>,
) -> Result<(), String> {
    property_of(dialogue, law, 100, strategy, check)
}

/// Tries a property on so many per cent of the [`CASES`].
fn property_of<T: Debug>(
    dialogue: &Dialogue,
    law: u8,
    percent: u32,
    strategy: impl Strategy<Value = T>,
    check: impl Fn(T) -> Result<(), Breach>,
) -> Result<(), String> {
    let (seed, cases) = seed_and_cases();
    let mut bytes = [law; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: (cases * percent / 100).max(1),
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let test = |value| check(value).map_err(|breach| TestCaseError::fail(breach.to_string()));
    TestRunner::new_with_rng(config, rng).run(&strategy, test).map_err(|error| match error {
        TestError::Fail(why, value) => format!("{}: {why}\nwith {value:?}", dialogue.path.display()),
        TestError::Abort(why) => format!("{}: given up: {why}", dialogue.path.display()),
    })
}

/// What `PILLARBOX_LAWS` says.
fn seed_and_cases() -> (u64, u32) {
    let asked = std::env::var("PILLARBOX_LAWS").unwrap_or_default();
    let (seed, cases) = asked.split_once(',').unwrap_or((&asked, ""));
    (seed.trim().parse().unwrap_or(1), cases.trim().parse().unwrap_or(CASES))
}
