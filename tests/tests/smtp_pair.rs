//! Our SMTP client talks to our SMTP server, with and without TLS, over a wire that cuts anywhere: what one sends, the
//! other stores, octet for octet.

use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use pillarbox_core::channel::{Channel, ChannelConfig, Side};
use pillarbox_core::sasl::{Credentials, Mechanism};
use pillarbox_core::smtp::client::{self, BodyAnswer, Client, Envelope, Next, Tls};
use pillarbox_core::smtp::server::{
    self, AuthenticateAnswer, ChunkAnswer, CommitAnswer, Peer, RecipientAnswer, Server, Service,
};
use pillarbox_core::smtp::{EnhancedStatus, Reply};
use pillarbox_core::tls::fake::{FakeClient, FakeServer};
use pillarbox_core::{Answer as _, End, Mono, Now, Outbox, SessionId, Step, Wall};
use proptest::prelude::*;

const NOW: Now = Now { mono: Mono(1), wall: Wall(1_795_379_126_000) };

/// What the server has stored: the reverse-path, the recipients, the body.
type Stored = (Option<String>, Vec<String>, Vec<u8>);

struct Pair {
    client: Channel<Client>,
    server: Channel<Server>,
    /// (rx, tx) of each.
    client_ends: (BytesMut, Outbox),
    server_ends: (BytesMut, Outbox),
    mails: Vec<(Envelope, Bytes)>,
    given: usize,
    outcomes: Vec<Vec<u16>>,
    body: Vec<u8>,
    stored: Vec<Stored>,
    logins: Vec<Mechanism>,
    ended: (Option<End>, Option<End>),
}

impl Pair {
    fn new(tls: bool, submission: bool, mails: Vec<(Envelope, Bytes)>) -> Self {
        let credentials =
            submission.then(|| Credentials { authzid: "".into(), authcid: "tim".into(), password: "hunter2".into() });
        let client = client::Config {
            hostname: "client.example".into(),
            tls: if tls { Tls::Required } else { Tls::Opportunistic },
            credentials,
            cleartext_auth: !tls,
            limits: client::Limits::default(),
        };
        let server = server::Config {
            hostname: "mx.example.net".into(),
            service: if submission { Service::Submission } else { Service::Transfer },
            starttls: tls,
            cleartext_auth: !tls,
            message_size: 1_000_000,
            limits: server::Limits::default(),
        };
        let peer = Peer { address: "192.0.2.1:4711".parse().expect("an address") };
        let mut ends = [Side::Client, Side::Server].map(ChannelConfig::plain);
        if tls {
            ends[0].tls = Some(Arc::new(FakeClient));
            ends[1].tls = Some(Arc::new(FakeServer));
        }
        let [client_end, server_end] = ends;
        Self {
            client: Channel::new(Client::new(SessionId(1), client), client_end),
            server: Channel::new(Server::new(SessionId(2), Arc::new(server), peer), server_end),
            client_ends: (BytesMut::new(), Outbox::new(64 * 1024)),
            server_ends: (BytesMut::new(), Outbox::new(64 * 1024)),
            mails,
            given: 0,
            outcomes: vec![],
            body: vec![],
            stored: vec![],
            logins: vec![],
            ended: (None, None),
        }
    }

    fn drive_client(&mut self) {
        loop {
            match self.client.poll(NOW, &mut self.client_ends.0, &mut self.client_ends.1) {
                Step::Act(client::Action::Next { ticket }) => {
                    let next = match self.mails.get(self.given) {
                        Some((envelope, _)) => Next::Message(envelope.clone()),
                        None => Next::Quit,
                    };
                    self.given += 1;
                    self.client.answer(ticket, next).expect("its own ticket");
                }
                Step::Act(client::Action::Body { ticket, offset, len }) => {
                    let from = usize::try_from(offset).expect("a small body");
                    let bytes = self.mails[self.given - 1].1.slice(from..from + len);
                    self.client.answer(ticket, BodyAnswer::Bytes(bytes)).expect("its own ticket");
                }
                Step::Act(client::Action::Outcome(outcome)) => {
                    self.outcomes.push(outcome.replies.iter().map(Reply::code).collect());
                }
                Step::Act(client::Action::Unusable { reply }) => panic!("unusable: {reply}"),
                Step::Upgrade(_) => panic!("the channel upgrades by itself"),
                Step::More => {}
                Step::Wait(_) => return,
                Step::Done(end) => return self.ended.0 = Some(end),
            }
        }
    }

