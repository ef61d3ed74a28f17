//! SMTP's commands, replies and addresses.

use bytes::BytesMut;
use pillarbox_core::ops::Destination;
use pillarbox_core::router::{NextHop, Place, Route, Routes, verdict};
use pillarbox_core::smtp::command::{Command, CommandError};
use pillarbox_core::smtp::{
    Address, Domain, Extensions, MAX_ADDRESS, MAX_LOCAL, Path, Reply, ReplyBounds, ReplyError, ReplyParser,
};

use crate::gauge::{Allowance, Steps, linear};
use crate::pieces::ways;

pub(crate) fn words() -> &'static [&'static str] {
    &[
        "EHLO ",
        "HELO ",
        "MAIL FROM:<",
        "RCPT TO:<",
        "DATA",
        "BDAT 5 LAST",
        "RSET",
        "NOOP",
        "VRFY ",
        "HELP",
        "QUIT",
        "STARTTLS",
        "AUTH PLAIN ",
        "AUTH LOGIN",
        "EXPN ",
        " SIZE=",
        " BODY=8BITMIME",
        " BODY=7BIT",
        " SMTPUTF8",
        "[IPv6:",
        "::1]",
        "[192.0.2.1]",
        "postmaster",
        "@a.example,@b.example:",
        "\"a\\\"b\"@",
        "xn--",
        "\u{fc}",
        "\u{7528}\u{6237}",
        "250-",
        "250 ",
        "\r\n",
        "5.1.1 ",
        "354 ",
        "421 ",
        "PIPELINING",
        "8BITMIME",
        "CHUNKING",
        "SIZE ",
        "=?",
        "GET / HTTP/1.1",
    ]
}

/// One line as a command.
pub(crate) fn command(line: &[u8]) {
    let parsed = linear(line.len(), Allowance::of(100, 8192), || Command::parse(line));
    match &parsed {
        Ok(Command::Mail { path, .. } | Command::Rcpt { path }) => {
            if let Path::Mailbox(address) = path {
                sound(address);
            }
        }
        Ok(Command::Ehlo(name) | Command::Helo(name)) => {
            assert!(name.is_ascii() && !name.contains([' ', '(', ')', '\r', '\n', '\0', '<', '>', ';']), "{name:?}");
        }
        Ok(Command::Auth { mechanism, initial }) => {
            assert!(Command::is_auth(line) && !mechanism.is_empty());
            if let Some(initial) = initial {
                let secret = Command::secret(line.trim_ascii_end()).expect("an initial response is secret");
                assert!(line[secret].ends_with(initial));
            }
        }
        Ok(_) | Err(CommandError::NotUtf8) => {}
        // Errors are shown to the peer, and what he sent must not be.
        Err(error) => assert!(format!("{error:?}").len() < 200),
    }
    if let Some(secret) = Command::secret(line) {
        assert!(secret.end == line.len() && secret.start < secret.end);
    }
    // A command means the same in any letter case of its verb, and with blanks behind it.
    let verb = line.iter().take_while(|octet| octet.is_ascii_alphabetic()).count();
    let mut other = line.to_vec();
    other[..verb].make_ascii_lowercase();
    other.extend_from_slice(b" ");
    let again = Command::parse(&other);
    assert_eq!(parsed.is_ok(), again.is_ok());
    if verb_matters_not(&parsed) {
        assert_eq!(parsed, again);
    }
}

/// What is borrowed from the line stays as it was written; all else is the same.
fn verb_matters_not(parsed: &Result<Command<'_>, CommandError>) -> bool {
    parsed.is_ok()
}

/// Text as an address, a path, a domain.
pub(crate) fn address(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let parsed = linear(text.len(), Allowance::of(100, 8192), || text.parse::<Address>());
    if let Ok(address) = parsed {
        sound(&address);
    }
    if let Ok((path, rest)) = Path::parse(text) {
        assert!(text.ends_with(rest));
        if let Path::Mailbox(address) = path {
            sound(&address);
        }
    }
    if let Ok(domain) = text.parse::<Domain>() {
        assert_eq!(domain.to_string().parse(), Ok(domain.clone()));
        if let Domain::Name(name) = domain {
            assert!(!name.ends_with('.') && !name.contains(|c: char| c.is_ascii_uppercase()));
        }
    }
    let (local, domain) = text.rsplit_once('@').unwrap_or((text, "example.org"));
    if let Ok(address) = Address::new(local, domain) {
        sound(&address);
        routed(&address);
    }
}

