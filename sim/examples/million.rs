//! A million messages over a thousand domains with everything that can go wrong, and a tenth of it: what they take, and
//! that a message costs no more in the large world than in the small one.
//!
//! Each world has a process of its own, so that each has its own peak of memory. The cost of a message is in processor
//! time, where the system says it: what else the machine does meanwhile has no part in it. `million LARGE SMALL` takes
//! other numbers of domains; a domain has a thousand messages and ten users.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use pillarbox_sim::{Faults, Scenario, Settings};

/// How much more a message may cost in the world that is ten times as large.
const MOST: f64 = 1.5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["world", domains] => world(domains.parse().unwrap_or(100)),
        [] => compare("1000", "100"),
        [large, small] => compare(large, small),
        _ => {
            eprintln!("million: no arguments, or two numbers of domains");
            ExitCode::from(2)
        }
    }
}

/// One world.
fn world(domains: usize) -> ExitCode {
    let scenario = Scenario {
        seed: 1,
        domains,
        users: 10,
        span: Duration::from_secs(7 * 86_400),
        letters: 1000 * domains as u64,
        faults: Faults::Heavy,
        settings: Settings::default(),
    };
    let began = Instant::now();
    let mut told = Instant::now();
    let report = scenario.run(|progress| {
        if told.elapsed() > Duration::from_secs(10) {
            told = Instant::now();
            eprintln!(
                "{domains} domains, hour {}: {} written, {} delivered, {} queued, {:.0?}",
                progress.passed.as_secs() / 3600,
                progress.written,
                progress.counts.delivered,
                progress.queued,
                began.elapsed()
            );
        }
    });
    let (outcome, took) = (&report.outcome, began.elapsed());
    eprintln!("{:?}, {} faults, {} steps", outcome.counts, report.faults.len(), outcome.steps);
    eprintln!("{:.1} virtual days, trace {:016x}", outcome.passed.as_secs_f64() / 86_400.0, outcome.trace);
    outcome.violations.iter().for_each(|violation| eprintln!("BROKEN {violation}"));
    let busy = processor_time().unwrap_or(took);
    println!("{} {} {} {}", scenario.letters, took.as_millis(), busy.as_millis(), peak().unwrap_or(0));
    if outcome.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The processor time of this process, where the system says it.
fn processor_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name, which may hold anything: `utime` and `stime`, in hundredths of a second (proc(5)).
    let fields = stat.rsplit_once(')')?.1.split_whitespace();
    let ticks = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().ok()).sum::<Option<u64>>()?;
    Some(Duration::from_millis(10 * ticks))
}

/// The most memory that this process ever had, in kB, where the system says it.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}

/// Both, one after the other.
fn compare(large: &str, small: &str) -> ExitCode {
    println!("| domains | messages | time | processor time | a message | peak memory | a message |");
    println!("|---:|---:|---:|---:|---:|---:|---:|");
    let costs: Option<Vec<f64>> = [small, large].into_iter().map(measured).collect();
    let Some([small, large]) = costs.as_deref() else {
        println!("a world failed");
        return ExitCode::FAILURE;
    };
    let ratio = large / small;
    println!("\na message in the large world costs {ratio:.2} times what it costs in the small one (at most {MOST})");
    if ratio < MOST { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Microseconds of a message in a world of so many domains.
fn measured(domains: &str) -> Option<f64> {
    let output = Command::new(std::env::current_exe().ok()?)
        .args(["world", domains])
        .stderr(std::process::Stdio::inherit())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let line = String::from_utf8(output.stdout).ok()?;
    let numbers: Vec<u64> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let [messages, took, busy, peak] = numbers[..] else { return None };
    let each = busy as f64 * 1000.0 / messages as f64;
    println!(
        "| {domains} | {messages} | {:.0} s | {:.0} s | {each:.0} us | {:.2} GB | {:.1} kB |",
        took as f64 / 1000.0,
        busy as f64 / 1000.0,
        peak as f64 / f64::from(1 << 20),
        peak as f64 / messages as f64
    );
    Some(each)
}
