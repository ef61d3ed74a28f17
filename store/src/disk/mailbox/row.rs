//! A mailbox's row: its names, and the counters that are kept up with every change.

use pillarbox_core::mailbox::{Counters, FlagSet, Keyword, Keywords, MailboxName, ModSeq, SpecialUse};
use pillarbox_core::ops::{AccountId, Id, MailboxId};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::disk::schema::blob;

const COLUMNS: &str = "id, number, name, special_use, uidvalidity, uidnext, highestmodseq, messages, unseen, deleted, \
                       octets, deleted_octets, recent_from, run_from, forgotten, expunged_runs, keywords";

/// A mailbox as its row has it.
#[derive(Clone)]
pub(in crate::disk) struct Mailbox {
    pub(in crate::disk) id: MailboxId,
    /// Under which its messages are kept.
    pub(in crate::disk) number: i64,
    pub(in crate::disk) name: MailboxName,
    pub(super) special_use: Option<SpecialUse>,
    pub(in crate::disk) uid_validity: u32,
    pub(super) uid_next: u32,
    pub(super) highest_modseq: ModSeq,
    pub(super) messages: u32,
    pub(super) unseen: u32,
    pub(super) deleted: u32,
    pub(super) octets: u64,
    pub(super) deleted_octets: u64,
    /// Messages from this UID on are recent, but for what was claimed since (see `claims`).
    pub(super) recent_from: u32,
    /// The messages from this UID on are all there, and not in the table `views`.
    pub(super) run_from: u32,
    /// What was removed up to this modseq nobody remembers.
    pub(super) forgotten: ModSeq,
    /// Runs of UIDs in the table `expunged`.
    pub(super) expunged_runs: usize,
    pub(super) keywords: Keywords,
}

impl Mailbox {
    /// The mailbox with this name.
    pub(in crate::disk) fn named(
        conn: &Connection,
        account: AccountId,
        name: &MailboxName,
    ) -> rusqlite::Result<Option<Self>> {
        conn.prepare_cached(&format!("SELECT {COLUMNS} FROM mailboxes WHERE account = ?1 AND name = ?2"))?
            .query_row(params![blob(account.0), name.as_str()], read)
            .optional()
    }

    /// The mailbox with this id, if it is the account's.
    pub(in crate::disk) fn own(conn: &Connection, account: AccountId, id: MailboxId) -> rusqlite::Result<Option<Self>> {
        conn.prepare_cached(&format!("SELECT {COLUMNS} FROM mailboxes WHERE id = ?1 AND account = ?2"))?
            .query_row(params![blob(id.0), blob(account.0)], read)
            .optional()
    }

    /// All mailboxes of the account, by name.
    pub(super) fn all(conn: &Connection, account: AccountId) -> rusqlite::Result<Vec<Self>> {
        conn.prepare_cached(&format!("SELECT {COLUMNS} FROM mailboxes WHERE account = ?1 ORDER BY name"))?
            .query_map([blob(account.0)], read)?
            .collect()
    }

    /// Writes back what changes of messages change.
    pub(super) fn save(&self, conn: &Connection) -> rusqlite::Result<()> {
        conn.prepare_cached(
            "UPDATE mailboxes SET uidnext = ?2, highestmodseq = ?3, messages = ?4, unseen = ?5, deleted = ?6, octets = ?7,
                deleted_octets = ?8, run_from = ?9, forgotten = ?10, expunged_runs = ?11, keywords = ?12
             WHERE id = ?1",
        )?
        .execute(params![
            blob(self.id.0),
            self.uid_next,
            self.highest_modseq.cast_signed(),
            self.messages,
            self.unseen,
            self.deleted,
            self.octets.cast_signed(),
            self.deleted_octets.cast_signed(),
            self.run_from,
            self.forgotten.cast_signed(),
            self.expunged_runs as i64,
            text(&self.keywords),
        ])?;
        Ok(())
    }

    /// So many messages more have UIDs.
    pub(super) fn has_room(&self, messages: usize) -> bool {
        u32::try_from(messages).is_ok_and(|messages| messages <= u32::MAX - self.uid_next)
    }

    /// Counts a message that has come.
    pub(super) fn add(&mut self, flags: FlagSet, size: u64) {
        self.messages += 1;
        self.octets += size;
        self.count(flags, size);
    }

