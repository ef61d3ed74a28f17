//! The ten mistakes of `docs/bring-your-own-runtime.md`: in each test a host makes one and comes to grief, and the same
//! host without it does not.

#![allow(clippy::unwrap_used)]

mod desks;
mod host;
mod page;

use std::io::{self, Read as _, Write as _};
use std::mem;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use pillarbox_core::channel::{Channel, ChannelConfig, Side};
use pillarbox_core::dns::{Config, Limits, LookupId, Resolver, ResolverStep};
use pillarbox_core::session::Answer as _;
use pillarbox_core::smtp::server::{self, RecipientAnswer, Server, Service};
use pillarbox_core::{End, Misuse, Now, Outbox, Seed, SessionId, Step};

use desks::{LONG, Smtp, SmtpDesk, pop3, smtp};
use host::Mistake;

const ENVELOPE: &str = "EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<bob@example.org>\r\n";
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn reading_although_told_not_to() {
    let kept = |mistake| {
        let mut host = smtp(1, SmtpDesk { slow: true, ..SmtpDesk::default() }, mistake);
        host.peer.piece = 16 * 1024;
        host.peer.says(format!("{ENVELOPE}DATA\r\n{}", "All work and no play.\r\n".repeat(200_000)));
        host.run();
        assert_eq!(host.desk.chunks.len(), 2, "the window");
        host.rx.len()
    };
    assert!(kept(None) <= 64 * 1024, "{}", kept(None));
    assert!(kept(Some(Mistake::ReadsAlways)) > 4_000_000);
}

#[test]
fn writing_without_polling_again() {
    let heard = |mistake| {
        let mut host = pop3(mistake);
        host.peer.says("RETR 1\r\n");
        host.run();
        let heard = host.peer.heard();
        (heard.ends_with("\r\n.\r\n"), heard.len() as u64 > LONG)
    };
    assert_eq!(heard(None), (true, true));
    assert_eq!(heard(Some(Mistake::NoPollAfterWriting)), (false, false));
}

#[test]
fn sleeping_past_the_deadline() {
    let after_a_day = |mistake| {
        let mut host = smtp(1, SmtpDesk::default(), mistake);
        host.sleep(HOUR * 24);
        (host.end, host.peer.heard().contains("\r\n421 "))
    };
    assert_eq!(after_a_day(None), (Some(End::Timeout), true));
    assert_eq!(after_a_day(Some(Mistake::NoTimer)), (None, false));
}

#[test]
fn taking_the_end_for_an_error() {
    let heard = |mistake| {
        let mut host = smtp(1, SmtpDesk { asks: true, ..SmtpDesk::default() }, mistake);
        host.peer.says(ENVELOPE);
        host.peer.closed = true;
        host.run();
        let ticket = host.desk.recipients.pop().unwrap();
        host.channel.answer(ticket, RecipientAnswer::Accepted).unwrap();
        host.run();
        (host.end, host.peer.heard().contains("\r\n250 2.1.5 "))
    };
    assert_eq!(heard(None), (Some(End::Eof), true));
    assert_eq!(heard(Some(Mistake::EndIsAnError)), (Some(End::Broken), false));
}

#[test]
fn taking_an_error_for_the_end() {
    let locked = |mistake| {
        let mut host = pop3(mistake);
        host.peer.gone = true;
        host.peer.says("RETR 1\r\n");
        host.run();
        let at_once = host.desk.locked;
        host.sleep(HOUR);
        (at_once, host.desk.locked)
    };
    assert_eq!(locked(None), (false, false));
    assert_eq!(locked(Some(Mistake::ErrorIsTheEnd)), (true, false), "nobody gets at the mail until the time limit");
}

#[test]
fn closing_without_flushing() {
    let heard = |mistake| {
        let mut host = smtp(1, SmtpDesk::default(), mistake);
        host.peer.says("QUIT\r\n");
        host.run();
        (host.end, host.peer.heard().contains("\r\n221 "))
    };
    assert_eq!(heard(None), (Some(End::Quit), true));
    assert_eq!(heard(Some(Mistake::NoLastFlush)), (Some(End::Quit), false));
}

/// Here the kernel is the judge: a client over loopback, which says more than the host reads.
#[test]
fn closing_with_bytes_unread() {
    let heard = |lingers: bool| -> io::Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(b"QUIT\r\nNOOP\r\n").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let host = thread::spawn(move || quit_over(listener.accept().unwrap().0, lingers));
        host.join().unwrap();
        let mut heard = String::new();
        client.read_to_string(&mut heard).map(|_| heard)
    };
    assert!(heard(true).is_ok_and(|heard| heard.contains("\r\n221 ")));
    assert_eq!(heard(false).map_err(|error| error.kind()), Err(io::ErrorKind::ConnectionReset));
}

/// A host that reads no further than QUIT.
fn quit_over(mut stream: TcpStream, lingers: bool) {
    let config = Arc::new(server::Config::new("mx.example.org", Service::Transfer));
    let session = Server::new(SessionId(1), config, server::Peer { address: stream.peer_addr().unwrap() });
    let mut channel = Channel::new(session, ChannelConfig::plain(Side::Server));
    let (mut rx, mut tx) = (BytesMut::new(), Outbox::new(64 * 1024));
    while !matches!(channel.poll(Now::default(), &mut rx, &mut tx), Step::Done(_)) {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        rx.extend_from_slice(&byte);
    }
    while let Some(bytes) = tx.pop() {
        stream.write_all(&bytes).unwrap();
    }
    if lingers {
        stream.shutdown(Shutdown::Write).unwrap();
        io::copy(&mut stream, &mut io::sink()).unwrap();
    }
}

