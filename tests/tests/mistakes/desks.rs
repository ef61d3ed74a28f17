//! Who answers: for SMTP, all at once or later, as a test wants it; for POP3, a maildrop with one long message.

use std::sync::Arc;

use bytes::Bytes;
use pillarbox_core::channel::Channel;
use pillarbox_core::session::Answer as _;
use pillarbox_core::smtp::server::{ChunkAnswer, CommitAnswer, Peer, RecipientAnswer, Service};
use pillarbox_core::{SessionId, Ticket};
use pillarbox_core::{pop3, smtp};

use crate::host::{Desk, Host, Mistake};

pub(crate) type Smtp = Host<smtp::server::Server, SmtpDesk>;
pub(crate) type Pop3 = Host<pop3::server::Server, Maildrop>;

/// Takes all mail.
#[derive(Default)]
pub(crate) struct SmtpDesk {
    /// The disk is slow: chunks are not answered.
    pub(crate) slow: bool,
    /// It takes time to say who is known here.
    pub(crate) asks: bool,
    pub(crate) chunks: Vec<Ticket<ChunkAnswer>>,
    pub(crate) recipients: Vec<Ticket<RecipientAnswer>>,
}

impl Desk<smtp::server::Server> for SmtpDesk {
    fn act(&mut self, channel: &mut Channel<smtp::server::Server>, action: smtp::server::Action) {
        use smtp::server::Action;
        match action {
            Action::Recipient { ticket, .. } if self.asks => self.recipients.push(ticket),
            Action::Recipient { ticket, .. } => channel.answer(ticket, RecipientAnswer::Accepted).unwrap(),
            Action::Chunk { ticket, .. } if self.slow => self.chunks.push(ticket),
            Action::Chunk { ticket, .. } => channel.answer(ticket, ChunkAnswer::Taken).unwrap(),
            Action::Commit { ticket, .. } => {
                channel.answer(ticket, CommitAnswer::Committed { text: "on disk".into() }).unwrap();
            }
            Action::Abort(_) | Action::Refused { .. } | Action::Authenticate { .. } => {}
        }
    }
}

pub(crate) fn smtp(id: u64, desk: SmtpDesk, mistake: Option<Mistake>) -> Smtp {
    let config = Arc::new(smtp::server::Config::new("mx.example.org", Service::Transfer));
    let peer = Peer { address: ([192, 0, 2, 7], 4242).into() };
    Host::new(smtp::server::Server::new(SessionId(id), config, peer), desk, mistake)
}

/// Octets of the one message of [`Maildrop`].
pub(crate) const LONG: u64 = 1_000_000;

/// A maildrop with one long message, for everybody.
#[derive(Default)]
pub(crate) struct Maildrop {
    pub(crate) locked: bool,
}

impl Desk<pop3::server::Server> for Maildrop {
    fn act(&mut self, channel: &mut Channel<pop3::server::Server>, action: pop3::server::Action) {
        use pop3::server::{Action, AuthenticateAnswer, CommitAnswer, Message, OpenAnswer, ReadAnswer};
        match action {
            Action::Authenticate { ticket, .. } => channel.answer(ticket, AuthenticateAnswer::Accepted).unwrap(),
            Action::Open { ticket } => {
                self.locked = true;
                let messages = Arc::new([Message { size: LONG, unique: 7 }]);
                channel.answer(ticket, OpenAnswer::Opened(messages)).unwrap();
            }
            Action::Read { ticket, offset, len, .. } => {
                let line = b"It goes on and on.\r\n";
                let start = usize::try_from(offset).unwrap() % line.len();
                let bytes: Vec<u8> = line.iter().copied().cycle().skip(start).take(len).collect();
                channel.answer(ticket, ReadAnswer::Bytes(Bytes::from(bytes))).unwrap();
            }
            Action::Commit { ticket, .. } => {
                self.locked = false;
                channel.answer(ticket, CommitAnswer::Committed).unwrap();
            }
            Action::Release => self.locked = false,
        }
    }
}

pub(crate) fn pop3(mistake: Option<Mistake>) -> Pop3 {
    let config = pop3::server::Config {
        hostname: "mx.example.org".into(),
        stls: false,
        cleartext_auth: true,
        limits: pop3::server::Limits::default(),
    };
    let mut host = Host::new(pop3::server::Server::new(SessionId(1), Arc::new(config)), Maildrop::default(), mistake);
    host.peer.says("USER alice\r\nPASS secret\r\n");
    host.run();
    assert!(host.desk.locked);
    host
}
