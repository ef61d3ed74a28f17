use pillarbox_sim::*;
use std::time::*;
fn main() {
    let a: Vec<u64> = std::env::args().skip(1).map(|a| a.parse().unwrap()).collect();
    if a.len() == 3 {
        // hosts, letters, seed
        let size = Size {
            hosts: a[0] as usize,
            users: 10,
            letters: a[1] as usize,
            visits: a[1] as usize / 10,
            faults: a[0] as usize,
            span: Duration::from_secs(86400),
        };
        let t = Instant::now();
        let plan = Plan::draw(a[2], &size);
        let o = run(&plan, false);
        println!(
            "{:?} {:?} steps {} passed {:?} {:?}: {:?} a letter",
            o.violations.iter().take(3).collect::<Vec<_>>(),
            o.counts,
            o.steps,
            o.passed,
            t.elapsed(),
            t.elapsed() / a[1] as u32
        );
        println!(
            "{}",
            std::fs::read_to_string("/proc/self/status")
                .unwrap()
                .lines()
                .filter(|l| l.starts_with("VmHWM"))
                .collect::<String>()
        );
        return;
    }
    let t = Instant::now();
    let tally =
        Swarm { seeds: a[0]..a[1], size: Size::default(), threads: 1, twice: false, first_only: false }.run(|_| {});
    for f in &tally.failures {
        println!("{f:#?}");
    }
    println!(
        "{} worlds {} failures {:?} {:?} {} steps {:x}",
        tally.worlds,
        tally.failures.len(),
        tally.counts,
        t.elapsed(),
        tally.steps,
        tally.trace
    );
}
