//! The body of a message that comes in: a small one is kept, under a node-wide budget; a large one is staged into the
//! store as it arrives. Either way its structure is made while it passes.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem;

use bytes::{Bytes, BytesMut};

use super::asked;
use super::shared::Shared;
use crate::mark;
use crate::message::{Structure, StructureParser};
use crate::ops::{Body, NewBody, StageId, StageOp, StageReply, StoreOp};
use crate::ticket::Ticket;

/// Bytes below which a chunk is joined to its neighbours: for each a place of its own would weigh more than it does.
const SMALL: usize = 4 * 1024;

/// What a session is told of a chunk; each protocol has its own.
pub(super) trait Verdict: Clone {
    /// Taken; the next one may come.
    const TAKEN: Self;
}

/// A body on its way in, of a session that is told `A` of each chunk.
#[derive(Debug)]
pub(super) struct Intake<A> {
    place: Place<A>,
    /// What is known of its structure; none before its first octet, since many bodies never come.
    parser: Option<Box<StructureParser>>,
}

/// Where a body is, as far as it has come.
#[derive(Debug, Default)]
enum Place<A> {
    /// Nothing came yet.
    #[default]
    Empty,
    /// All of it is here.
    Inline {
        /// In order.
        chunks: Vec<Bytes>,
        /// What stands behind them: small chunks, joined. A body that dribbles in costs what it weighs.
        tail: BytesMut,
        /// Bytes charged to the node's budget.
        charged: usize,
    },
    /// A stage was asked for; these wait until it is there. A chunk without a ticket was answered already.
    Opening(Vec<(Bytes, Option<Ticket<A>>)>),
    /// It flows into a stage.
    Staged(StageId),
    /// It cannot be stored; the session knows why.
    Failed(A),
}

/// What a body wants to know of the store.
#[derive(Debug)]
pub(super) enum Question<A> {
    /// A stage for it.
    Open,
    /// Is this chunk written?
    Append { stage: StageId, ticket: Option<Ticket<A>> },
}

/// What a session is to be told of its chunks.
pub(super) type Verdicts<A> = Vec<(Ticket<A>, A)>;

impl<A> Default for Intake<A> {
    fn default() -> Self {
        Self { place: Place::Empty, parser: None }
    }
}

impl<A: Verdict> Intake<A> {
    /// One of which nothing is taken; the session is told why.
    pub(super) fn refused(verdict: A) -> Self {
        Self { place: Place::Failed(verdict), parser: None }
    }

    /// Takes a chunk. Returns its verdict where it is clear at once, with its ticket. `asker` is whoever hears the
    /// store's replies, and hands them to [`stored`].
    pub(super) fn chunk(
        &mut self,
        shared: &mut Shared,
        asker: impl Fn(Question<A>) -> asked::Question,
        ticket: Ticket<A>,
        bytes: Bytes,
    ) -> Option<(Ticket<A>, A)> {
        if !matches!(self.place, Place::Failed(_)) {
            self.parser.get_or_insert_default().feed(&bytes);
        }
        self.place.chunk(shared, asker, ticket, bytes)
    }

    /// It is, or will be, in a stage.
    pub(super) fn is_staged(&self) -> bool {
        matches!(self.place, Place::Opening(_) | Place::Staged(_))
    }

    /// The whole body with its structure, for the commit, and the bytes that it is charged with until the commit is
    /// answered. `before` is what this hop puts in front of every copy of it.
    ///
    /// # Errors
    /// Why it cannot be stored; `None` when a stage is still opening. A session asks for the commit only when all its
    /// chunks are answered, so that is a bug.
    pub(super) fn finish(self, before: &[u8]) -> Result<(NewBody, usize), Option<A>> {
        let (body, charged) = self.place.finish()?;
        let structure = self.parser.unwrap_or_default().finish().behind(before).encode();
        // Whoever asks for a structure that was not kept makes it anew.
        let structure =
            if structure.len() > Structure::MAX_ENCODED { mark!(NodeStructureTooBig, Bytes::new()) } else { structure };
        Ok((NewBody { body, structure }, charged))
    }

    /// Gives back what is held. A stage that is still opening is given back when it comes.
    pub(super) fn discard(self, shared: &mut Shared) {
        self.place.discard(shared);
    }
}

