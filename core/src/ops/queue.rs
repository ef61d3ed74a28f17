//! The queue as rows: one recipient of one message each, found by destination and time, owned through leased buckets.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use bytes::Bytes;

use super::{Accept, BlobId, LeaseEpoch, RowId};
use crate::smtp::Address;
use crate::time::Wall;

/// How many buckets the rows are hashed into. Fixed: it is stored with each row, and has nothing to do with the number
/// of workers.
pub const BUCKETS: u16 = 1024;

/// Where a row goes next; rows of one destination share connections, limits and a bucket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// A recipient in a domain of ours that must be routed again: its account went away, or it is a bounce.
    Local,
    /// The mail exchangers of this domain (lower case), by MX lookup. An address literal is looked up by nobody: it is
    /// written as in the address, `[192.0.2.1]`.
    Domain(String),
    /// A fixed next hop, whatever the domain: `smtp://host:port` as the configuration has it.
    Route(String),
}

impl Destination {
    /// The text under which a store keeps it.
    #[must_use]
    pub fn key(&self) -> String {
        alloc::format!("{self}")
    }

    /// The reverse of [`key`](Self::key).
    #[must_use]
    pub fn from_key(key: &str) -> Self {
        match key {
            "local" => Self::Local,
            _ => match key.strip_prefix("mx:") {
                Some(domain) => Self::Domain(domain.into()),
                None if key.contains("://") => Self::Route(key.into()),
                None => Self::Domain(key.into()),
            },
        }
    }

    /// Its bucket.
    #[must_use]
    pub fn bucket(&self) -> u16 {
        bucket(&self.key())
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Domain(domain) => write!(f, "mx:{domain}"),
            Self::Route(route) => f.write_str(route),
        }
    }
}

/// The bucket of a destination's key: FNV-1a, folded. It is written to disk, so it can never change.
#[must_use]
pub fn bucket(key: &str) -> u16 {
    let hash = key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    ((hash ^ (hash >> 32)) % u64::from(BUCKETS)) as u16
}

/// What a queue machine asks of its store, and what an operator does to the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueOp {
    /// Lease these buckets until `until`. A lease already held by this epoch is prolonged.
    ///
    /// Until it ends nobody else gets the buckets, unless the node that holds it is gone (its [`Sink`](super::Sink) is
    /// dropped); and nobody else works on their rows. So where the buckets are shared out among several nodes, mail for
    /// the buckets of one that has stopped waits until there is another in its place: a server is whole only while all
    /// its nodes run, and stops when one of them dies.
    Lease {
        /// Which buckets.
        buckets: Range<u16>,
        /// The epoch held so far, if any.
        epoch: Option<LeaseEpoch>,
        /// When it ends if it is not prolonged.
        until: Wall,
    },
    /// Destinations in these buckets that have a row due at `now`, in order of their key.
    Active {
        /// Which buckets.
        buckets: Range<u16>,
        /// Rows due at or before this.
        now: Wall,
        /// Continue behind this destination.
        after: Option<Destination>,
        /// How many at most.
        limit: usize,
    },
    /// Rows of one destination that are due at `now`, by (due, id).
    Due {
        /// Whose rows.
        destination: Destination,
        /// Rows due at or before this.
        now: Wall,
        /// Continue behind this row.
        after: Option<(Wall, RowId)>,
        /// How many at most.
        limit: usize,
    },
    /// Bytes of a queued message (prefix and body as one), from `offset`, at most `len`; fewer only at the end.
    Read {
        /// Which row: its prefix, its body.
        row: RowId,
        /// Position of the first byte.
        offset: u64,
        /// How many bytes at most.
        len: usize,
    },
    /// Record what became of an attempt: all these rows in one transaction, with the bounces that they cause.
    Settle(Settle),
    /// All rows by id, a page at a time: for an operator.
    List {
        /// Continue behind this row.
        after: Option<RowId>,
        /// How many at most.
        limit: usize,
    },
    /// These rows: for an operator.
    Show {
        /// Which.
        rows: Vec<RowId>,
    },
    /// Make these rows due now.
    Retry {
        /// Which.
        rows: Vec<RowId>,
        /// Now.
        now: Wall,
    },
    /// Remove these rows without a bounce.
    Remove {
        /// Which.
        rows: Vec<RowId>,
    },
}

