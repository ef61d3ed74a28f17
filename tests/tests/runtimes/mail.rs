//! Mail all the way: in by SMTP or submission, over to another provider, out by POP3.

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{Message, SmtpTransport, Transport as _};
use pillarbox_core::dns::responder::{Behaviour, Zone};
use pillarbox_core::node::Event;
use pillarbox_runtime::Run;

use crate::names::Names;
use crate::provider::{Opening, Provider, address, certified};
use crate::talk::Talk;

const MESSAGE: &[u8] = b"Subject: hello\r\n\r\nHello, world\r\n";

/// In by SMTP, out by POP3, and gone.
pub(crate) fn to_a_mailbox(run: Run) {
    let folder = tempfile::tempdir().unwrap();
    let amber = Opening::new("amber.example").kept_in(folder.path()).accounts(&["bob"]).on(run);
    let mut talk = Talk::smtp(amber.smtp);
    talk.give("x@client.example", "bob@amber.example", MESSAGE);
    talk.say("RCPT TO:<x@elsewhere.example>", "503 ");
    talk.say("MAIL FROM:<x@client.example>", "250 ");
    talk.say("RCPT TO:<x@elsewhere.example>", "550 5.7.1");
    talk.say("QUIT", "221 ");
    talk.ends();
    let mail = amber.fetch("bob");
    assert_eq!(mail.len(), 1);
    assert!(mail[0].ends_with(MESSAGE), "{}", mail[0].escape_ascii());
    assert!(amber.fetch("bob").is_empty());
    amber.stop();
}

/// With a client that we did not write, over TLS, with a password.
pub(crate) fn submission_over_tls(run: Run) {
    let amber = Opening::new("amber.example").accounts(&["alice", "bob"]).on(run);
    let trusted = Certificate::from_pem(certified().0.as_bytes()).unwrap();
    let tls = TlsParameters::builder("mx.amber.example".to_owned()).add_root_certificate(trusted).build().unwrap();
    let transport = SmtpTransport::builder_dangerous(amber.submission.ip().to_string())
        .port(amber.submission.port())
        .tls(Tls::Required(tls))
        .credentials(Credentials::new("alice".to_owned(), "alice".to_owned()))
        .build();
    let builder = Message::builder().from("alice@amber.example".parse().unwrap());
    let message = builder.to("bob@amber.example".parse().unwrap()).subject("hello").body("Hello, world".to_owned());
    let said = transport.send(&message.unwrap()).unwrap();
    assert!(said.is_positive());
    drop(transport);
    let mail = String::from_utf8(amber.fetch("bob").remove(0)).unwrap();
    assert!(mail.contains("with ESMTPSA id"), "{mail}");
    amber.stop();
}

/// By MX, over TLS; names by datagram.
pub(crate) fn relay_over_udp_dns(run: Run) {
    let names = relay(run, |zone| zone);
    assert_eq!(names.streams(), 0);
}

/// The answers do not fit into a datagram.
pub(crate) fn relay_over_tcp_dns(run: Run) {
    let names = relay(run, |zone| {
        zone.behaviour("birch.example", Behaviour::Truncate).behaviour("mx.birch.example", Behaviour::Truncate)
    });
    assert!(names.streams() >= 2, "{}", names.streams());
}

fn relay(run: Run, zone: impl Fn(Zone) -> Zone) -> Names {
    let birch = Opening::new("birch.example").accounts(&["carol"]).on(run);
    let names = Names::serve([zone(birch.zone("birch.example"))]);
    let amber = sender(&names, birch.smtp.port()).on(run);
    submit(&amber, "carol@birch.example");
    birch.accepted(1);
    let mail = String::from_utf8(birch.fetch("carol").remove(0)).unwrap();
    assert_eq!(mail.matches("\r\nReceived: ").count(), 2, "{mail}");
    assert!(mail.contains("with ESMTPS id") && mail.ends_with("Hello, world\r\n"), "{mail}");
    amber.stop();
    birch.stop();
    names
}

