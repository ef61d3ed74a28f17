//! Answers: a reply as lines, and back.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write as _;

use bytes::Bytes;

use super::word;
use crate::ops::{AccountReply, Destination, QueueReply, QueueRow, RowState, StoreError, StoreReply};
use crate::outbox::Outbox;
use crate::smtp::Address;
use crate::time::Wall;

/// The request was not understood.
pub(super) const BAD: &[u8] = b"bad\r\n";

/// Writes a reply.
pub(super) fn write(reply: &StoreReply, tx: &mut Outbox) {
    match reply {
        StoreReply::Account(AccountReply::Done) => tx.put(b"done\r\n"),
        StoreReply::Account(AccountReply::Exists) => tx.put(b"exists\r\n"),
        StoreReply::Account(AccountReply::NotFound) => tx.put(b"not-found\r\n"),
        StoreReply::Account(AccountReply::Accounts(accounts)) => {
            for account in accounts {
                line(tx, "account", [account]);
            }
            tx.put(b"accounts\r\n");
        }
        StoreReply::Account(AccountReply::Aliases(aliases)) => {
            for (alias, targets) in aliases {
                line(tx, "alias", [alias].into_iter().chain(targets));
            }
            tx.put(b"aliases\r\n");
        }
        StoreReply::Queue(QueueReply::Rows(rows)) => {
            for row in rows {
                line(tx, "row", fields(row));
            }
            tx.put(b"rows\r\n");
        }
        StoreReply::Queue(QueueReply::Changed(count)) => line(tx, "changed", [count]),
        StoreReply::Failed(error) => line(tx, "failed", [error_word(*error)]),
        // Nothing else answers a request.
        _ => line(tx, "failed", [error_word(StoreError::Unknown)]),
    }
}

/// Reads an answer, line by line.
#[derive(Debug, Default)]
pub(super) struct Reader {
    accounts: Vec<Address>,
    aliases: Vec<(Address, Vec<Address>)>,
    rows: Vec<QueueRow>,
}

/// What a line of an answer is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// A part of it.
    Part,
    /// Its end.
    Reply(StoreReply),
    /// The server did not understand the request.
    Bad,
    /// Not a line of this protocol.
    Garbage,
}

impl Reader {
    pub(super) fn line(&mut self, line: &[u8]) -> Read {
        core::str::from_utf8(line).ok().and_then(|line| self.understand(line)).unwrap_or(Read::Garbage)
    }

    fn understand(&mut self, line: &str) -> Option<Read> {
        let mut words = line.split(' ');
        let reply = match words.next()? {
            "done" => StoreReply::Account(AccountReply::Done),
            "exists" => StoreReply::Account(AccountReply::Exists),
            "not-found" => StoreReply::Account(AccountReply::NotFound),
            "account" if self.accounts.len() < super::PAGE => {
                self.accounts.push(address(words.next()?)?);
                return Some(Read::Part);
            }
            "alias" if self.aliases.len() < super::PAGE => {
                let alias = address(words.next()?)?;
                self.aliases.push((alias, words.map(address).collect::<Option<_>>()?));
                return Some(Read::Part);
            }
            "row" if self.rows.len() < super::PAGE => {
                self.rows.push(row(words)?);
                return Some(Read::Part);
            }
            "accounts" => StoreReply::Account(AccountReply::Accounts(core::mem::take(&mut self.accounts))),
            "aliases" => StoreReply::Account(AccountReply::Aliases(core::mem::take(&mut self.aliases))),
            "rows" => StoreReply::Queue(QueueReply::Rows(core::mem::take(&mut self.rows))),
            "changed" => StoreReply::Queue(QueueReply::Changed(words.next()?.parse().ok()?)),
            "failed" => StoreReply::Failed(error(words.next()?)?),
            "bad" => return Some(Read::Bad),
            _ => return None,
        };
        Some(Read::Reply(reply))
    }
}

fn line<T: ToString>(tx: &mut Outbox, kind: &str, words: impl IntoIterator<Item = T>) {
    let mut line = String::from(kind);
    for word in words {
        word::push(&mut line, &word.to_string());
    }
    line.push_str("\r\n");
    tx.put(line.as_bytes());
}