/// The outcome of an attempt for some rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settle {
    /// The lease under which the attempt was made.
    pub epoch: LeaseEpoch,
    /// Each row and what became of it. A row that is gone by now (an operator removed it) is passed over.
    pub rows: Vec<(RowId, Attempted)>,
    /// Messages to accept in the same transaction: bounces, and what a local row turned into.
    pub accepts: Vec<Accept>,
}

/// What became of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempted {
    /// It left the queue: delivered, or bounced by one of the `accepts`.
    Finished,
    /// It stays; its count of attempts grows by one.
    Retry {
        /// When it is due again.
        due: Wall,
        /// The peer's words, or ours, as one line.
        reply: String,
    },
}

/// A row of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueRow {
    /// Its name.
    pub id: RowId,
    /// The body, so that rows of one message can go in one transaction.
    pub blob: BlobId,
    /// The reverse-path; `None` is the null one.
    pub reverse_path: Option<Address>,
    /// The forward-path.
    pub recipient: Address,
    /// Where it goes.
    pub destination: Destination,
    /// What stands before the body.
    pub prefix: Bytes,
    /// Octets of prefix and body together.
    pub size: u64,
    /// It needs SMTPUTF8.
    pub smtputf8: bool,
    /// It was declared 8BITMIME.
    pub eight_bit: bool,
    /// When it was received.
    pub received: Wall,
    /// Its fate so far.
    pub state: RowState,
}

impl QueueRow {
    /// Whether both rows are recipients of one message, and can go in one transaction.
    #[must_use]
    pub fn same_message(&self, other: &Self) -> bool {
        self.blob == other.blob
            && self.reverse_path == other.reverse_path
            && self.prefix == other.prefix
            && (self.smtputf8, self.eight_bit) == (other.smtputf8, other.eight_bit)
    }
}

/// The part of a row that attempts change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowState {
    /// When it is tried next.
    pub due: Wall,
    /// When it is given up.
    pub expires: Wall,
    /// Attempts made.
    pub attempts: u32,
    /// The last attempt's reply, as one line; empty before the first.
    pub reply: String,
}

/// Answers to [`QueueOp`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueReply {
    /// To `Lease`: outcomes are recorded under this epoch.
    Leased(LeaseEpoch),
    /// To `Lease` and `Settle`: another owner holds the buckets now; start again with a new lease.
    Lost,
    /// To `Active`, with the time of the earliest row in these buckets that is due later than `now`.
    Active {
        /// The destinations.
        destinations: Vec<Destination>,
        /// When to ask again at the latest; `None` when no row waits.
        next: Option<Wall>,
    },
    /// To `Due`, `List` and `Show`.
    Rows(Vec<QueueRow>),
    /// To `Read`.
    Bytes(Bytes),
    /// To `Read`: the row is gone.
    Gone,
    /// To `Settle`: what each of its `accepts` became.
    Settled(Vec<super::Accepted>),
    /// To `Retry` and `Remove`: how many rows it met.
    Changed(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_name_destinations() {
        for destination in [
            Destination::Local,
            Destination::Domain("local".into()),
            Destination::Domain("birch.example".into()),
            Destination::Domain("[192.0.2.1]".into()),
            Destination::Domain("no://domain".into()),
            Destination::Route("smtp://127.0.0.1:2626".into()),
        ] {
            assert_eq!(Destination::from_key(&destination.key()), destination);
        }
    }

    #[test]
    fn buckets_are_what_is_on_disk() {
        assert_eq!([bucket(""), bucket("local"), bucket("mx:example.org")], [961, 862, 148]);
    }
}