impl<A: Verdict> Place<A> {
    fn chunk(
        &mut self,
        shared: &mut Shared,
        asker: impl Fn(Question<A>) -> asked::Question,
        ticket: Ticket<A>,
        bytes: Bytes,
    ) -> Option<(Ticket<A>, A)> {
        if matches!(self, Self::Empty) {
            *self = Self::Inline { chunks: Vec::new(), tail: BytesMut::new(), charged: 0 };
        }
        match self {
            Self::Inline { chunks, tail, charged } if shared.charge(*charged, bytes.len()) => {
                *charged += bytes.len();
                if bytes.len() < SMALL {
                    tail.extend_from_slice(&bytes);
                } else {
                    seal(chunks, tail);
                    chunks.push(bytes);
                }
                Some((ticket, A::TAKEN))
            }
            Self::Inline { chunks, tail, charged } => {
                mark!(NodeSpills);
                seal(chunks, tail);
                shared.discharge(mem::take(charged));
                let mut waiting: Vec<_> = mem::take(chunks).into_iter().map(|chunk| (chunk, None)).collect();
                waiting.push((bytes, Some(ticket)));
                *self = Self::Opening(waiting);
                shared.ask(asker(Question::Open), StoreOp::Stage(StageOp::Open { expected: None }));
                None
            }
            Self::Opening(waiting) => {
                waiting.push((bytes, Some(ticket)));
                None
            }
            Self::Staged(stage) => {
                append(shared, &asker, *stage, bytes, Some(ticket));
                None
            }
            Self::Failed(verdict) => Some((ticket, verdict.clone())),
            Self::Empty => None,
        }
    }

    fn finish(self) -> Result<(Body, usize), Option<A>> {
        match self {
            Self::Empty => Ok((Body::Inline(Vec::new()), 0)),
            Self::Inline { mut chunks, mut tail, charged } => {
                seal(&mut chunks, &mut tail);
                Ok((Body::Inline(chunks), charged))
            }
            Self::Staged(stage) => Ok((Body::Staged(stage), 0)),
            Self::Opening(_) => Err(None),
            Self::Failed(verdict) => Err(Some(verdict)),
        }
    }

    fn discard(self, shared: &mut Shared) {
        match self {
            Self::Inline { charged, .. } => shared.discharge(charged),
            Self::Staged(stage) => shared.drop_stage(stage),
            Self::Empty | Self::Opening(_) | Self::Failed(_) => {}
        }
    }

    /// The stage is there: what waited flows into it. `false` when nobody waits for it.
    fn opened(&mut self, shared: &mut Shared, asker: impl Fn(Question<A>) -> asked::Question, stage: StageId) -> bool {
        let Self::Opening(waiting) = self else { return false };
        for (bytes, ticket) in mem::take(waiting) {
            append(shared, &asker, stage, bytes, ticket);
        }
        *self = Self::Staged(stage);
        true
    }

    /// The store refused. Returns the tickets that are to be answered with the refusal.
    fn fail(&mut self, shared: &mut Shared, refusal: A) -> Vec<Ticket<A>> {
        match mem::replace(self, Self::Failed(refusal)) {
            Self::Opening(waiting) => waiting.into_iter().filter_map(|(_, ticket)| ticket).collect(),
            other => {
                other.discard(shared);
                Vec::new()
            }
        }
    }
}

/// The store's reply to a question of a body, which may be given up by now, or why there is none. Returns what the
/// session is to be told, if it is still there.
pub(super) fn stored<A: Verdict>(
    shared: &mut Shared,
    body: Option<&mut Intake<A>>,
    asker: impl Fn(Question<A>) -> asked::Question,
    question: Question<A>,
    reply: Result<StageReply, A>,
) -> Verdicts<A> {
    match (question, reply) {
        (Question::Open, Ok(StageReply::Opened(stage))) => {
            if !body.is_some_and(|body| body.place.opened(shared, asker, stage)) {
                mark!(NodeStageTooLate);
                shared.drop_stage(stage);
            }
            Vec::new()
        }
        (Question::Open, Ok(_)) => Vec::new(),
        (Question::Open, Err(refusal)) => {
            mark!(NodeStageRefused);
            let waiting = body.map(|body| body.place.fail(shared, refusal.clone())).unwrap_or_default();
            waiting.into_iter().map(|ticket| (ticket, refusal.clone())).collect()
        }
        (Question::Append { ticket, .. }, Ok(_)) => ticket.into_iter().map(|ticket| (ticket, A::TAKEN)).collect(),
        (Question::Append { stage, ticket }, Err(refusal)) => {
            mark!(NodeChunkRefused);
            let place = body.map(|body| &mut body.place);
            if let Some(place) = place.filter(|place| matches!(place, Place::Staged(current) if *current == stage)) {
                place.fail(shared, refusal.clone());
            }
            ticket.into_iter().map(|ticket| (ticket, refusal.clone())).collect()
        }
    }
}

/// Puts what is joined behind the chunks.
fn seal(chunks: &mut Vec<Bytes>, tail: &mut BytesMut) {
    if !tail.is_empty() {
        chunks.push(mem::take(tail).freeze());
    }
}

fn append<A>(
    shared: &mut Shared,
    asker: impl Fn(Question<A>) -> asked::Question,
    stage: StageId,
    bytes: Bytes,
    ticket: Option<Ticket<A>>,
) {
    shared.ask(asker(Question::Append { stage, ticket }), StoreOp::Stage(StageOp::Append { stage, bytes }));
}
