//! The same server on each runtime: lines of adapter, throughput, processor time and memory, side by side.
//!
//! ```text
//! just runtimes
//! cargo build --release -p pillarbox && cargo run --release -p pillarbox-benches --bin runtimes -- --readme README.md
//! ```
//!
//! Each measurement has a server of its own, freshly started in a temporary folder. Times on a shared machine are noise,
//! so the ways are interleaved, round after round, and a cell is a median. Progress is told on standard error, the table
//! on standard output.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use pillarbox_benches::figures::Figures;
use pillarbox_benches::host::{ACCOUNT, Host, RUNTIMES, Way, binary};
use pillarbox_benches::load::Load;
use pillarbox_benches::talk::Talk;
use pillarbox_benches::{lines, readme};
use pillarbox_runtime::raise_open_files;

/// Worker threads that are tried.
const WORKERS: [usize; 2] = [1, 2];
/// Sessions that send at the same time.
const SENDING: usize = 50;
/// Octets of a message.
const SIZE: usize = 4096;
/// Sessions that are held open: half of them SMTP behind EHLO, half POP3 behind CAPA.
const IDLE: usize = 1000;

struct Plan {
    binary: PathBuf,
    rounds: usize,
    time: Duration,
    readme: Option<PathBuf>,
}

/// What one server cost.
struct Cost {
    /// Messages a second.
    rate: f64,
    /// Microseconds of processor time a message.
    cpu: f64,
    /// kB an idle session.
    idle: f64,
}

/// All rounds of one way.
struct Row {
    way: Way,
    costs: Vec<Cost>,
    /// Why one failed, or was refused; then there are no figures.
    failed: Option<io::Error>,
}

fn main() -> ExitCode {
    let done = plan(std::env::args().skip(1)).and_then(|plan| {
        let table = table(&measure(&plan), &plan)?;
        print!("{table}");
        plan.readme.map_or(Ok(()), |file| readme::replace(&file, "runtimes", &table))
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("runtimes: {error}");
            ExitCode::FAILURE
        }
    }
}

fn plan(mut args: impl Iterator<Item = String>) -> io::Result<Plan> {
    let usage = || io::Error::other("usage: runtimes [--rounds N] [--seconds S] [--readme FILE]");
    let mut plan = Plan { binary: binary()?, rounds: 3, time: Duration::from_secs(4), readme: None };
    while let Some(option) = args.next() {
        let value = args.next().ok_or_else(usage)?;
        match option.as_str() {
            "--rounds" => plan.rounds = value.parse().map_err(|_| usage())?,
            "--seconds" => plan.time = Duration::from_secs(value.parse().map_err(|_| usage())?),
            "--readme" => plan.readme = Some(value.into()),
            _ => return Err(usage()),
        }
    }
    Ok(plan)
}

fn measure(plan: &Plan) -> Vec<Row> {
    raise_open_files(2 * IDLE as u64);
    let ways = WORKERS.iter().flat_map(|&workers| RUNTIMES.map(|runtime| Way { runtime, workers }));
    let mut rows: Vec<_> = ways.map(|way| Row { way, costs: Vec::new(), failed: None }).collect();
    for round in 1..=plan.rounds {
        for row in rows.iter_mut().filter(|row| row.failed.is_none()) {
            match cost(plan, row.way) {
                Ok(cost) => {
                    let Cost { rate, cpu, idle } = cost;
                    eprintln!("round {round}: {}: {rate:.0} messages/s, {cpu:.0} us each, {idle:.1} kB idle", row.way);
                    row.costs.push(cost);
                }
                Err(error) => {
                    eprintln!("round {round}: {}: {error}", row.way);
                    row.failed = Some(error);
                }
            }
        }
    }
    rows
}

/// One server: its memory while it is fresh, then its work.
fn cost(plan: &Plan, way: Way) -> io::Result<Cost> {
    let host = Host::start(&plan.binary, way, 2 * IDLE)?;
    // What is made once, by whoever comes first, is no session's.
    drop(idlers(&host, 20)?);
    let before = host.memory_at_rest()?;
    let idle = idlers(&host, IDLE)?;
    let held = host.memory_at_rest()? - before;
    drop(idle);

    let server = host.address("smtp")?;
    let load = Load { server, recipient: ACCOUNT.to_owned(), sessions: SENDING, time: plan.time, size: SIZE };
    let begun = host.cpu()?;
    let sent = load.run()?;
    let used = host.cpu()? - begun;
    host.stop()?;
    let cpu = used.as_secs_f64() * 1e6 / sent.messages as f64;
    Ok(Cost { rate: sent.rate(), cpu, idle: held / IDLE as f64 })
}

