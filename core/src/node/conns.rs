//! The connections of a node, by name. One is taken out of its place while its session runs, and put back afterwards.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::ConnId;
use super::conn::{Conn, Speaker};
use super::delivery::Outgoing;
use super::maildrop::Maildrop;
use super::operator::Operator;
use super::reader::Reader;
use super::reception::Reception;

#[derive(Default)]
pub(super) struct Conns {
    /// `None` stands for one that runs.
    by_id: BTreeMap<ConnId, Option<Box<Conn>>>,
}

impl Conns {
    pub(super) fn insert(&mut self, id: ConnId, conn: Box<Conn>) {
        self.by_id.insert(id, Some(conn));
    }

    pub(super) fn remove(&mut self, id: ConnId) -> Option<Box<Conn>> {
        self.by_id.remove(&id)?
    }

    /// Takes it out of its place, to be [inserted](Self::insert) again or [removed](Self::remove).
    pub(super) fn take(&mut self, id: ConnId) -> Option<Box<Conn>> {
        self.by_id.get_mut(&id)?.take()
    }

    pub(super) fn get(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.by_id.get_mut(&id)?.as_deref_mut()
    }

    /// The oldest one.
    pub(super) fn first(&self) -> Option<ConnId> {
        self.by_id.keys().next().copied()
    }

    pub(super) fn ids(&self) -> Vec<ConnId> {
        self.by_id.keys().copied().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The session of a client that brings mail, if it is one and still there; the others likewise.
    pub(super) fn reception(&mut self, id: ConnId) -> Option<&mut Reception> {
        match &mut self.get(id)?.speaker {
            Speaker::Reception(session) => Some(session),
            _ => None,
        }
    }

    pub(super) fn maildrop(&mut self, id: ConnId) -> Option<&mut Maildrop> {
        match &mut self.get(id)?.speaker {
            Speaker::Maildrop(session) => Some(session),
            _ => None,
        }
    }

    pub(super) fn reader(&mut self, id: ConnId) -> Option<&mut Reader> {
        match &mut self.get(id)?.speaker {
            Speaker::Reader(session) => Some(session),
            _ => None,
        }
    }

    pub(super) fn outgoing(&mut self, id: ConnId) -> Option<&mut Outgoing> {
        match &mut self.get(id)?.speaker {
            Speaker::Outgoing(session) => Some(session),
            _ => None,
        }
    }

    pub(super) fn operator(&mut self, id: ConnId) -> Option<&mut Operator> {
        match &mut self.get(id)?.speaker {
            Speaker::Operator(session) => Some(session),
            _ => None,
        }
    }
}