/// Where an address belongs does not depend on how its domain is written, and its destination is kept as a text.
fn routed(address: &Address) {
    let routes = Routes {
        hostname: "mx.example.org".into(),
        domains: vec!["example.org".into(), "b\u{fc}cher.example".into()],
        routes: vec![
            Route { domain: "relayed.example".into(), to: NextHop { host: "192.0.2.9".into(), port: 25 } },
            Route { domain: "xn--4ca.example".into(), to: NextHop { host: "::1".into(), port: 2525 } },
        ],
    };
    let (place, lookup) = (routes.place(address), routes.lookup(address));
    let destination = routes.destination(address);
    assert_eq!(Destination::from_key(&destination.key()), destination);
    assert_eq!(place == Place::Ours, destination == Destination::Local, "{address}");
    assert!(place == Place::Ours || *lookup == *address, "{address} is looked up as {lookup}");
    assert_eq!(routes.lookup(&lookup), lookup);
    if place == Place::Ours {
        assert_eq!(routes.place(&lookup), Place::Ours, "{address} is looked up as {lookup}");
    } else {
        assert!(verdict(false, &place, None).is_err(), "a stranger may relay to {address}");
    }
    if let Destination::Route(hop) = destination {
        assert!(hop.parse::<NextHop>().is_ok_and(|read| read.to_string() == hop), "{hop}");
    }
}

/// An address is shown so that it reads the same, alone and in a path.
fn sound(address: &Address) {
    let shown = address.to_string();
    assert!(!shown.contains(|c: char| c.is_control()), "{shown:?}");
    assert!(shown.len() <= MAX_ADDRESS && address.local().len() <= MAX_LOCAL, "{shown:?}");
    assert_eq!(shown.parse::<Address>().as_ref(), Ok(address));
    assert_eq!(Address::new(address.local(), &address.domain().to_string()).as_ref(), Ok(address));
    let in_brackets = format!("<{shown}> X");
    assert_eq!(Path::parse(&in_brackets), Ok((Path::Mailbox(address.clone()), " X")));
}

const BOUNDS: ReplyBounds = ReplyBounds { line: 100, reply: 400, text: 60 };

/// Replies, and how the stream ended.
type Replies = (Vec<(Reply, Vec<Vec<u8>>)>, Option<ReplyError>);

/// A stream of replies; what they say of extensions is read, too.
pub(crate) fn reply(stream: &[u8]) {
    let whole = linear(stream.len(), Allowance::of(200, 4096).allocations(8), || replies(&[stream]));
    for (reply, lines) in &whole.0 {
        assert!((200..600).contains(&reply.code()));
        assert!(!reply.text().contains(|c: char| c.is_control()), "{reply}");
        assert!(reply.text().len() <= BOUNDS.text + " / \u{2026}".len(), "{reply}");
        let shown = format!("{reply}\r\n");
        assert!(shown.len() < 200, "{shown}");
        let mut offered = Extensions::default();
        lines.iter().filter_map(|line| std::str::from_utf8(line).ok()).for_each(|line| offered.note(line));
        let mut again = Extensions::default();
        offered.lines().for_each(|line| again.note(&line.to_string()));
        assert_eq!(again, offered);
    }
    for pieces in ways(stream) {
        assert_eq!(replies(&pieces), whole);
    }
}

fn replies(pieces: &[&[u8]]) -> Replies {
    let mut steps = Steps::of(pieces.iter().map(|piece| piece.len()).sum(), 1, 1);
    let (mut parser, mut rx, mut seen) = (ReplyParser::new(BOUNDS), BytesMut::new(), Vec::new());
    let mut lines = Vec::new();
    for piece in pieces {
        rx.extend_from_slice(piece);
        loop {
            match parser.next(&mut rx, |line| lines.push(line.to_vec())) {
                Ok(Some(code)) => {
                    steps.step();
                    assert_eq!(parser.reply().code(), code);
                    seen.push((parser.reply(), std::mem::take(&mut lines)));
                }
                Ok(None) => break,
                Err(error) => return (seen, Some(error)),
            }
        }
        assert_eq!(parser.is_inside(&rx), !rx.is_empty() || !lines.is_empty());
    }
    (seen, None)
}
