//! The SMTP client machine against servers that misbehave: honest ones with moods, whose word is checked against what
//! the client reports, and senseless ones, against which it must only stay sane.

use bytes::{Buf as _, Bytes, BytesMut};
use pillarbox_core::sasl::Credentials;
use pillarbox_core::smtp::client::{Action, BodyAnswer, Client, Config, Envelope, Limits, Next, Outcome, Tls};
use pillarbox_core::{
    Answer as _, Close, Direction, LayerInfo, Mono, Now, Outbox, Session as _, SessionId, SessionLimits, Step, TlsInfo,
    WaitingOn, Wall,
};
use proptest::prelude::*;

/// A tape of random octets that is read round and round.
struct Dice(Vec<u8>, usize);

impl Dice {
    fn roll(&mut self) -> u8 {
        self.1 += 1;
        // The counter keeps a short tape from looping through one behaviour for ever.
        self.0[self.1 % self.0.len()].wrapping_add((self.1 / self.0.len()) as u8)
    }

    fn one_in(&mut self, n: u8) -> bool {
        self.roll().is_multiple_of(n)
    }
}

#[derive(Clone, Debug)]
struct Mail {
    recipients: usize,
    body: Vec<u8>,
}

fn mails() -> impl Strategy<Value = Vec<Mail>> {
    let line = prop_oneof![Just("."), Just(".."), Just(""), Just("Hello"), Just(".x\r\n.\r\n."), Just("QUIT")];
    let body = prop::collection::vec(line, 0..12).prop_map(|lines| lines.join("\r\n").into_bytes());
    prop::collection::vec((1_usize..6, body).prop_map(|(recipients, body)| Mail { recipients, body }), 0..5)
}

fn config(high_water: usize, chunk: usize) -> Config {
    let session = SessionLimits { high_water, chunk, ..SessionLimits::default() };
    Config {
        hostname: "client.example".into(),
        tls: Tls::Opportunistic,
        credentials: Some(Credentials { authzid: "".into(), authcid: "tim".into(), password: "hunter2".into() }),
        cleartext_auth: true,
        limits: Limits { session, line: 128, reply: 512, text: 100, ..Limits::default() },
    }
}

fn envelope(number: usize, mail: &Mail) -> Envelope {
    let recipient = |i: usize| format!("m{number}r{i}@example.net").parse().expect("an address");
    Envelope {
        reverse_path: number.is_multiple_of(2).then(|| "alice@example.org".parse().expect("an address")),
        recipients: (0..mail.recipients).map(recipient).collect(),
        size: mail.body.len() as u64,
        smtputf8: false,
        eight_bit: false,
    }
}

/// What the host of the client has seen.
#[derive(Default)]
struct Host {
    mails: Vec<Mail>,
    /// The message last given to the client.
    given: usize,
    /// It has no outcome yet.
    open: bool,
    outcomes: Vec<Outcome>,
    /// It may close the session right behind an answer.
    breaks: bool,
    usable: bool,
    unusable: usize,
    masked: Vec<(u64, u64)>,
}

