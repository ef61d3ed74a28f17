//! Every input of the committed corpora, once more. What a fuzzer once found stays found.

use std::fs;
use std::path::Path;

use pillarbox_fuzz::{TARGETS, Target};
use pillarbox_tests::alloc::Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn replay(target: &Target) -> Result<usize, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let entries = fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in &paths {
        let input = fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
        if std::panic::catch_unwind(|| (target.run)(&input)).is_err() {
            return Err(format!("{} fails on {}", target.name, path.display()));
        }
    }
    Ok(paths.len())
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
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for entry in fs::read_dir(folder).expect("there are corpora").flatten() {
        let name = entry.file_name().into_string().expect("a name");
        assert!(pillarbox_fuzz::named(&name).is_some(), "no target {name}");
    }
}

#[test]
fn targets_are_in_order_and_named_once() {
    assert!(TARGETS.is_sorted_by(|one, other| one.name < other.name));
}
