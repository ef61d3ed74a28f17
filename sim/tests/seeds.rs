//! Some worlds of the many: `just sim` runs thousands.

use pillarbox_sim::{Size, Swarm};

#[test]
fn nothing_that_was_promised_is_broken_in_any_world() {
    let swarm = Swarm { seeds: 0..50, size: Size::default(), threads: 2, twice: true, first_only: false };
    let tally = swarm.run(|_| {});
    for failure in &tally.failures {
        println!("seed {}: {:#?}", failure.seed, failure.violations);
    }
    assert!(tally.failures.is_empty(), "{} of {} worlds failed", tally.failures.len(), tally.worlds);
    assert!(tally.counts.accepted > 2000 && tally.counts.reported > 200, "{:?}", tally.counts);
}