impl Host {
    /// Polls to rest, answering everything. `None` when it is over.
    fn drive(
        &mut self,
        client: &mut Client,
        now: Now,
        rx: &mut BytesMut,
        tx: &mut Outbox,
        dice: &mut Dice,
    ) -> Option<Option<Mono>> {
        loop {
            let step = client.poll(now, rx, tx);
            for span in client.secrets() {
                assert_eq!(span.direction, Direction::Out);
                self.masked.push((span.start, span.end));
            }
            match step {
                Step::Act(Action::Next { ticket }) => {
                    assert!(!self.open && self.unusable == 0);
                    self.usable = true;
                    let next = match self.mails.get(self.given) {
                        Some(mail) => Next::Message(envelope(self.given, mail)),
                        None => Next::Quit,
                    };
                    self.open = next != Next::Quit;
                    self.given += usize::from(self.open);
                    client.answer(ticket, next).expect("its own ticket");
                    if self.breaks && dice.one_in(16) {
                        client.close(if dice.one_in(2) { Close::Shutdown } else { Close::Error });
                    }
                }
                Step::Act(Action::Body { ticket, offset, len }) => {
                    assert!(self.open && len > 0 && !tx.is_full());
                    let body = &self.mails[self.given - 1].body;
                    let from = usize::try_from(offset).expect("a small body");
                    let most = body.len().min(from + len);
                    let to = from + 1 + usize::from(dice.roll()) % (most - from);
                    let answer = if dice.one_in(60) {
                        BodyAnswer::Unreadable
                    } else {
                        BodyAnswer::Bytes(Bytes::copy_from_slice(&body[from..to]))
                    };
                    client.answer(ticket, answer).expect("its own ticket");
                }
                Step::Act(Action::Outcome(outcome)) => {
                    assert!(self.open, "an outcome for no message");
                    assert_eq!(outcome.replies.len(), self.mails[self.given - 1].recipients);
                    for reply in &outcome.replies {
                        assert!(reply.is_positive() || reply.is_transient() || reply.is_permanent());
                        assert!(!reply.text().contains(char::is_control) && reply.text().len() < 300);
                    }
                    self.open = false;
                    self.outcomes.push(outcome);
                }
                Step::Act(Action::Unusable { reply }) => {
                    assert!(!self.usable && !reply.text().contains(char::is_control));
                    self.unusable += 1;
                }
                Step::Upgrade(_) => {
                    let info = TlsInfo { version: "TLS1.3", cipher: "TLS13_AES_128_GCM_SHA256", verified: false };
                    client.upgraded(LayerInfo::Tls(info));
                }
                Step::More => {}
                Step::Wait(wait) => {
                    assert!(wait.read && wait.until.is_some_and(|until| until > now.mono));
                    assert!(wait.on != WaitingOn::Answer, "everything is answered");
                    assert!(wait.on != WaitingOn::Flush || tx.is_full());
                    assert!(matches!(client.poll(now, rx, tx), Step::Wait(again) if again == wait));
                    return Some(wait.until);
                }
                Step::Done(end) => {
                    assert!(!self.open, "a message without an outcome");
                    assert!(self.unusable <= 1 && rx.is_empty());
                    assert!(matches!(client.poll(now, rx, tx), Step::Done(again) if again == end));
                    return None;
                }
            }
        }
    }
}

/// A server that keeps to the protocol, in a mood.
struct Server {
    dice: Dice,
    pipelining: bool,
    inbox: Vec<u8>,
    body: Option<Vec<u8>>,
    mail: bool,
    recipients: Vec<String>,
    /// What it took: recipients and body.
    taken: Vec<(Vec<String>, Vec<u8>)>,
    gone: bool,
}

