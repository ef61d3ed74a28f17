//! The real server, killed under load or cut off from its disk, again and again, and judged after each start.
//!
//! | file | what it is |
//! |---|---|
//! | [`server`] | a server that is killed and started again at the same ports |
//! | [`disk`] | a disk whose power can be cut |
//! | [`sink`] | the next hop |
//! | [`letters`] | letters that can be known again |
//! | [`people`] | who submits, and who deletes by POP3 |
//! | [`device`] | who changes mailboxes by IMAP |
//!
//! Here is a [`Trial`]: one server with its people. A round is load, a crash, a start and a judgement. What has had its
//! judgement is deleted, and must stay deleted in all rounds to come.

pub mod device;
pub mod disk;
pub mod letters;
pub mod people;
pub mod server;
pub mod sink;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use self::device::Device;
use self::disk::Disk;
use self::people::{Outbox, Reader};
use self::server::Server;
use self::sink::Sink;
use crate::figures::Figures;
use crate::host::Way;

/// Connections that submit at the same time.
const SENDERS: usize = 4;
/// What a POP3 reader takes at one visit.
const PICKED: usize = 5;
/// How long a queue may take at the end until a row less is in it.
const PATIENCE: Duration = Duration::from_secs(120);

/// How a server is made to crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// `kill -9`.
    Kill,
    /// Its disk, with a file system of this kind, loses its power.
    Power(&'static str),
    /// The same, under a server whose syncs do nothing.
    PowerWithoutSyncs(&'static str),
}

/// What came of rounds.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Crashes that were judged.
    pub rounds: u64,
    /// Letters with a 250.
    pub acknowledged: u64,
    /// Changes of mailboxes with an OK.
    pub changes: u64,
    /// Acknowledged and neither in a mailbox nor in the queue nor at the next hop.
    pub lost: u64,
    /// There, and altered.
    pub torn: u64,
    /// Changes and deletions that were taken back.
    pub undone: u64,
    /// UIDs that two messages had, and letters that came twice without a reason.
    pub twice: u64,
    /// Letters that are there twice, because their sender had no answer and sent again.
    pub resent: u64,
    /// Letters that went to the next hop again, because its answer was not on disk yet.
    pub relayed: u64,
    /// Locks that were held by nobody alive.
    pub locks: u64,
    /// From start to greetings, in milliseconds.
    pub starts: Vec<f64>,
    /// The first things that were wrong, in words.
    pub faults: Vec<String>,
}

impl Outcome {
    /// Everything that must be zero is.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.lost + self.torn + self.undone + self.twice + self.locks == 0 && self.faults.is_empty()
    }

    /// Something acknowledged is not as it was.
    #[must_use]
    pub fn shows_losses(&self) -> bool {
        !self.is_sound()
    }

    /// Recipients for whom a letter came twice, in percent of all.
    #[must_use]
    pub fn duplicates(&self) -> f64 {
        (self.resent + self.relayed) as f64 * 100.0 / (2 * self.acknowledged).max(1) as f64
    }

    /// The head of a table of these.
    pub const HEAD: &'static str = "| | crashes | 250s | OKs to changes | lost | torn | undone | UID or letter twice | locks left \
         | twice, sent again by the sender | twice, sent again by the queue | twice, of all recipients | serving again, ms: median | longest |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|";

    /// As a line of that table.
    #[must_use]
    pub fn row(&self, name: &str) -> String {
        let starts = Figures::new(self.starts.clone());
        format!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.3} % | {:.0} | {:.0} |",
            self.rounds,
            self.acknowledged,
            self.changes,
            self.lost,
            self.torn,
            self.undone,
            self.twice,
            self.locks,
            self.resent,
            self.relayed,
            self.duplicates(),
            starts.median(),
            starts.rank(1.0)
        )
    }

    fn fault(&mut self, what: String) {
        eprintln!("  {what}");
        if self.faults.len() < 20 {
            self.faults.push(what);
        }
    }
}

/// One server, its disk, and its people.
#[derive(Debug)]
pub struct Trial {
    /// Dropped before the disk, which it has open.
    server: Server,
    disk: Option<Disk>,
    // Holds the log, and without a disk of its own the server, too.
    _folder: TempDir,
    sink: Sink,
    outbox: Outbox,
    reader: Reader,
    devices: [Device; 2],
    again: Vec<Option<(String, usize)>>,
    /// How often each letter has come to somebody here.
    arrived: BTreeMap<String, u32>,
    /// Bob's UIDs up to here were deleted.
    emptied: u32,
    /// Letters that were acknowledged and had not come to the next hop when it was last looked.
    open: BTreeSet<String>,
    /// What it came to so far.
    pub outcome: Outcome,
    round: u64,
    state: u64,
}