/// Sessions that have said something, heard the answer, and now say nothing.
fn idlers(host: &Host, count: usize) -> io::Result<Vec<Talk>> {
    let (smtp, pop3) = (host.address("smtp")?, host.address("pop3")?);
    let idler = |n| {
        if n % 2 == 0 {
            let mut talk = Talk::connect(smtp)?;
            talk.smtp("220")?;
            talk.say(b"EHLO idle.example\r\n")?;
            talk.smtp("250")?;
            Ok(talk)
        } else {
            let mut talk = Talk::connect(pop3)?;
            talk.expect("+OK")?;
            talk.say(b"CAPA\r\n")?;
            talk.pop3_lines()?;
            Ok(talk)
        }
    };
    (0..count).map(idler).collect()
}

fn table(rows: &[Row], plan: &Plan) -> io::Result<String> {
    let mut table = format!("| | {} |\n|---|{}\n", RUNTIMES.join(" | "), "---:|".repeat(RUNTIMES.len()));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let adapters = RUNTIMES.map(|runtime| match lines::of_code(&root.join(format!("runtime-{runtime}/src"))) {
        Ok(lines) => lines.to_string(),
        Err(_) => "not there".to_owned(),
    });
    // Writing to a string does not fail.
    let _ = writeln!(table, "| lines of adapter | {} |", adapters.join(" | "));
    for workers in WORKERS {
        let s = if workers == 1 { "" } else { "s" };
        let mut line = |name: &str, figure: fn(&Cost) -> f64, digits: usize| {
            let cells = rows.iter().filter(|row| row.way.workers == workers).map(|row| cell(row, figure, digits));
            let cells: Vec<_> = cells.collect();
            let _ = writeln!(table, "| {name}, {workers} worker{s} | {} |", cells.join(" | "));
        };
        line("messages a second", |cost| cost.rate, 0);
        line("processor time a message, µs", |cost| cost.cpu, 0);
        line("memory of an idle session, kB", |cost| cost.idle, 1);
    }
    for row in rows {
        if let Some(why) = &row.failed {
            let _ = writeln!(table, "\n{} {}: {why}.", row.way, verdict(why));
        }
    }
    let (shared, cores) = (lines::of_code(&root.join("runtime/src"))?, std::thread::available_parallelism()?);
    let _ = writeln!(
        table,
        "\nMade by `just runtimes`. Lines are those of code, without comments and tests; the {shared} lines of `runtime/`, \
         which all share, are not in it. The load: {SENDING} sessions that deliver {SIZE} bytes each time and wait for the \
         `250`, so every message is on disk; they run on the same {cores} cores as the server. Memory is that of the \
         process (PSS) with {IDLE} sessions less that without, half of them SMTP and half POP3, none under TLS; what the \
         kernel keeps is not in it. Medians of {} rounds, interleaved, {} s each; \
         the messages a second of one way differed by up to {:.0} % from round to round.",
        plan.rounds,
        plan.time.as_secs(),
        rows.iter().map(spread).fold(0.0, f64::max)
    );
    Ok(table)
}

fn cell(row: &Row, figure: fn(&Cost) -> f64, digits: usize) -> String {
    if let Some(why) = &row.failed {
        return verdict(why).to_owned();
    }
    let figures = Figures::new(row.costs.iter().map(figure).collect());
    format!("{:.digits$}", figures.median())
}

/// How far apart the rounds of a way were, in per cent of their median.
fn spread(row: &Row) -> f64 {
    let rates = Figures::new(row.costs.iter().map(|cost| cost.rate).collect());
    let (least, most) = rates.span();
    if rates.is_empty() { 0.0 } else { (most - least) / rates.median() * 100.0 }
}

fn verdict(why: &io::Error) -> &'static str {
    if why.kind() == io::ErrorKind::Unsupported { "refused" } else { "failed" }
}