/// What an operator sees of a row; its prefix stays in the store.
fn fields(row: &QueueRow) -> [String; 12] {
    let mut flags = String::new();
    if row.smtputf8 {
        flags.push('u');
    }
    if row.eight_bit {
        flags.push('8');
    }
    let mut from = String::new();
    if let Some(address) = &row.reverse_path {
        // Writing to a String cannot fail.
        let _ = write!(from, "{address}");
    }
    [
        row.id.to_string(),
        row.blob.to_string(),
        from,
        row.recipient.to_string(),
        row.destination.to_string(),
        row.size.to_string(),
        flags,
        row.received.0.to_string(),
        row.state.due.0.to_string(),
        row.state.expires.0.to_string(),
        row.state.attempts.to_string(),
        row.state.reply.clone(),
    ]
}

fn row<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<QueueRow> {
    let mut next = || word::text(words.next()?);
    let (id, blob) = (next()?.parse().ok()?, next()?.parse().ok()?);
    let from = next()?;
    let reverse_path = if from.is_empty() { None } else { Some(Address::parse(&from).ok()?) };
    let recipient = Address::parse(&next()?).ok()?;
    let destination = Destination::from_key(&next()?);
    let size = next()?.parse().ok()?;
    let flags = next()?;
    let received = Wall(next()?.parse().ok()?);
    let (due, expires) = (Wall(next()?.parse().ok()?), Wall(next()?.parse().ok()?));
    let (attempts, reply) = (next()?.parse().ok()?, next()?);
    Some(QueueRow {
        id,
        blob,
        reverse_path,
        recipient,
        destination,
        prefix: Bytes::new(),
        size,
        smtputf8: flags.contains('u'),
        eight_bit: flags.contains('8'),
        received,
        state: RowState { due, expires, attempts, reply },
    })
}

fn address(word: &str) -> Option<Address> {
    Address::parse(&word::text(word)?).ok()
}

fn error_word(error: StoreError) -> &'static str {
    match error {
        StoreError::Full => "full",
        StoreError::Stopped => "stopped",
        StoreError::Unknown => "unknown",
        StoreError::Unreadable => "unreadable",
    }
}

fn error(word: &str) -> Option<StoreError> {
    [StoreError::Full, StoreError::Stopped, StoreError::Unknown, StoreError::Unreadable]
        .into_iter()
        .find(|error| error_word(*error) == word)
}

#[cfg(test)]
mod tests {
    use bytes::Buf as _;

    use super::*;
    use crate::ops::{BlobId, Id, RowId};

    fn comes_back(reply: &StoreReply) {
        let mut tx = Outbox::new(0);
        write(reply, &mut tx);
        let bytes = tx.copy_to_bytes(tx.remaining());
        let text = core::str::from_utf8(&bytes).unwrap().strip_suffix("\r\n").unwrap();
        let mut reader = Reader::default();
        let mut last = Read::Part;
        for line in text.split("\r\n") {
            assert_eq!(last, Read::Part);
            last = reader.line(line.as_bytes());
        }
        assert_eq!(last, Read::Reply(reply.clone()), "{text}");
    }

    #[test]
    fn a_reply_comes_back_as_it_was() {
        let address = |text: &str| Address::parse(text).unwrap();
        let (a, b) = (address("alice@example.org"), address("\"b c%\"@example.org"));
        let row = |from: Option<Address>, reply: &str| QueueRow {
            id: RowId(Id { epoch: 2, counter: 7 }),
            blob: BlobId(Id { epoch: 1, counter: 3 }),
            reverse_path: from,
            recipient: b.clone(),
            destination: Destination::Domain("birch.example".into()),
            prefix: Bytes::new(),
            size: 2048,
            smtputf8: false,
            eight_bit: true,
            received: Wall(-5),
            state: RowState { due: Wall(1), expires: Wall(2), attempts: 3, reply: reply.into() },
        };
        comes_back(&StoreReply::Account(AccountReply::Done));
        comes_back(&StoreReply::Account(AccountReply::Exists));
        comes_back(&StoreReply::Account(AccountReply::NotFound));
        comes_back(&StoreReply::Account(AccountReply::Accounts([a.clone(), b.clone()].into())));
        comes_back(&StoreReply::Account(AccountReply::Aliases([(a.clone(), [b.clone(), a.clone()].into())].into())));
        comes_back(&StoreReply::Queue(QueueReply::Rows([row(None, ""), row(Some(a), "451 4.4.1 no\rway")].into())));
        comes_back(&StoreReply::Queue(QueueReply::Changed(5)));
        comes_back(&StoreReply::Failed(StoreError::Full));
    }

    #[test]
    fn garbage_is_garbage() {
        for line in ["", "account", "row 1-1", "changed -1", "failed x", "200 OK"] {
            assert_eq!(Reader::default().line(line.as_bytes()), Read::Garbage, "{line}");
        }
    }
}
