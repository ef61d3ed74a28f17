//! The laws of the machines, as properties over dialogues.

use crate::dialogue::{self, Dialogue};
use crate::subject::Subject;

/// The tests of one machine: its dialogues as they stand, and every law over all of them.
///
/// `laws!(Binding, "folder")` takes every file of `tests/dialogues/folder/`.
#[macro_export]
macro_rules! laws {
    ($subject:ty, $machine:literal) => {
        #[test]
        fn dialogues() {
            $crate::laws::dialogues::<$subject>($machine);
        }
    };
}

/// Plays every dialogue of `machine` as it stands.
///
/// # Panics
/// When one goes otherwise; all that do are named.
pub fn dialogues<S: Subject>(machine: &str) {
    each(machine, |dialogue| dialogue::run::<S>(dialogue).map(drop));
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
