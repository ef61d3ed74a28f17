//! Every dialogue is played over real sockets: the runtime brings what the peer says, its end, and how it broke off, and
//! carries out what the machine answers, down to the last word. Only time stays the dialogue's own.

use pillarbox_runtime::Run;
use pillarbox_tests::bindings;
use pillarbox_tests::dialogue::{self, Dialogue, Line, What};
use pillarbox_tests::theatre::{Cut, Theatre};
use pillarbox_tests::{Role, Subject};

/// All machines that have dialogues; each of them is played below.
const MACHINES: [&str; 8] = [
    "control-client",
    "control-server",
    "dns-stream",
    "imap-server",
    "pop3-client",
    "pop3-server",
    "smtp-client",
    "smtp-server",
];

#[test]
fn no_machine_is_forgotten() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/dialogues");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.path().is_dir());
    let mut machines: Vec<_> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    machines.sort();
    assert_eq!(machines, MACHINES);
}

pub(crate) fn dialogues_smtp_server(run: Run) {
    play::<bindings::SmtpServer>(run, "smtp-server");
}

pub(crate) fn dialogues_smtp_client(run: Run) {
    play::<bindings::SmtpClient>(run, "smtp-client");
}

pub(crate) fn dialogues_pop3_server(run: Run) {
    play::<bindings::Pop3Server>(run, "pop3-server");
}

pub(crate) fn dialogues_pop3_client(run: Run) {
    play::<bindings::Pop3Client>(run, "pop3-client");
}

pub(crate) fn dialogues_imap_server(run: Run) {
    play::<bindings::ImapServer>(run, "imap-server");
}

pub(crate) fn dialogues_control_server(run: Run) {
    play::<bindings::ControlServer>(run, "control-server");
}

pub(crate) fn dialogues_control_client(run: Run) {
    play::<bindings::ControlClient>(run, "control-client");
}

pub(crate) fn dialogues_dns_stream(run: Run) {
    play::<bindings::DnsStream>(run, "dns-stream");
}

/// Plays every dialogue of a machine, and then again with what the peer says cut into pieces.
fn play<S: Subject>(run: Run, machine: &str) {
    assert!(MACHINES.contains(&machine), "{machine} is missing in the list");
    let theatre = Theatre::open(run);
    let dialogues = dialogue::all(machine);
    let mut failures = Vec::new();
    for dialogue in &dialogues {
        if let Err(how) = one::<S>(&theatre, dialogue, Cut::Whole) {
            failures.push(how);
            continue;
        }
        match whole::<S>(dialogue) {
            Some(why) => println!("SKIPPED in pieces {}: {why}", dialogue.path.display()),
            None => failures.extend(one::<S>(&theatre, dialogue, Cut::Pieces).err()),
        }
    }
    failures.extend(theatre.close().err());
    let (failed, all) = (failures.len(), dialogues.len());
    assert!(failures.is_empty(), "{failed} failures in {all} dialogues:\n\n{}", failures.join("\n\n"));
}

fn one<S: Subject>(theatre: &Theatre, dialogue: &Dialogue, cut: Cut) -> Result<(), String> {
    let told = |how: String| format!("{}, {cut:?}: {how}", dialogue.path.display());
    let mut seat = match S::ROLE {
        Role::Server => theatre.connected(cut).map_err(told)?,
        Role::Client => theatre.dialed(cut).map_err(told)?,
    };
    dialogue::run_over::<S>(dialogue, &mut seat).map(drop).map_err(told)
}

/// Why this story would be another one if it was cut.
fn whole<S: Subject>(dialogue: &Dialogue) -> Option<&'static str> {
    let slow = |line: &Line, next: Option<&Line>| {
        let chunk = matches!(line.what, What::Chunk(_) | What::ChunkOf(_));
        let taken = |next: &Line| matches!(&next.what, What::Answer { which: None, text } if text == "taken");
        chunk && !next.is_some_and(taken)
    };
    let mut asked = false;
    for (at, line) in dialogue.lines.iter().enumerate() {
        let next = dialogue.lines.get(at + 1);
        if slow(line, next) {
            return Some("how much of a body is handed over before the host takes it depends on the cuts");
        }
        let Some((who, bytes)) = said(line) else { continue };
        let more = bytes.iter().position(|byte| *byte == b'\n').is_some_and(|at| at + 1 < bytes.len());
        let behind = more || next.and_then(said).is_some_and(|(who, _)| who != S::ROLE);
        // A server hears the request itself, a client the go-ahead.
        let request = bytes.starts_with(b"STARTTLS") || bytes.starts_with(b"STLS");
        if who != S::ROLE && behind && (request || asked) {
            return Some("what stands behind the request for a layer is neither cut from it nor joined to it");
        }
        asked = who == S::ROLE && request;
    }
    None
}

fn said(line: &Line) -> Option<(Role, &[u8])> {
    match &line.what {
        What::Says { who, bytes, .. } => Some((*who, bytes)),
        _ => None,
    }
}