#[test]
fn giving_two_sessions_one_id() {
    let crossed = |ids: [u64; 2]| {
        let [mut alice, mut mallory] = ids.map(|id| smtp(id, SmtpDesk { asks: true, ..SmtpDesk::default() }, None));
        for host in [&mut alice, &mut mallory] {
            host.peer.says(ENVELOPE);
            host.run();
        }
        // The answer to one, given to the other.
        let _asked = mallory.desk.recipients.pop().unwrap();
        let late = alice.desk.recipients.pop().unwrap();
        let outcome = mallory.channel.answer(late, RecipientAnswer::Accepted);
        mallory.run();
        (outcome, mallory.peer.heard().contains("\r\n250 2.1.5 "))
    };
    assert_eq!(crossed([1, 2]), (Err(Misuse::ForeignTicket), false));
    assert_eq!(crossed([1, 1]), (Ok(()), true), "a recipient that nobody has looked at is accepted");
}

#[test]
fn clearing_what_is_half_read() {
    let heard = |mistake| {
        let mut host = smtp(1, SmtpDesk::default(), mistake);
        host.peer.piece = 5;
        host.peer.says(ENVELOPE);
        host.run();
        host.peer.heard().contains("\r\n250 2.1.5 ")
    };
    assert!(heard(None));
    assert!(!heard(Some(Mistake::ClearsTheBuffer)));
}

#[test]
fn lending_a_buffer_that_is_not_empty() {
    let heard = |looks: bool| {
        let (mut alice, mut bob) = (smtp(1, SmtpDesk::default(), None), smtp(2, SmtpDesk::default(), None));
        let lend = |from: &mut Smtp, to: &mut Smtp| {
            if from.rx.is_empty() || !looks {
                mem::swap(&mut from.rx, &mut to.rx);
            }
        };
        alice.peer.says("MAIL FROM:<ali");
        alice.run();
        lend(&mut alice, &mut bob);
        bob.peer.says("NOOP\r\n");
        bob.run();
        lend(&mut bob, &mut alice);
        bob.peer.heard().contains("\r\n250 ")
    };
    assert!(heard(true));
    assert!(!heard(false), "bob said what alice had begun to say");
}

#[test]
fn deadlines_by_the_wall_clock() {
    let forward = |mistake| {
        let mut host = smtp(1, SmtpDesk::default(), mistake);
        host.birth += HOUR;
        host.peer.says("NOOP\r\n");
        host.run();
        (host.end, host.peer.heard().contains("\r\n250 "))
    };
    assert_eq!(forward(None), (None, true));
    assert_eq!(forward(Some(Mistake::WallClockOnly)), (Some(End::Timeout), false));

    let back = |mistake| {
        let mut host = smtp(1, SmtpDesk::default(), mistake);
        host.birth -= HOUR;
        host.sleep(HOUR);
        host.end
    };
    assert_eq!(back(None), Some(End::Timeout));
    assert_eq!(back(Some(Mistake::WallClockOnly)), None);
}

#[test]
fn polling_once() {
    let accepted = |mistake| {
        let mut host = smtp(1, SmtpDesk::default(), mistake);
        host.peer.says(format!("{ENVELOPE}RCPT TO:<carol@example.org>\r\nRCPT TO:<dave@example.org>\r\n"));
        host.run();
        host.peer.heard().matches("\r\n250 2.1.5 ").count()
    };
    assert_eq!(accepted(None), 3);
    assert!(accepted(Some(Mistake::PollsOnce)) < 3);
}

#[test]
fn taking_more_for_wait() {
    let answered = |mistake| {
        let mut host = smtp(1, SmtpDesk::default(), mistake);
        host.peer.says("NOOP\r\n".repeat(1000));
        host.run();
        host.peer.heard().matches("\r\n250 ").count()
    };
    assert_eq!(answered(None), 1000);
    assert!(answered(Some(Mistake::StopsAtMore)) < 100);
}

#[test]
fn a_seed_that_can_be_guessed() {
    let ids = |seed: &Seed| {
        let servers = vec![([192, 0, 2, 53], 53).into()];
        let mut resolver = Resolver::new(Config { servers, limits: Limits::default() }, seed);
        let mut ids = Vec::new();
        (0..8).for_each(|n| resolver.lookup_mx(Now::default(), LookupId(n), &format!("{n}.example.org")));
        loop {
            match resolver.poll(Now::default()) {
                ResolverStep::Send { bytes, .. } => ids.push([bytes[0], bytes[1]]),
                ResolverStep::Wait { .. } => return ids,
                _ => {}
            }
        }
    };
    let zero = Seed([0; 32]);
    assert_eq!(ids(&zero).len(), 8);
    assert_eq!(ids(&zero), ids(&zero), "whoever knows the seed knows the ids");
    assert_ne!(ids(&pillarbox_runtime::seed().unwrap()), ids(&pillarbox_runtime::seed().unwrap()));
}