impl Trial {
    /// Makes a server in a fresh folder, and starts it.
    ///
    /// # Errors
    /// When something does not work here.
    pub fn begin(binary: &Path, way: Way, crash: Crash, seed: u64) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("pillarbox-crash-").tempdir()?;
        let disk = match crash {
            Crash::Kill => None,
            Crash::Power(kind) | Crash::PowerWithoutSyncs(kind) => Some(Disk::make(kind)?),
        };
        let dir = disk.as_ref().map_or_else(|| folder.path().to_owned(), Disk::path).join("mail");
        let sink = Sink::start()?;
        let log: PathBuf = folder.path().join("log");
        let mut server = Server::make(binary, way, dir, log, sink.address)?;
        server.serve()?;
        let devices = [Device::new("desk", seed | 1), Device::new("phone", seed ^ 0x5555)];
        for device in &devices {
            device.settle(&mut server.imap("dora")?)?;
        }
        server.kill()?;
        if let Some(disk) = &disk {
            disk.sync()?;
        }
        if matches!(crash, Crash::PowerWithoutSyncs(_)) {
            server.be_careless();
        }
        server.serve()?;
        Ok(Self {
            server,
            disk,
            _folder: folder,
            sink,
            outbox: Outbox::default(),
            reader: Reader::default(),
            devices,
            again: vec![None; SENDERS],
            arrived: BTreeMap::new(),
            emptied: 0,
            open: BTreeSet::new(),
            outcome: Outcome::default(),
            round: 0,
            state: seed,
        })
    }

    /// One round, of a load between these lengths.
    ///
    /// # Errors
    /// When the server does not come back, or does not answer the judge.
    pub fn round(&mut self, least: Duration, most: Duration) -> io::Result<()> {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = (self.state >> 40) as f64 / f64::from(1 << 24);
        self.load(least + (most - least).mul_f64(share))?;
        if let Some(disk) = &mut self.disk {
            disk.restore()?;
        }
        let start = self.server.serve()?;
        self.outcome.starts.push(start.as_secs_f64() * 1e3);
        self.judge()?;
        self.outcome.rounds += 1;
        self.outcome.acknowledged = self.outbox.acknowledged.load(Ordering::Relaxed);
        self.outcome.changes = self.devices.iter().map(|device| device.changes).sum();
        self.round += 1;
        Ok(())
    }

    /// Everybody at work, for so long; then the crash.
    fn load(&mut self, time: Duration) -> io::Result<()> {
        let round = self.round;
        let submissions: Vec<_> = (0..SENDERS).map(|_| self.server.submission()).collect::<io::Result<_>>()?;
        let [desk, phone] = [self.server.imap("dora")?, self.server.imap("dora")?];
        let (outbox, reader) = (&self.outbox, &mut self.reader);
        let [first, second] = &mut self.devices;
        let (server, disk, again) = (&self.server, &self.disk, &mut self.again);
        let crashed = thread::scope(|scope| -> io::Result<()> {
            let senders: Vec<_> = submissions
                .into_iter()
                .zip(again.iter_mut())
                .enumerate()
                .map(|(n, (talk, again))| {
                    scope.spawn(move || {
                        *again = outbox.submit(talk, &format!("r{round}-s{n}"), again.take());
                    })
                })
                .collect();
            let readers = scope.spawn(move || {
                while let Ok(talk) = server.pop3("carol") {
                    if reader.visit(talk, PICKED).is_err() {
                        break;
                    }
                }
            });
            let devices = [scope.spawn(move || first.change(desk)), scope.spawn(move || second.change(phone))];
            thread::sleep(time);
            let cut = disk.as_ref().map_or(Ok(()), Disk::cut);
            // After a cut the server lives on for a moment, and must not say anything wrong.
            if disk.is_some() {
                thread::sleep(Duration::from_millis(20));
            }
            server.crash()?;
            for sender in senders {
                let _ = sender.join();
            }
            let _ = readers.join();
            for device in devices {
                // It ends with the server, or because it was told what cannot be. A server without a disk says so.
                let error = device.join().map_err(|_| io::Error::other("a device has panicked"))?;
                let words = error.to_string();
                let was_cut = disk.is_some() && words.contains("[UNAVAILABLE]");
                if words.contains("UIDs") || words.contains("the server said") && !was_cut {
                    return Err(error);
                }
            }
            cut
        });
        self.server.kill()?;
        crashed
    }

    /// Looks at everything. What has had its judgement is deleted.
    fn judge(&mut self) -> io::Result<()> {
        self.pop3()?;
        self.inbox()?;
        for device in &mut self.devices {
            let faults = device.judge(&mut self.server.imap("dora")?)?;
            self.outcome.lost += faults.lost.len() as u64;
            self.outcome.torn += faults.torn.len() as u64;
            self.outcome.undone += faults.undone.len() as u64;
            self.outcome.twice += faults.twice.len() as u64;
            let all = [faults.lost, faults.torn, faults.undone, faults.twice];
            all.into_iter().flatten().for_each(|fault| self.outcome.fault(fault));
        }
        self.letters()
    }

    /// Carol's letters, by POP3.
    fn pop3(&mut self) -> io::Result<()> {
        let mut talk = match self.server.pop3("carol") {
            Ok(talk) => talk,
            Err(error) => {
                self.outcome.locks += 1;
                self.outcome.fault(format!("POP3 after the start: {error}"));
                return Ok(());
            }
        };
        for fault in self.reader.judge(&mut talk)? {
            self.outcome.undone += 1;
            self.outcome.fault(fault);
        }
        // The rest is picked up in the same session, and deleted.
        self.reader.visit(talk, usize::MAX)?;
        for name in self.reader.read.drain(..) {
            *self.arrived.entry(name).or_default() += 1;
        }
        let torn = std::mem::take(&mut self.reader.torn);
        if torn > 0 {
            self.outcome.torn += torn;
            self.outcome.fault(format!("{torn} torn letters in POP3"));
        }
        Ok(())
    }

    /// Bob's letters, by IMAP.
    fn inbox(&mut self) -> io::Result<()> {
        let mut talk = self.server.imap("bob")?;
        talk.say(b"a SELECT INBOX\r\n")?;
        if talk.imap_answer()?.iter().any(|line| line.trim_end() == "* 0 EXISTS") {
            return Ok(());
        }
        talk.say(b"a UID FETCH 1:* (UID BODY.PEEK[])\r\n")?;
        let mut last = self.emptied;
        for message in talk.imap_messages()? {
            if message.uid <= self.emptied {
                self.outcome.undone += 1;
                self.outcome.fault(format!("{} of INBOX was expunged, and is back", message.uid));
            }
            last = last.max(message.uid);
            if let Some(name) = letters::name_of(&message.octets) {
                *self.arrived.entry(name).or_default() += 1;
            } else {
                self.outcome.torn += 1;
                self.outcome.fault(format!("{} of INBOX is torn", message.uid));
            }
        }
        talk.imap("UID STORE 1:* +FLAGS.SILENT (\\Deleted)")?;
        talk.imap("EXPUNGE")?;
        self.emptied = last;
        Ok(())
    }

    /// Every letter that was acknowledged is with its recipient here, and is on its way to the one elsewhere.
    fn letters(&mut self) -> io::Result<()> {
        let queued: BTreeSet<String> = self.server.queue()?.into_iter().map(|(name, _)| name).collect();
        // Looked at after the queue: what was not in that had come.
        let taken = self.sink.taken();
        let mut outcome = std::mem::take(&mut self.outcome);
        let mut letters = self.outbox.letters();
        for (name, letter) in letters.iter().filter(|(_, letter)| letter.acknowledged) {
            match self.arrived.remove(name) {
                None => {
                    outcome.lost += 1;
                    outcome.fault(format!("{name} was acknowledged, and {} has it not", people::recipient(name)));
                }
                Some(times) if times > letter.tries => {
                    outcome.twice += 1;
                    outcome.fault(format!("{name} was sent {} times and is there {times} times", letter.tries));
                }
                Some(times) => outcome.resent += u64::from(times - 1),
            }
            self.open.insert(name.clone());
        }
        // What was not acknowledged is sent again, and has its judgement then.
        letters.retain(|_, letter| !letter.acknowledged);
        for name in self.arrived.keys().filter(|name| !letters.contains_key(*name)) {
            outcome.twice += 1;
            outcome.fault(format!("{name} is there, and was judged before or never sent"));
        }
        let kept = std::mem::take(&mut self.arrived);
        self.arrived = kept.into_iter().filter(|(name, _)| letters.contains_key(name)).collect();
        self.open.retain(|name| !taken.letters.contains_key(name));
        let lost: Vec<_> = self.open.iter().filter(|name| !queued.contains(*name)).cloned().collect();
        for name in lost {
            outcome.lost += 1;
            outcome.fault(format!("{name} was acknowledged, and is neither in the queue nor at the next hop"));
            self.open.remove(&name);
        }
        self.outcome = outcome;
        Ok(())
    }

    /// The queue drains, and everything has come to the next hop. What it came to in all.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn end(mut self) -> io::Result<Outcome> {
        let (mut fewest, mut since) = (usize::MAX, Instant::now());
        loop {
            let waiting: Vec<String> = self.server.queue()?.into_iter().map(|(_, id)| id).collect();
            if waiting.is_empty() {
                break;
            }
            if waiting.len() < fewest {
                (fewest, since) = (waiting.len(), Instant::now());
            }
            if since.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("the queue does not drain: {} rows", waiting.len())));
            }
            // What was on its way at a crash is not due for a while.
            for ids in waiting.chunks(500) {
                self.server.retry(ids)?;
            }
            thread::sleep(Duration::from_millis(500));
        }
        let taken = self.sink.taken();
        let mut outcome = std::mem::take(&mut self.outcome);
        for name in self.open.iter().filter(|name| !taken.letters.contains_key(*name)) {
            outcome.lost += 1;
            outcome.fault(format!("{name} was acknowledged, and never came to the next hop"));
        }
        if taken.torn > 0 {
            outcome.torn += taken.torn;
            outcome.fault(format!("{} torn letters came to the next hop", taken.torn));
        }
        outcome.relayed = taken.letters.values().map(|times| u64::from(times - 1)).sum();
        Ok(outcome)
    }
}
