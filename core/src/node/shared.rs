//! What the connections of a node share: its configuration, its questions to the store, its queue and resolver, and the
//! list of what the host is to do.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString as _};
use alloc::sync::Arc;

use super::asked::{Asked, Question};
use super::transfer::Transfers;
use super::watching::Watching;
use super::{Config, ConnId, Event, NodeAction, Share};
use crate::dns::Resolver;
use crate::ops::{MailboxId, MailboxOp, StageId, StageOp, StoreError, StoreOp, Token};
use crate::queue::Queue;
use crate::sasl::Credentials;
use crate::time::Mono;

pub(super) struct Shared {
    /// With this node's part of the bounds that hold for the whole server.
    pub(super) config: Arc<Config>,
    pub(super) share: Share,
    pub(super) asked: Asked,
    pub(super) queue: Queue,
    pub(super) resolver: Resolver,
    pub(super) transfers: Transfers,
    pub(super) watching: Watching,
    /// What the host is to do, oldest first. Bounded: a turn stops to hand it over.
    pub(super) out: VecDeque<NodeAction>,
    /// Connections that the transfers want made.
    pub(super) dials: VecDeque<super::conn::Dial>,
    /// Bytes of bodies kept in memory.
    inline_used: usize,
    /// Connections named so far.
    named: u64,
}

impl Shared {
    pub(super) fn new(config: Arc<Config>, share: Share, queue: Queue, resolver: Resolver) -> Self {
        Self {
            config,
            share,
            asked: Asked::default(),
            queue,
            resolver,
            transfers: Transfers::default(),
            watching: Watching::default(),
            out: VecDeque::new(),
            dials: VecDeque::new(),
            inline_used: 0,
            named: 0,
        }
    }

    /// A name for a new connection.
    pub(super) fn conn_id(&mut self) -> ConnId {
        let id = self.share.conn(self.named);
        self.named += 1;
        id
    }

    /// Submits an op whose reply answers `question`.
    pub(super) fn ask(&mut self, question: Question, op: StoreOp) -> Token {
        let token = self.asked.ask(question);
        self.out.push_back(NodeAction::Store { token, op });
        token
    }

    /// Tells a fact.
    pub(super) fn event(&mut self, event: Event) {
        self.out.push_back(NodeAction::Event(event));
    }

    /// Tells that the store failed at something.
    pub(super) fn store_trouble(&mut self, error: StoreError) {
        self.event(Event::StoreTrouble { what: error.to_string() });
    }

    /// Charges `more` bytes of a body that holds `held` to the budget; `false` when it must be staged.
    pub(super) fn charge(&mut self, held: usize, more: usize) -> bool {
        let limits = &self.config.limits;
        let fits = held + more <= limits.inline_body && self.inline_used + more <= limits.inline_bodies;
        if fits {
            self.inline_used += more;
        }
        fits
    }

    /// Gives bytes back to the budget.
    pub(super) fn discharge(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.inline_used, "more given back than was taken");
        self.inline_used = self.inline_used.saturating_sub(bytes);
    }

    /// Bytes of the budget that are in use.
    pub(super) fn inline_used(&self) -> usize {
        self.inline_used
    }

    /// Gives a stage back.
    pub(super) fn drop_stage(&mut self, stage: StageId) {
        self.ask(Question::Nobody, StoreOp::Stage(StageOp::Drop { stage }));
    }

    /// A session watches a mailbox from now on: what its later questions do not show, it is told.
    pub(super) fn watch(&mut self, mailbox: MailboxId, conn: ConnId) {
        if self.watching.add(mailbox, conn) {
            self.ask(Question::Nobody, StoreOp::Mailbox(Box::new(MailboxOp::Watch { mailbox })));
        }
    }

    /// It does so no longer.
    pub(super) fn unwatch(&mut self, mailbox: MailboxId, conn: ConnId) {
        if self.watching.remove(mailbox, conn) {
            self.ask(Question::Nobody, StoreOp::Mailbox(Box::new(MailboxOp::Unwatch { mailbox })));
        }
    }

    /// The account's address that a client logs in as; the first of our domains may be left out. `None` when it wants to
    /// act for somebody else, which nobody may.
    pub(super) fn login(&self, credentials: &Credentials) -> Option<String> {
        let address = |name: &str| match self.config.routes.domains.first() {
            Some(domain) if !name.contains('@') => alloc::format!("{name}@{domain}"),
            _ => name.into(),
        };
        let login = address(&credentials.authcid);
        let itself = credentials.authzid.is_empty() || address(&credentials.authzid) == login;
        itself.then_some(login)
    }
}

/// Deadlines by connection.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    by_time: BTreeMap<(Mono, ConnId), ()>,
}

impl Deadlines {
    pub(super) fn set(&mut self, conn: ConnId, old: Option<Mono>, new: Option<Mono>) {
        if old == new {
            return;
        }
        if let Some(old) = old {
            self.by_time.remove(&(old, conn));
        }
        if let Some(new) = new {
            self.by_time.insert((new, conn), ());
        }
    }

    pub(super) fn next(&self) -> Option<Mono> {
        self.by_time.first_key_value().map(|((at, _), ())| *at)
    }

    /// A connection whose deadline has come; it is taken out.
    pub(super) fn due(&mut self, now: Mono) -> Option<ConnId> {
        let ((at, conn), ()) = self.by_time.first_key_value()?;
        let (at, conn) = (*at, *conn);
        if at > now {
            return None;
        }
        self.by_time.remove(&(at, conn));
        Some(conn)
    }
}
