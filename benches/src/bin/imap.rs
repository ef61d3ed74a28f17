//! A large mailbox by IMAP, on each runtime: how long FETCH and SELECT take, whether others wait meanwhile, and what a
//! session in IDLE holds.
//!
//! ```text
//! just imap-figures
//! cargo build --release -p pillarbox && cargo run --release -p pillarbox-benches --bin imap -- --messages 100000
//! ```
//!
//! One folder is filled once, and served on each runtime in turn. Progress is told on standard error, the table on
//! standard output.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pillarbox_benches::figures::Figures;
use pillarbox_benches::host::{ACCOUNT, Host, PASSWORD, RUNTIMES, Way, binary};
use pillarbox_benches::talk::Talk;
use pillarbox_runtime::raise_open_files;

/// Sessions that are held in IDLE.
const IDLE: usize = 1000;
/// Messages of one APPEND.
const TOGETHER: usize = 100;
/// Messages that are copied at once.
const COPIED: usize = 10_000;
/// How often each command is said.
const ROUNDS: usize = 5;

/// What is measured on one runtime.
#[derive(Default)]
struct Column {
    /// Milliseconds.
    flags: f64,
    envelope: f64,
    /// Processor time of the server in milliseconds.
    flags_cpu: f64,
    envelope_cpu: f64,
    /// Octets of the answers.
    flags_octets: usize,
    envelope_octets: usize,
    /// The median of another session's NOOP meanwhile, and the longest, in milliseconds.
    noop: f64,
    noop_longest: f64,
    /// Milliseconds by mailbox.
    select: Vec<f64>,
    /// kB a session.
    idle: f64,
}

fn main() -> ExitCode {
    match figures(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("imap: {error}");
            ExitCode::FAILURE
        }
    }
}

fn figures(args: Vec<String>) -> io::Result<()> {
    let usage = || io::Error::other("usage: imap [--messages N] [--largest N]");
    let (mut messages, mut largest) = (100_000, 1_000_000);
    for pair in args.chunks(2) {
        let [option, value] = pair else { return Err(usage()) };
        let value = value.parse().map_err(|_| usage())?;
        match option.as_str() {
            "--messages" => messages = value,
            "--largest" => largest = value,
            _ => return Err(usage()),
        }
    }
    raise_open_files(2 * IDLE as u64 + 100);
    let binary = binary()?;
    let mut host = Host::start(&binary, way(RUNTIMES[0]), 2 * IDLE)?;
    let mailboxes = fill(&host, messages, largest)?;
    let mut columns = Vec::new();
    for runtime in RUNTIMES {
        host.again(&binary, way(runtime), 2 * IDLE)?;
        columns.push(measure(&host, runtime, messages, &mailboxes)?);
    }
    host.stop()?;
    table(&columns, messages, &mailboxes);
    Ok(())
}

fn way(runtime: &'static str) -> Way {
    Way { runtime, workers: 1 }
}

/// Makes INBOX of so many messages, and mailboxes of 1,000, 10,000 and so on out of it.
fn fill(host: &Host, messages: usize, largest: usize) -> io::Result<Vec<(String, usize)>> {
    let mut talk = login(host)?;
    let mut made = 0;
    while made < messages {
        let count = TOGETHER.min(messages - made);
        let mut command = b"a APPEND INBOX".to_vec();
        for number in made..made + count {
            let message = message(number);
            write!(command, " {{{}+}}\r\n", message.len())?;
            command.extend_from_slice(message.as_bytes());
        }
        command.extend_from_slice(b"\r\n");
        talk.say(&command)?;
        talk.imap_ok()?;
        made += count;
        if made % 10_000 == 0 {
            eprintln!("{made} messages");
        }
    }
    talk.imap("SELECT INBOX")?;
    let (mut mailboxes, mut size) = (Vec::new(), 1000);
    while size <= largest {
        let name = format!("M{size}");
        talk.imap(&format!("CREATE {name}"))?;
        let mut there = 0;
        while there < size {
            let first = there % messages + 1;
            let count = COPIED.min(size - there).min(messages + 1 - first);
            talk.imap(&format!("COPY {first}:{} {name}", first + count - 1))?;
            there += count;
        }
        eprintln!("{name}: {size} messages");
        mailboxes.push((name, size));
        size *= 10;
    }
    talk.imap("LOGOUT")?;
    Ok(mailboxes)
}

fn message(number: usize) -> String {
    format!(
        "From: \"Writer {number}\" <writer{number}@example.net>\r\nTo: Alice <alice@example.org>\r\n\
         Cc: bob@example.org, Carol <carol@example.com>\r\nSubject: Message {number} about something or other\r\n\
         Date: Sun, 22 Nov 2026 20:25:26 +0000\r\nMessage-ID: <{number}.{}@example.net>\r\n\
         In-Reply-To: <{}@example.net>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
         Hello Alice,\r\n\r\nthis is message {number}.\r\n",
        number * 7919,
        number / 3
    )
}

