//! Inputs to begin with: what stands in the dialogues, the examples in this folder, and the words of each target.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pillarbox_core::Close;
use pillarbox_tests::dialogue::{self, Dialogue, Upgrade, What};
use pillarbox_tests::subject::Role;

use crate::session::script::mark;
use crate::{TARGETS, dns};

/// Machines whose dialogues become scripts of the target of the same name, and which side the machine is.
const MACHINES: [(&str, Role); 8] = [
    ("smtp-server", Role::Server),
    ("smtp-client", Role::Client),
    ("pop3-server", Role::Server),
    ("pop3-client", Role::Client),
    ("imap-server", Role::Server),
    ("control-server", Role::Server),
    ("control-client", Role::Client),
    ("dns-stream", Role::Client),
];

/// Targets that read the lines that one side says in the dialogues of a machine, each line alone.
const LINES: [(&str, &str, Role); 7] = [
    ("smtp-command", "smtp-server", Role::Client),
    ("pop3-command", "pop3-server", Role::Client),
    ("imap-command", "imap-server", Role::Client),
    ("address", "smtp-server", Role::Client),
    ("smtp-reply", "smtp-client", Role::Server),
    ("control-request", "control-server", Role::Client),
    ("dns-name", "smtp-server", Role::Client),
];

/// Targets that read all that one side says.
const STREAMS: [(&str, &str, Role); 7] = [
    ("imap-reader", "imap-server", Role::Client),
    ("imap-command", "imap-server", Role::Client),
    ("smtp-reply", "smtp-client", Role::Server),
    ("line", "smtp-server", Role::Client),
    ("dot", "smtp-server", Role::Client),
    ("sasl", "smtp-server", Role::Client),
    ("control-reply", "control-server", Role::Server),
];

/// Targets that read the examples of messages.
const MESSAGES: [&str; 7] =
    ["header", "structure", "message-text", "imap-response", "transfer", "structure-code", "dot"];

/// All seeds of all targets.
#[must_use]
pub fn all() -> BTreeMap<&'static str, Vec<Vec<u8>>> {
    let mut seeds: BTreeMap<&'static str, Vec<Vec<u8>>> = BTreeMap::new();
    let mut add = |target, input: Vec<u8>| seeds.entry(target).or_default().push(input);
    for (machine, role) in MACHINES {
        dialogue::all(machine).iter().for_each(|dialogue| add(machine, script(dialogue, role)));
    }
    for (target, machine, side) in LINES {
        for line in dialogue::all(machine).iter().flat_map(|dialogue| says(dialogue, side)) {
            let line = line.strip_suffix(b"\r\n").map(<[u8]>::to_vec).unwrap_or(line);
            add(target, if matches!(target, "address" | "dns-name") { between_brackets(&line) } else { line });
        }
    }
    for (target, machine, side) in STREAMS {
        dialogue::all(machine).iter().for_each(|dialogue| add(target, says(dialogue, side).concat()));
    }
    for message in examples() {
        for target in MESSAGES {
            add(target, message.clone());
        }
        let failed = b"alice@amber.example\nb@birch.example\n5.1.1 No such user\nmx.birch.example\n";
        add("bounce", [&failed[..], &message].concat());
        add("structure-code", crate::message::structure_of(&message).encode().to_vec());
    }
    for target in TARGETS {
        for word in (target.words)() {
            add(target.name, word.as_bytes().to_vec());
        }
    }
    dns::seeds().into_iter().for_each(|(target, input)| add(target, input));
    crate::node::seeds().into_iter().for_each(|input| add("node", input));
    crate::channel::seeds().into_iter().for_each(|input| add("channel", input));
    for plan in 0..64_u8 {
        add("well-made", (0..120).map(|n: u8| n.wrapping_mul(plan).wrapping_add(plan / 3)).collect());
        add("numbers", (0..48).map(|n: u8| n.wrapping_mul(plan | 1).wrapping_add(plan)).collect());
    }
    seeds
}

/// The examples of messages in this folder.
fn examples() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let read = |path: &PathBuf| std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    // They are kept with LF, and travel with CRLF.
    let travels = |message: Vec<u8>| message.split_inclusive(|octet| *octet == b'\n').flat_map(with_crlf).collect();
    paths.iter().map(read).map(travels).collect()
}

fn with_crlf(line: &[u8]) -> Vec<u8> {
    line.strip_suffix(b"\n").map_or_else(|| line.to_vec(), |line| [line, b"\r\n"].concat())
}

/// What one side says, each line as it travels.
fn says(dialogue: &Dialogue, side: Role) -> Vec<Vec<u8>> {
    let said = dialogue.lines.iter().filter_map(|line| match &line.what {
        What::Says { who, bytes, .. } if *who == side => Some(bytes.clone()),
        _ => None,
    });
    said.collect()
}

fn between_brackets(line: &[u8]) -> Vec<u8> {
    let from = line.iter().position(|octet| *octet == b'<').map_or(0, |at| at + 1);
    let to = line.iter().rposition(|octet| *octet == b'>').unwrap_or(line.len());
    line.get(from..to).unwrap_or_default().to_vec()
}

/// A dialogue as a script.
fn script(dialogue: &Dialogue, role: Role) -> Vec<u8> {
    let mut script = dialogue.settings.line().into_bytes();
    script.push(b'\n');
    let mut peer_spoke = false;
    for line in &dialogue.lines {
        let said = matches!(&line.what, What::Says { who, .. } if *who != role);
        match &line.what {
            What::Says { bytes, .. } if said => {
                if !peer_spoke && script.last() != Some(&b'\n') {
                    script.push(mark::PAUSE);
                }
                script.extend(bytes.iter().filter(|octet| **octet < mark::OLDEST));
            }
            What::Answer { which, text } => {
                script.push(if *which == Some(1) { mark::OLDEST } else { mark::NEWEST });
                script.extend_from_slice(text.as_bytes());
            }
            What::After(time) => {
                let doubled = (1..20).find(|n| 100 << n >= time.as_millis()).unwrap_or(0);
                script.extend([mark::TIME, doubled]);
            }
            What::Close(why) => script.extend([
                mark::CLOSE,
                match why {
                    Close::Eof => 0,
                    Close::Error => 1,
                    Close::Layer => 2,
                    Close::Shutdown => 3,
                },
            ]),
            What::Upgrade(upgrade) => script.extend([
                mark::LAYER,
                match upgrade {
                    Upgrade::Up => 0,
                    Upgrade::Verified => 1,
                    Upgrade::Fails => 2,
                },
            ]),
            What::Says { .. } | What::Action(_) | What::Chunk(_) | What::ChunkOf(_) | What::End(_) => {}
        }
        peer_spoke = said;
    }
    script
}
