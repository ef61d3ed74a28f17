//! One question, one answer: the one-shot right to answer what a session asked.
//!
//! An action that wants an answer carries a [`Ticket<A>`]. It is not `Clone` and answering consumes it, so answering
//! twice, or with another type than `A`, does not compile. It remembers which session issued it, so handing it to
//! another one is a [`Misuse`], found out at once.

use core::fmt;
use core::marker::PhantomData;

/// The name of a session, given by the host when it makes one; unique while the session lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// The right to answer one question with an `A`.
#[must_use = "a question that is never answered runs into the session's timeout"]
pub struct Ticket<A> {
    session: SessionId,
    serial: u64,
    answer: PhantomData<fn(A)>,
}

impl<A> Ticket<A> {
    /// The session that asked.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }
}

impl<A> fmt::Debug for Ticket<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({}/{})", self.session.0, self.serial)
    }
}

/// A session's own book of tickets: issues them, and redeems them when the answer comes.
#[derive(Debug)]
pub struct Tickets {
    session: SessionId,
    next: u64,
}

impl Tickets {
    /// An empty book for `session`.
    #[must_use]
    pub fn new(session: SessionId) -> Self {
        Self { session, next: 0 }
    }

    /// The session whose book it is.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// A new ticket, and the serial under which the machine remembers what it asked.
    pub fn issue<A>(&mut self) -> (Ticket<A>, u64) {
        let serial = self.next;
        self.next += 1;
        (Ticket { session: self.session, serial, answer: PhantomData }, serial)
    }

    /// The serial of a ticket that comes back.
    ///
    /// # Errors
    /// [`Misuse::ForeignTicket`] when another session issued it.
    pub fn redeem<A>(&self, ticket: Ticket<A>) -> Result<u64, Misuse> {
        if ticket.session == self.session { Ok(ticket.serial) } else { Err(Misuse::ForeignTicket) }
    }
}

/// The host broke the contract: a bug in the host, never a peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// The ticket was issued by another session.
    ForeignTicket,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForeignTicket => f.write_str("the ticket was issued by another session"),
        }
    }
}

impl core::error::Error for Misuse {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_ticket_is_misuse() {
        let (mut a, b) = (Tickets::new(SessionId(1)), Tickets::new(SessionId(2)));
        let (ticket, serial) = a.issue::<bool>();
        assert_eq!(a.redeem(ticket), Ok(serial));
        let (ticket, _) = a.issue::<bool>();
        assert_eq!(b.redeem(ticket), Err(Misuse::ForeignTicket));
    }
}