fn login(host: &Host) -> io::Result<Talk> {
    let mut talk = Talk::connect(host.address("imap")?)?;
    talk.expect("* OK")?;
    talk.imap(&format!("LOGIN {ACCOUNT} {PASSWORD}"))?;
    Ok(talk)
}

fn measure(host: &Host, runtime: &str, messages: usize, mailboxes: &[(String, usize)]) -> io::Result<Column> {
    let mut column = Column::default();
    let mut talk = login(host)?;
    for (name, size) in mailboxes {
        let mut times = Vec::new();
        for _ in 0..ROUNDS * 4 {
            let begun = Instant::now();
            talk.imap(&format!("SELECT {name}"))?;
            times.push(ms(begun.elapsed()));
        }
        let time = Figures::new(times).median();
        eprintln!("{runtime}: SELECT of {size}: {time:.2} ms");
        column.select.push(time);
    }
    talk.imap("SELECT INBOX")?;
    let over = AtomicBool::new(false);
    let waits = thread::scope(|scope| -> io::Result<Vec<f64>> {
        let other = scope.spawn(|| bystander(host, &over));
        let result = fetches(host, &mut talk, &mut column);
        over.store(true, Ordering::Relaxed);
        let waits = other.join().map_err(|_| io::Error::other("the bystander fell"))?;
        result.and(waits)
    })?;
    let waits = Figures::new(waits);
    (column.noop, column.noop_longest) = (waits.median(), waits.rank(1.0));
    eprintln!("{runtime}: FETCH 1:{messages}: FLAGS {:.0} ms, ENVELOPE {:.0} ms", column.flags, column.envelope);
    talk.imap("LOGOUT")?;
    drop(talk);

    // What is made once, by whoever comes first, is no session's.
    drop(idlers(host, 20)?);
    let before = host.memory_at_rest()?;
    let idle = idlers(host, IDLE)?;
    column.idle = (host.memory_at_rest()? - before) / IDLE as f64;
    drop(idle);
    eprintln!("{runtime}: {:.1} kB a session in IDLE", column.idle);
    Ok(column)
}

fn fetches(host: &Host, talk: &mut Talk, column: &mut Column) -> io::Result<()> {
    let mut timed = |command: &str| -> io::Result<(f64, f64, usize)> {
        let (mut times, mut octets, cpu) = (Vec::new(), 0, host.cpu()?);
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            octets = talk.imap(command)?;
            times.push(ms(begun.elapsed()));
        }
        Ok((Figures::new(times).median(), ms(host.cpu()? - cpu) / ROUNDS as f64, octets))
    };
    (column.flags, column.flags_cpu, column.flags_octets) = timed("FETCH 1:* (FLAGS)")?;
    (column.envelope, column.envelope_cpu, column.envelope_octets) = timed("FETCH 1:* (ENVELOPE)")?;
    Ok(())
}

/// Another client of the same mailbox, who has little to do and should not wait.
fn bystander(host: &Host, over: &AtomicBool) -> io::Result<Vec<f64>> {
    let mut talk = login(host)?;
    talk.imap("SELECT INBOX")?;
    let mut waits = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        talk.imap("NOOP")?;
        waits.push(ms(begun.elapsed()));
        thread::sleep(Duration::from_millis(2));
    }
    Ok(waits)
}

/// Sessions with a mailbox open that wait to be told of something.
fn idlers(host: &Host, count: usize) -> io::Result<Vec<Talk>> {
    let idler = |_| {
        let mut talk = login(host)?;
        talk.imap("SELECT M1000")?;
        talk.say(b"a IDLE\r\n")?;
        talk.expect("+")?;
        Ok(talk)
    };
    (0..count).map(idler).collect()
}

fn table(columns: &[Column], messages: usize, mailboxes: &[(String, usize)]) {
    println!("| | {} |\n|---|{}", RUNTIMES.join(" | "), "---:|".repeat(RUNTIMES.len()));
    let line = |name: &str, figure: &dyn Fn(&Column) -> f64, digits: usize| {
        let cells: Vec<_> = columns.iter().map(|column| format!("{:.digits$}", figure(column))).collect();
        println!("| {name} | {} |", cells.join(" | "));
    };
    line(&format!("FETCH 1:{messages} FLAGS, ms"), &|column| column.flags, 0);
    line("its processor time, ms", &|column| column.flags_cpu, 0);
    line("its octets, MB", &|column| column.flags_octets as f64 / 1e6, 1);
    line(&format!("FETCH 1:{messages} ENVELOPE, ms"), &|column| column.envelope, 0);
    line("its processor time, ms", &|column| column.envelope_cpu, 0);
    line("its octets, MB", &|column| column.envelope_octets as f64 / 1e6, 1);
    line("NOOP of another session meanwhile, median, ms", &|column| column.noop, 2);
    line("the longest, ms", &|column| column.noop_longest, 1);
    for (at, (_, size)) in mailboxes.iter().enumerate() {
        line(&format!("SELECT of {size}, ms"), &|column| column.select[at], 2);
    }
    line(&format!("one of {IDLE} sessions in IDLE, kB"), &|column| column.idle, 1);
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
