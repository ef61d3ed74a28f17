//! The machine on strings: it says what it was told to say, tells what came, and notes what a runtime may not do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::sync::Arc;

use bytes::BytesMut;
use pillarbox_core::node::{Accepted, Closed, ConnId, ConnIo, Machine, NodeAction, NodeInput, NodeStep};
use pillarbox_core::ops::{QueueOp, StoreOp, Token};
use pillarbox_core::{Now, Outbox};

use super::strings::{Order, Saw, Strings};

pub(super) struct Puppet {
    strings: Arc<Strings>,
    conns: BTreeMap<ConnId, Conn>,
    /// Connections whose buffers were moved since the last poll.
    touched: BTreeSet<ConnId>,
    out: VecDeque<NodeAction>,
    /// The op under way, which an order answers.
    op: Option<Token>,
    next: u64,
    draining: bool,
}

struct Conn {
    rx: BytesMut,
    tx: Outbox,
    reading: bool,
    closing: bool,
}

impl Puppet {
    pub(super) fn new(strings: Arc<Strings>) -> Self {
        let (conns, touched, out) = Default::default();
        Self { strings, conns, touched, out, op: None, next: 0, draining: false }
    }

    fn insert(&mut self, conn: ConnId) {
        let tx = Outbox::new(usize::MAX);
        self.conns.insert(conn, Conn { rx: BytesMut::new(), tx, reading: false, closing: false });
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Dial { conn, to } => {
                self.insert(conn);
                self.out.push_back(NodeAction::Dial { conn, to });
            }
            Order::Write { conn, bytes } => {
                let Some(at) = self.conns.get_mut(&conn) else { return };
                at.tx.push(bytes.into());
                self.out.push_back(NodeAction::Flush(conn));
            }
            Order::Read { conn, read } => {
                let Some(at) = self.conns.get_mut(&conn) else { return };
                at.reading = read;
                self.out.push_back(NodeAction::Interest { conn, read });
            }
            Order::Close { conn, last, abort } => {
                let Some(at) = self.conns.get_mut(&conn) else { return };
                // As a node does it: what is left is written by the close itself.
                at.tx.push(last.into());
                at.closing = true;
                if abort {
                    self.conns.remove(&conn);
                    self.strings.note(conn, |saw| {
                        saw.forgotten = true;
                        Ok(())
                    });
                }
                self.out.push_back(NodeAction::Close { conn, abort });
            }
        }
    }

    /// Takes what was read.
    fn read(&mut self, conn: ConnId) {
        let Some(at) = self.conns.get_mut(&conn) else { return };
        if at.rx.is_empty() {
            return;
        }
        let (bytes, allowed) = (at.rx.split(), at.reading && !at.closing);
        self.strings.note(conn, |saw| {
            saw.arrived.extend_from_slice(&bytes);
            refuse(!allowed, "it was read though it did not want to be")?;
            refuse(saw.eof || saw.error, "it was read behind its end")
        });
    }
}

impl Machine for Puppet {
    fn accept(&mut self, accepted: Accepted) -> ConnId {
        let conn = self.strings.conn();
        self.insert(conn);
        self.strings.caller(accepted.peer, conn);
        conn
    }

    fn input(&mut self, _: Now, input: NodeInput) {
        match input {
            NodeInput::Dialed { conn, result } => self.strings.note(conn, |saw| {
                refuse(saw.dialed.is_some(), "two outcomes of one dial")?;
                saw.dialed = Some(result);
                Ok(())
            }),
            NodeInput::Closed { conn, how } => {
                // What came before the end is taken before the end is told.
                self.read(conn);
                let closing = self.conns.get(&conn).map(|at| at.closing);
                self.strings.note(conn, |saw| closed(saw, how, closing));
                if how == Closed::Done {
                    self.conns.remove(&conn);
                }
            }
            NodeInput::Stored { token, .. } if self.op == Some(token) => self.op = None,
            NodeInput::Drain { .. } => {
                self.draining = true;
                self.out.push_back(NodeAction::Accepting(false));
                for conn in mem::take(&mut self.conns).into_keys() {
                    self.out.push_back(NodeAction::Close { conn, abort: true });
                }
            }
            other => self.strings.note(ConnId(0), |_| Err(format!("nobody asked for {other:?}"))),
        }
    }

    fn conn(&mut self, id: ConnId) -> Option<ConnIo<'_>> {
        let conn = self.conns.get_mut(&id)?;
        Some(ConnIo { rx: &mut conn.rx, tx: &mut conn.tx })
    }

    fn touched(&mut self, id: ConnId) {
        self.touched.insert(id);
    }

    fn poll(&mut self, _: Now) -> NodeStep {
        while let Some(conn) = self.touched.pop_first() {
            self.read(conn);
        }
        for order in self.strings.orders() {
            self.obey(order);
        }
        if let Some(action) = self.out.pop_front() {
            return NodeStep::Act(action);
        }
        if self.draining {
            return if self.conns.is_empty() { NodeStep::Done } else { NodeStep::Wait { until: None } };
        }
        if self.op.is_none() {
            let token = Token(self.next);
            self.next += 1;
            self.op = Some(token);
            return NodeStep::Act(NodeAction::Store { token, op: StoreOp::Queue(QueueOp::Show { rows: Vec::new() }) });
        }
        NodeStep::Wait { until: None }
    }
}

/// A connection's end was told.
fn closed(saw: &mut Saw, how: Closed, closing: Option<bool>) -> Result<(), String> {
    let Some(closing) = closing else { return Err(format!("{how:?} of a connection that is gone")) };
    let twice = match how {
        Closed::Eof => std::mem::replace(&mut saw.eof, true),
        Closed::Error => std::mem::replace(&mut saw.error, true),
        Closed::Done => std::mem::replace(&mut saw.done, true),
    };
    refuse(twice, &format!("{how:?} was told twice"))?;
    refuse(how == Closed::Done && !closing, "it was closed, and nobody wanted that")?;
    refuse(how == Closed::Eof && saw.error, "an end of the stream behind an error")
}

fn refuse(bad: bool, why: &str) -> Result<(), String> {
    if bad { Err(why.to_owned()) } else { Ok(()) }
}
