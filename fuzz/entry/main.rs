//! libFuzzer's entry to all targets: `FUZZ_TARGET` says which one. `FUZZ_TARGET=? fuzz` lists them.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use pillarbox_fuzz::{TARGETS, Target, named};
use pillarbox_tests::alloc::Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

static TARGET: OnceLock<Target> = OnceLock::new();

fn choose() {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let Some(target) = named(&name) else {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("FUZZ_TARGET is one of: {}", names.join(" "));
        std::process::exit(2);
    };
    let _ = TARGET.set(target);
}

fuzz_target!(init: choose(), |input: &[u8]| {
    if let Some(target) = TARGET.get() {
        (target.run)(input);
    }
});
