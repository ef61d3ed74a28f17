//! Every machine under TLS: its dialogues, and all laws over them, from the far end of a channel.
//!
//! Left out are the stories that ask for a layer, or lose one: the channel brings its own. So are those in [`IN_BAND`].

use pillarbox_core::Close;
use pillarbox_tests::bindings::{DnsStream, SmtpClient, SmtpServer};
use pillarbox_tests::dialogue::{self, What};
use pillarbox_tests::laws;
use pillarbox_tests::subject::Subject;
use pillarbox_tests::tunnel::{Tunnelled, tap, tapped};

#[global_allocator]
static COUNTING: pillarbox_tests::alloc::Counting = pillarbox_tests::alloc::Counting;

/// Under TLS an orderly end is a record among others, and is heard when the session wants to read; in these stories it is
/// heard before.
const IN_BAND: [&str; 1] = ["reply-then-eof.txt"];

#[test]
fn smtp_client() {
    check::<SmtpClient>("smtp-client");
}

#[test]
fn smtp_server() {
    check::<SmtpServer>("smtp-server");
}

#[test]
fn dns_stream() {
    check::<DnsStream>("dns-stream");
}

fn check<B: Subject>(machine: &str) {
    let mut failures = Vec::new();
    for (index, mut dialogue) in dialogue::all(machine).into_iter().enumerate() {
        let in_band = IN_BAND.iter().any(|name| dialogue.path.ends_with(name));
        if in_band || dialogue.lines.iter().any(|line| layered(&line.what)) {
            continue;
        }
        // What is secret inside the channel is its tap's to hide: outside there is nothing to be seen.
        let secrets = std::mem::take(&mut dialogue.secrets);
        tap();
        let story = match dialogue::run::<Tunnelled<B>>(&dialogue) {
            Ok(story) => story,
            Err(how) => {
                failures.push(how);
                continue;
            }
        };
        let seen = String::from_utf8_lossy(&tapped()).into_owned();
        let leaked = secrets.iter().filter(|secret| seen.contains(secret.as_str()));
        failures.extend(leaked.map(|secret| format!("{}: the tap saw {secret}", dialogue.path.display())));
        let laws = laws::all::<Tunnelled<B>>();
        // Law 5 sends megabytes, in a build without optimisation. Each machine has its own tests; this is about the channel.
        let laws = laws.iter().enumerate().filter(|(law, _)| index % if *law == 4 { 16 } else { 4 } == 0);
        failures.extend(laws.filter_map(|(_, law)| law(&dialogue, &story).err()));
    }
    assert!(failures.is_empty(), "{} failures:\n\n{}", failures.len(), failures.join("\n\n"));
}

fn layered(what: &What) -> bool {
    match what {
        What::Upgrade(_) | What::Close(Close::Layer) => true,
        What::Says { bytes, .. } => bytes.starts_with(b"STARTTLS") || bytes.starts_with(b"STLS"),
        _ => false,
    }
}