impl Server {
    fn hears(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.inbox.extend_from_slice(bytes);
        while let Some(end) = self.inbox.windows(2).position(|pair| pair == b"\r\n") {
            let line: Vec<u8> = self.inbox.drain(..end + 2).collect();
            if self.gone {
                return;
            }
            match &mut self.body {
                Some(_) if line == b".\r\n" => self.end_of_data(out),
                Some(body) => body.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line)),
                None => {
                    assert!(self.pipelining || self.inbox.is_empty(), "a command before the reply to the last one");
                    let line = String::from_utf8(line).expect("text");
                    self.command(line.trim_end(), out);
                }
            }
        }
    }

    fn say(&mut self, out: &mut Vec<u8>, good: &str) -> bool {
        let reply = match self.dice.roll() {
            0..=8 => "421 4.3.2 Gone\r\n",
            9..=30 => "450-4.2.0 Not\r\n450 4.2.0 now\r\n",
            31..=50 => "550 5.1.1 Never\r\n",
            51..=53 => "552 Too many\r\n",
            _ => good,
        };
        out.extend_from_slice(reply.as_bytes());
        self.gone |= reply.starts_with("421");
        reply == good
    }

    fn command(&mut self, line: &str, out: &mut Vec<u8>) {
        let verb = line.split([' ', ':']).next().unwrap_or_default();
        match verb {
            "EHLO" if self.pipelining => drop(self.say(out, "250-mx\r\n250-SIZE 100\r\n250 PIPELINING\r\n")),
            "EHLO" => drop(self.say(out, "250-mx\r\n250-AUTH LOGIN\r\n250 STARTTLS\r\n")),
            "HELO" => drop(self.say(out, "250 mx\r\n")),
            "STARTTLS" => drop(self.say(out, "220 go\r\n")),
            "AUTH" => drop(self.say(out, "235 in\r\n")),
            "QUIT" => {
                out.extend_from_slice(b"221 bye\r\n");
                self.gone = true;
            }
            "RSET" => {
                (self.mail, self.recipients) = (false, Vec::new());
                out.extend_from_slice(b"250 ok\r\n");
            }
            "MAIL" => {
                assert!(!self.mail, "MAIL inside a transaction");
                self.mail = self.say(out, "250 2.1.0 ok\r\n");
            }
            "RCPT" if self.mail => {
                if self.say(out, "250 2.1.5 ok\r\n") {
                    let address = line.strip_prefix("RCPT TO:<").and_then(|rest| rest.strip_suffix('>'));
                    self.recipients.push(address.expect("a path").to_owned());
                }
            }
            "DATA" if self.mail => {
                if (!self.recipients.is_empty() || self.dice.one_in(2)) && self.say(out, "354 go\r\n") {
                    self.body = Some(Vec::new());
                } else if self.recipients.is_empty() && !out.ends_with(b"Gone\r\n") {
                    out.extend_from_slice(b"554 5.5.1 nobody\r\n");
                }
            }
            _ => out.extend_from_slice(b"503 5.5.1 first things first\r\n"),
        }
    }

    fn end_of_data(&mut self, out: &mut Vec<u8>) {
        let body = self.body.take().expect("in data");
        let recipients = std::mem::take(&mut self.recipients);
        self.mail = false;
        assert!(!recipients.is_empty() || body.is_empty(), "a body for nobody");
        if self.say(out, "250 2.0.0 taken\r\n") {
            if !recipients.is_empty() {
                self.taken.push((recipients, body));
            }
            if self.dice.one_in(12) {
                // It has it, and cannot say so.
                out.clear();
                self.gone = true;
            }
        }
    }
}