/// The next hop is down, then comes up: the queue delivers.
pub(crate) fn next_hop_comes_back(run: Run) {
    let (ip, port) = (address(), 2525);
    let names = Names::serve([zone_at("birch.example", ip.octets())]);
    let amber = sender(&names, port).on(run);
    submit(&amber, "carol@birch.example");
    amber.heard.hears("refused dial", |event| matches!(event, Event::Unreachable { .. }));
    let birch = Opening::new("birch.example").at(ip, port).accounts(&["carol"]).on(run);
    birch.accepted(1);
    assert_eq!(birch.fetch("carol").len(), 1);
    amber.stop();
    birch.stop();
}

/// What was queued is delivered by whoever opens the store next.
pub(crate) fn restart_delivers_what_was_queued(run: Run) {
    let (folder, ip, port) = (tempfile::tempdir().unwrap(), address(), 2525);
    let names = Names::serve([zone_at("birch.example", ip.octets())]);
    let opening = || Opening::new("amber.example").delivers(names.address, port).kept_in(folder.path());
    let amber = opening().accounts(&["alice"]).on(run);
    submit(&amber, "carol@birch.example");
    assert_eq!(amber.queue().len(), 1);
    amber.stop();
    let birch = Opening::new("birch.example").at(ip, port).accounts(&["carol"]).on(run);
    let amber = opening().on(run);
    birch.accepted(1);
    assert_eq!(birch.fetch("carol").len(), 1);
    amber.stop();
    birch.stop();
}

/// The preferred host refuses the connection: the next one has it.
pub(crate) fn refused_dial_goes_elsewhere(run: Run) {
    let birch = Opening::new("birch.example").accounts(&["carol"]).on(run);
    let zone = Zone::new("birch.example")
        .mx("birch.example", 10, "down.birch.example")
        .mx("birch.example", 20, "mx.birch.example")
        .a("down.birch.example", address())
        .a("mx.birch.example", birch.ip());
    let names = Names::serve([zone]);
    let amber = sender(&names, birch.smtp.port()).on(run);
    submit(&amber, "carol@birch.example");
    birch.accepted(1);
    amber
        .heard
        .hears("refused dial", |event| matches!(event, Event::Unreachable { host, .. } if host.contains("down")));
    amber.stop();
    birch.stop();
}

/// Some megabytes in, over, and out.
pub(crate) fn large_message(run: Run) {
    let folder = tempfile::tempdir().unwrap();
    let birch = Opening::new("birch.example").kept_in(folder.path()).accounts(&["carol"]).on(run);
    let names = Names::serve([birch.zone("birch.example")]);
    let amber = sender(&names, birch.smtp.port()).on(run);
    let mut message = b"Subject: large\r\n\r\n".to_vec();
    for line in 0..60_000 {
        message.extend_from_slice(format!("{line:070}\r\n").as_bytes());
    }
    Talk::submission(amber.submission, "alice").give("alice@amber.example", "carol@birch.example", &message);
    birch.accepted(1);
    let mail = birch.fetch("carol").remove(0);
    assert!(mail.ends_with(&message[message.len() - 4_000_000..]), "{} bytes", mail.len());
    amber.stop();
    birch.stop();
}

/// Amber, with alice.
fn sender(names: &Names, port: u16) -> Opening {
    Opening::new("amber.example").delivers(names.address, port).accounts(&["alice"])
}

fn submit(amber: &Provider, to: &str) {
    let mut talk = Talk::submission(amber.submission, "alice");
    talk.give("alice@amber.example", to, MESSAGE);
    talk.say("QUIT", "221 ");
}

fn zone_at(domain: &str, ip: [u8; 4]) -> Zone {
    let host = format!("mx.{domain}");
    Zone::new(domain).mx(domain, 10, &host).a(&host, ip)
}