    /// Counts a message that is gone.
    pub(super) fn subtract(&mut self, flags: FlagSet, size: u64) {
        self.messages = self.messages.saturating_sub(1);
        self.octets = self.octets.saturating_sub(size);
        self.discount(flags, size);
    }

    /// Counts a message whose flags are others now.
    pub(super) fn reflag(&mut self, old: FlagSet, new: FlagSet, size: u64) {
        self.discount(old, size);
        self.count(new, size);
    }

    pub(super) fn counters(&self, recent: u32) -> Counters {
        Counters {
            messages: self.messages,
            unseen: self.unseen,
            deleted: self.deleted,
            recent,
            octets: self.octets,
            deleted_octets: self.deleted_octets,
            uid_next: self.uid_next,
            uid_validity: self.uid_validity,
            highest_modseq: self.highest_modseq,
        }
    }

    fn count(&mut self, flags: FlagSet, size: u64) {
        self.unseen += u32::from(!flags.contains(FlagSet::SEEN));
        if flags.contains(FlagSet::DELETED) {
            self.deleted += 1;
            self.deleted_octets += size;
        }
    }

    fn discount(&mut self, flags: FlagSet, size: u64) {
        self.unseen = self.unseen.saturating_sub(u32::from(!flags.contains(FlagSet::SEEN)));
        if flags.contains(FlagSet::DELETED) {
            self.deleted = self.deleted.saturating_sub(1);
            self.deleted_octets = self.deleted_octets.saturating_sub(size);
        }
    }
}

/// A special use as it is kept.
pub(super) fn use_text(special_use: SpecialUse) -> &'static str {
    match special_use {
        SpecialUse::All => "all",
        SpecialUse::Archive => "archive",
        SpecialUse::Drafts => "drafts",
        SpecialUse::Flagged => "flagged",
        SpecialUse::Junk => "junk",
        SpecialUse::Sent => "sent",
        SpecialUse::Trash => "trash",
    }
}

/// A name that was kept.
pub(super) fn name(row: &Row<'_>, column: usize) -> rusqlite::Result<MailboxName> {
    MailboxName::new(row.get_ref(column)?.as_str()?).map_err(|error| wrong(column, error))
}

/// Flags that were kept.
pub(super) fn flags(row: &Row<'_>, column: usize) -> rusqlite::Result<FlagSet> {
    Ok(FlagSet(row.get::<_, i64>(column)?.cast_unsigned()))
}

/// A number that is never negative.
pub(in crate::disk) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.unsigned_abs())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Mailbox> {
    let special_use = match row.get_ref(3)?.as_str_or_null()? {
        None => None,
        Some("all") => Some(SpecialUse::All),
        Some("archive") => Some(SpecialUse::Archive),
        Some("drafts") => Some(SpecialUse::Drafts),
        Some("flagged") => Some(SpecialUse::Flagged),
        Some("junk") => Some(SpecialUse::Junk),
        Some("sent") => Some(SpecialUse::Sent),
        Some("trash") => Some(SpecialUse::Trash),
        Some(_) => return Err(wrong(3, "no special use")),
    };
    let keywords = row.get_ref(16)?.as_str()?.split_ascii_whitespace().map(Keyword::new);
    let keywords = keywords.collect::<Result<_, _>>().map_err(|error| wrong(16, error))?;
    Ok(Mailbox {
        id: MailboxId(Id::from_bytes(row.get(0)?)),
        number: row.get(1)?,
        name: name(row, 2)?,
        special_use,
        uid_validity: row.get(4)?,
        uid_next: row.get(5)?,
        highest_modseq: unsigned(row, 6)?,
        messages: row.get(7)?,
        unseen: row.get(8)?,
        deleted: row.get(9)?,
        octets: unsigned(row, 10)?,
        deleted_octets: unsigned(row, 11)?,
        recent_from: row.get(12)?,
        run_from: row.get(13)?,
        forgotten: unsigned(row, 14)?,
        expunged_runs: row.get::<_, u32>(15)? as usize,
        keywords: Keywords::new(keywords),
    })
}

/// Keywords as they are kept: no atom has a space.
fn text(keywords: &Keywords) -> String {
    keywords.list().iter().map(Keyword::as_str).collect::<Vec<_>>().join(" ")
}

fn wrong(column: usize, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
}
