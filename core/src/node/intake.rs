//! The body of a message that comes in: a small one is kept, under a node-wide budget; a large one is staged into the
//! store as it arrives.

use alloc::vec::Vec;
use core::mem;

use bytes::{Bytes, BytesMut};

use super::reception::Question;
use super::shared::Shared;
use super::{ConnId, asked};
use crate::ops::{Body, StageId, StageOp, StoreOp};
use crate::smtp::Reply;
use crate::smtp::server::ChunkAnswer;
use crate::ticket::Ticket;

/// Bytes below which a chunk is joined to its neighbours: for each a place of its own would weigh more than it does.
const SMALL: usize = 4 * 1024;

/// A body on its way in.
#[derive(Debug, Default)]
pub(super) enum Intake {
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
    Opening(Vec<(Bytes, Option<Ticket<ChunkAnswer>>)>),
    /// It flows into a stage.
    Staged(StageId),
    /// It cannot be stored; the session knows why.
    Failed(Reply),
}

impl Intake {
    /// Takes a chunk. Returns the answer where it can be given at once, with its ticket.
    pub(super) fn chunk(
        &mut self,
        shared: &mut Shared,
        conn: ConnId,
        ticket: Ticket<ChunkAnswer>,
        bytes: Bytes,
    ) -> Option<(Ticket<ChunkAnswer>, ChunkAnswer)> {
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
                Some((ticket, ChunkAnswer::Taken))
            }
            Self::Inline { chunks, tail, charged } => {
                seal(chunks, tail);
                shared.discharge(mem::take(charged));
                let mut waiting: Vec<_> = mem::take(chunks).into_iter().map(|chunk| (chunk, None)).collect();
                waiting.push((bytes, Some(ticket)));
                *self = Self::Opening(waiting);
                let op = StoreOp::Stage(StageOp::Open { expected: None });
                shared.ask(asked::Question::Reception(conn, Question::StageOpen), op);
                None
            }
            Self::Opening(waiting) => {
                waiting.push((bytes, Some(ticket)));
                None
            }
            Self::Staged(stage) => {
                append(shared, conn, *stage, bytes, Some(ticket));
                None
            }
            Self::Failed(reply) => Some((ticket, ChunkAnswer::Refused(reply.clone()))),
            Self::Empty => None,
        }
    }

    /// The stage is there: what waited flows into it. `false` when nobody waits for it.
    pub(super) fn opened(&mut self, shared: &mut Shared, conn: ConnId, stage: StageId) -> bool {
        let Self::Opening(waiting) = self else { return false };
        for (bytes, ticket) in mem::take(waiting) {
            append(shared, conn, stage, bytes, ticket);
        }
        *self = Self::Staged(stage);
        true
    }

    /// The store refused. Returns the tickets that are to be answered with the refusal.
    pub(super) fn failed(&mut self, shared: &mut Shared, reply: Reply) -> Vec<Ticket<ChunkAnswer>> {
        match mem::replace(self, Self::Failed(reply)) {
            Self::Opening(waiting) => waiting.into_iter().filter_map(|(_, ticket)| ticket).collect(),
            other => {
                other.discard(shared);
                Vec::new()
            }
        }
    }

    /// The whole body, for the commit, and the bytes that it is charged with until the commit is answered.
    pub(super) fn finish(&mut self) -> Result<(Body, usize), Reply> {
        match mem::take(self) {
            Self::Empty => Ok((Body::Inline(Vec::new()), 0)),
            Self::Inline { mut chunks, mut tail, charged } => {
                seal(&mut chunks, &mut tail);
                Ok((Body::Inline(chunks), charged))
            }
            Self::Staged(stage) => Ok((Body::Staged(stage), 0)),
            // The session asks for the commit only when all its chunks are answered, so no stage is still opening.
            Self::Opening(_) => Err(super::replies::STORE_TROUBLE.reply()),
            Self::Failed(reply) => Err(reply),
        }
    }

    /// Gives back what is held. A stage that is still opening is given back when it comes.
    pub(super) fn discard(self, shared: &mut Shared) {
        match self {
            Self::Inline { charged, .. } => shared.discharge(charged),
            Self::Staged(stage) => shared.drop_stage(stage),
            Self::Empty | Self::Opening(_) | Self::Failed(_) => {}
        }
    }
}

/// Puts what is joined behind the chunks.
fn seal(chunks: &mut Vec<Bytes>, tail: &mut BytesMut) {
    if !tail.is_empty() {
        chunks.push(mem::take(tail).freeze());
    }
}

fn append(shared: &mut Shared, conn: ConnId, stage: StageId, bytes: Bytes, ticket: Option<Ticket<ChunkAnswer>>) {
    let question = asked::Question::Reception(conn, Question::StageAppend { stage, ticket });
    shared.ask(question, StoreOp::Stage(StageOp::Append { stage, bytes }));
}
