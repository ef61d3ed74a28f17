//! Every input of the committed corpora, once more. What a fuzzer once found stays found.

use std::fs;

use pillarbox_fuzz::{TARGETS, Target, corpus};
use pillarbox_tests::alloc::Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

/// What fails: the target, the line of its corpus, and why it is there if somebody has said so.
fn replay(target: &Target) -> Result<(), String> {
    let empty = corpus::Input::default();
    let inputs = corpus::read(target)?;
    if inputs.is_empty() {
        return Err(format!("{} has no corpus: fuzz/run --keep {}", target.name, target.name));
    }
    for input in std::iter::once(&empty).chain(&inputs) {
        if std::panic::catch_unwind(|| (target.run)(&input.octets)).is_err() {
            let why = input.why.as_deref().unwrap_or("found by a fuzzer");
            return Err(format!("{} fails on \"{}\" ({why})", target.name, input.octets.escape_ascii()));
        }
    }
    Ok(())
}

/// As many threads as there are processors, each with every so-manieth target.
#[test]
fn corpora() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let failures: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|n| {
                let mine = TARGETS.iter().skip(n).step_by(threads);
                scope.spawn(move || mine.filter_map(|target| replay(target).err()).collect::<Vec<_>>())
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("panics are caught")).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A corpus that no target reads proves nothing.
#[test]
fn every_corpus_has_a_target() {
    for entry in fs::read_dir(corpus::folder()).expect("there are corpora").flatten() {
        let name = entry.file_name().into_string().expect("a name");
        assert!(pillarbox_fuzz::named(&name).is_some(), "no target {name}");
    }
}

#[test]
fn targets_are_in_order_and_named_once() {
    assert!(TARGETS.is_sorted_by(|one, other| one.name < other.name));
}