    fn drive_server(&mut self) {
        loop {
            match self.server.poll(NOW, &mut self.server_ends.0, &mut self.server_ends.1) {
                Step::Act(server::Action::Authenticate { ticket, mechanism, credentials }) => {
                    assert_eq!((credentials.authcid.as_str(), credentials.password.expose()), ("tim", &b"hunter2"[..]));
                    self.logins.push(mechanism);
                    self.server.answer(ticket, AuthenticateAnswer::Accepted).expect("its own ticket");
                }
                Step::Act(server::Action::Recipient { ticket, recipient, .. }) => {
                    let answer = if recipient.local().starts_with("nobody") {
                        RecipientAnswer::Refused(Reply::new(550, Some(EnhancedStatus(5, 1, 1)), "No such mailbox"))
                    } else {
                        RecipientAnswer::Accepted
                    };
                    self.server.answer(ticket, answer).expect("its own ticket");
                }
                Step::Act(server::Action::Chunk { ticket, bytes, .. }) => {
                    self.body.extend_from_slice(&bytes);
                    self.server.answer(ticket, ChunkAnswer::Taken).expect("its own ticket");
                }
                Step::Act(server::Action::Commit { ticket, transaction }) => {
                    let recipients = transaction.recipients.iter().map(ToString::to_string).collect();
                    let body = std::mem::take(&mut self.body);
                    self.stored.push((transaction.reverse_path.map(|path| path.to_string()), recipients, body));
                    let answer = CommitAnswer::Committed { text: "stored".into() };
                    self.server.answer(ticket, answer).expect("its own ticket");
                }
                Step::Act(server::Action::Abort(_)) => self.body.clear(),
                Step::Act(server::Action::Refused { .. }) | Step::More => {}
                Step::Upgrade(_) => panic!("the channel upgrades by itself"),
                Step::Wait(_) => return,
                Step::Done(end) => return self.ended.1 = Some(end),
            }
        }
    }

    /// Moves up to so many octets each way. Whether any moved.
    fn wire(&mut self, cuts: (usize, usize)) -> bool {
        let mut moved = carry(&mut self.client_ends.1, &mut self.server_ends.0, cuts.0);
        moved |= carry(&mut self.server_ends.1, &mut self.client_ends.0, cuts.1);
        moved
    }

    fn run(&mut self, cuts: &[(usize, usize)]) {
        for round in 0.. {
            self.drive_client();
            self.drive_server();
            if !self.wire(cuts[round % cuts.len()]) {
                return;
            }
        }
    }
}

fn carry(tx: &mut Outbox, rx: &mut BytesMut, most: usize) -> bool {
    let n = most.max(1).min(tx.chunk().len());
    rx.extend_from_slice(&tx.chunk()[..n]);
    tx.advance(n);
    n > 0
}

fn mails() -> impl Strategy<Value = Vec<(Envelope, Bytes)>> {
    let line = prop_oneof![
        Just(".".to_owned()),
        Just("..".to_owned()),
        Just(String::new()),
        "[a-z .]{0,80}",
        Just("grün".to_owned()),
        Just("x".repeat(900))
    ];
    let body = (prop::collection::vec(line, 0..40), 1_usize..5)
        .prop_map(|(lines, times)| format!("Subject: x\r\n\r\n{}\r\n", lines.join("\r\n").repeat(times)).into_bytes());
    let recipient = prop_oneof![Just("bob@example.net"), Just("\"a b\"@example.net"), Just("nobody@example.net")];
    let mail = (prop::collection::vec(recipient, 1..5), any::<bool>(), body).prop_map(|(recipients, null, body)| {
        let envelope = Envelope {
            reverse_path: (!null).then(|| "alice@example.org".parse().expect("an address")),
            recipients: recipients.into_iter().map(|text| text.parse().expect("an address")).collect(),
            size: body.len() as u64,
            smtputf8: false,
            eight_bit: true,
        };
        (envelope, Bytes::from(body))
    });
    prop::collection::vec(mail, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_is_sent_is_stored(
        mails in mails(),
        tls: bool,
        submission: bool,
        cuts in prop::collection::vec((prop_oneof![1_usize..20, Just(100_000)], prop_oneof![1_usize..20, Just(100_000)]), 1..6),
    ) {
        let mut pair = Pair::new(tls, submission, mails.clone());
        pair.run(&cuts);
        prop_assert_eq!(pair.ended, (Some(End::Quit), Some(End::Quit)));
        prop_assert_eq!(pair.logins.len(), usize::from(submission));
        prop_assert_eq!(pair.client.tls().is_some(), tls);
        let (mut outcomes, mut stored) = (vec![], vec![]);
        for (envelope, body) in &mails {
            let known = |local: &str| !local.starts_with("nobody");
            outcomes.push(envelope.recipients.iter().map(|to| if known(to.local()) { 250 } else { 550 }).collect::<Vec<_>>());
            let mut taken: Vec<_> = envelope.recipients.iter().filter(|to| known(to.local())).map(ToString::to_string).collect();
            taken.dedup();
            if !taken.is_empty() {
                stored.push((envelope.reverse_path.as_ref().map(ToString::to_string), taken, body.to_vec()));
            }
        }
        for stored in &mut pair.stored {
            stored.1.dedup();
        }
        prop_assert_eq!(pair.outcomes, outcomes);
        prop_assert_eq!(pair.stored, stored);
    }
}

/// A body of many ranges and many windows.
#[test]
fn a_large_message_passes() {
    let body = Bytes::from(
        b"Subject: large\r\n\r\n".iter().chain(b".23456789\r\n".repeat(80_000).iter()).copied().collect::<Vec<u8>>(),
    );
    let envelope = Envelope {
        reverse_path: None,
        recipients: vec!["bob@example.net".parse().expect("an address")],
        size: body.len() as u64,
        smtputf8: false,
        eight_bit: false,
    };
    for tls in [false, true] {
        let mut pair = Pair::new(tls, false, vec![(envelope.clone(), body.clone())]);
        pair.run(&[(9_000, 9_000)]);
        assert_eq!(pair.outcomes, [[250]]);
        assert!(pair.stored[0].2 == body);
    }
}