fn wall(mono: u64) -> Now {
    Now { mono: Mono(mono), wall: Wall(0) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// What the client reports is what the server did: whoever is told 2yz was taken, with the body as it is; whoever was
    /// taken is told 2yz, or that nobody knows.
    #[test]
    fn reports_are_true(
        mails in mails(),
        tape in prop::collection::vec(any::<u8>(), 64..256),
        pipelining: bool,
        high_water in 1_usize..400,
        chunk in 1_usize..40,
    ) {
        let mut client = Client::new(SessionId(7), config(high_water, chunk));
        let mut dice = Dice(tape.clone(), 0);
        let mut host = Host { mails: mails.clone(), ..Host::default() };
        let mut server = Server {
            dice: Dice(tape, 31), pipelining, inbox: vec![], body: None, mail: false, recipients: vec![], taken: vec![],
            gone: false,
        };
        let (mut rx, mut tx) = (BytesMut::new(), Outbox::new(high_water));
        let mut wire = b"220 mx\r\n".to_vec();
        let mut time = 1;
        let mut cut = false;
        for _ in 0..100_000 {
            let Some(until) = host.drive(&mut client, wall(time), &mut rx, &mut tx, &mut dice) else { break };
            if !tx.is_empty() {
                let n = (1 + usize::from(dice.roll())).min(tx.chunk().len());
                server.hears(&tx.chunk()[..n], &mut wire);
                tx.advance(n);
            } else if !wire.is_empty() {
                let n = (1 + usize::from(dice.roll() % 40)).min(wire.len());
                rx.extend_from_slice(&wire.drain(..n).collect::<Vec<_>>());
            } else if server.gone && !cut {
                cut = true;
                client.close(if dice.one_in(2) { Close::Eof } else { Close::Error });
            } else {
                time = until.expect("a deadline").0;
            }
        }
        prop_assert!(matches!(client.poll(wall(time), &mut rx, &mut tx), Step::Done(_)));
        for (number, outcome) in host.outcomes.iter().enumerate() {
            let mut sent = mails[number].body.clone();
            if !sent.is_empty() && !sent.ends_with(b"\r\n") {
                sent.extend_from_slice(b"\r\n");
            }
            for (i, reply) in outcome.replies.iter().enumerate() {
                let address = format!("m{number}r{i}@example.net");
                let taken = server.taken.iter().find(|(recipients, _)| recipients.contains(&address));
                if let Some((_, body)) = taken {
                    prop_assert_eq!(body, &sent);
                }
                let unknown = reply.text().ends_with("the outcome is unknown");
                prop_assert!(taken.is_some() || !reply.is_positive(), "{} was promised, and not taken: {}", address, reply);
                prop_assert!(taken.is_none() || reply.is_positive() || unknown, "{} was taken: {}", address, reply);
            }
        }
    }

    /// Whatever a server says, and however the connection ends, the client stays sane.
    #[test]
    fn total(
        mails in mails(),
        tape in prop::collection::vec(any::<u8>(), 64..256),
        said in prop::collection::vec(prop_oneof![
            8 => prop::sample::select(vec![
                "220 mx\r\n", "250 ok\r\n", "250 ok\n", "250-PIPELINING\r\n250-AUTH PLAIN LOGIN\r\n250 STARTTLS\r\n", "354 go\r\n",
                "250-x\r\n250-SIZE 3\r\n250 AUTH LOGIN\r\n", "334 \r\n", "235 in\r\n", "421 gone\r\n", "450 4.2.1 no\r\n",
                "550 5.1.1 no\r\n", "552 no\r\n", "250-", "250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n", "221 bye\r\n",
            ]).prop_map(|text| text.as_bytes().to_vec()),
            1 => prop::collection::vec(any::<u8>(), 0..200),
        ], 0..60),
        high_water in 1_usize..400,
    ) {
        let mut client = Client::new(SessionId(7), config(high_water, 16));
        let mut dice = Dice(tape, 0);
        let mut host = Host { mails, breaks: true, ..Host::default() };
        let (mut rx, mut tx) = (BytesMut::new(), Outbox::new(high_water));
        let (mut time, mut sent) = (1, Vec::new());
        let mut said = said.into_iter();
        for _ in 0..100_000 {
            let Some(until) = host.drive(&mut client, wall(time), &mut rx, &mut tx, &mut dice) else { break };
            prop_assert!(rx.len() <= 128, "it keeps {} octets", rx.len());
            match dice.roll() {
                0..=150 => {
                    let n = (1 + usize::from(dice.roll())).min(tx.chunk().len());
                    sent.extend_from_slice(&tx.chunk()[..n]);
                    tx.advance(n);
                }
                151..=240 => match said.next() {
                    Some(piece) => rx.extend_from_slice(&piece),
                    None => client.close(Close::Eof),
                },
                241..=250 => time = until.expect("a deadline").0,
                251 => client.close(Close::Error),
                252 => client.close(Close::Shutdown),
                253 => client.close(Close::Layer),
                _ => client.upgraded(LayerInfo::Tls(TlsInfo { version: "TLS1.3", cipher: "x", verified: false })),
            }
        }
        prop_assert!(matches!(client.poll(wall(time), &mut rx, &mut tx), Step::Done(_)));
        while tx.has_remaining() {
            sent.extend_from_slice(tx.chunk());
            tx.advance(tx.chunk().len());
        }
        for (start, end) in host.masked {
            sent[start as usize..end as usize].fill(b'#');
        }
        for secret in ["AHRpbQBodW50ZXIy", "aHVudGVyMg", "hunter2"] {
            prop_assert!(!String::from_utf8_lossy(&sent).contains(secret), "a tap sees the password");
        }
    }
}
