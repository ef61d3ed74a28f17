//! Which UIDs a mailbox has, kept up with every change, so that a mailbox of a million messages opens without reading a
//! million rows.
//!
//! Messages come at the end, so the UIDs from `run_from` to `uidnext - 1` are one run that grows by itself: an arriving
//! message costs nothing here. What is removed breaks the run; the UIDs before the break are then in the table `views`,
//! one row for each range of [`CHUNK`] UIDs that has messages, as runs.

use std::collections::BTreeSet;

use pillarbox_core::mailbox::UidSet;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::row::Mailbox;

/// UIDs of a row. At worst every other one is there, and the row has 4 KiB.
const CHUNK: u32 = 4096;

/// All UIDs of a mailbox.
pub(in crate::disk) fn load(conn: &Connection, mailbox: &Mailbox) -> rusqlite::Result<UidSet> {
    load_from(conn, mailbox, 0)
}

/// How many messages there are from this UID on.
pub(super) fn count_from(conn: &Connection, mailbox: &Mailbox, uid: u32) -> rusqlite::Result<u32> {
    if uid >= mailbox.run_from {
        return Ok(mailbox.uid_next.saturating_sub(uid));
    }
    let mut uids = load_from(conn, mailbox, uid / CHUNK)?;
    uids.remove(&UidSet::run(1, uid.saturating_sub(1)));
    Ok(uids.len())
}

/// Takes UIDs out that are there, and moves the beginning of the last run behind the last break.
pub(super) fn remove(conn: &Connection, mailbox: &mut Mailbox, gone: &UidSet) -> rusqlite::Result<()> {
    let mut broken = UidSet::run(mailbox.run_from, mailbox.uid_next - 1);
    if gone.last().is_some_and(|last| last >= mailbox.run_from) {
        broken.remove(gone);
        mailbox.run_from = last_run(&broken, mailbox.uid_next);
        broken.remove(&UidSet::run(mailbox.run_from, u32::MAX));
    } else {
        broken = UidSet::default();
    }
    let mut read = conn.prepare_cached("SELECT uids FROM views WHERE mailbox = ?1 AND chunk = ?2")?;
    let mut write = conn.prepare_cached("INSERT OR REPLACE INTO views VALUES (?1, ?2, ?3)")?;
    let mut delete = conn.prepare_cached("DELETE FROM views WHERE mailbox = ?1 AND chunk = ?2")?;
    for chunk in chunks(gone).union(&chunks(&broken)) {
        let all = UidSet::run((chunk * CHUNK).max(1), chunk * CHUNK + (CHUNK - 1));
        let key = params![mailbox.number, chunk];
        let mut uids = read.query_row(key, |row| decode(row.get_ref(0)?.as_blob()?)).optional()?.unwrap_or_default();
        uids.remove(gone);
        extend(&mut uids, &broken.intersection(&all));
        match uids.is_empty() {
            true => delete.execute(key)?,
            false => write.execute(params![mailbox.number, chunk, encode(&uids)])?,
        };
    }
    Ok(())
}

/// Keeps the view of a mailbox that has just these UIDs, and none yet. Says where its last run begins.
pub(in crate::disk) fn fill(conn: &Connection, number: i64, uid_next: u32, uids: &UidSet) -> rusqlite::Result<u32> {
    let run_from = last_run(uids, uid_next);
    let mut broken = uids.clone();
    broken.remove(&UidSet::run(run_from, u32::MAX));
    let mut write = conn.prepare_cached("INSERT INTO views VALUES (?1, ?2, ?3)")?;
    for chunk in chunks(&broken) {
        let all = UidSet::run((chunk * CHUNK).max(1), chunk * CHUNK + (CHUNK - 1));
        write.execute(params![number, chunk, encode(&broken.intersection(&all))])?;
    }
    Ok(run_from)
}

/// A set as it is written: for each run what is missing before it, and what follows its first, as LEB128.
pub(super) fn encode(uids: &UidSet) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut end = 0;
    for (first, last) in uids.runs() {
        for mut number in [first - end, last - first] {
            while number >= 0x80 {
                bytes.push(number as u8 | 0x80);
                number >>= 7;
            }
            bytes.push(number as u8);
        }
        end = last;
    }
    bytes
}

/// The reverse of [`encode`].
pub(super) fn decode(bytes: &[u8]) -> rusqlite::Result<UidSet> {
    let wrong = || rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, "no set of UIDs".into());
    let (mut rest, mut uids, mut end) = (bytes, UidSet::default(), 0_u32);
    while !rest.is_empty() {
        let first = number(&mut rest).and_then(|gap| end.checked_add(gap)).ok_or_else(wrong)?;
        end = number(&mut rest).and_then(|more| first.checked_add(more)).ok_or_else(wrong)?;
        uids.insert(first, end);
    }
    Ok(uids)
}

/// Adds all of `other`.
pub(super) fn extend(uids: &mut UidSet, other: &UidSet) {
    other.runs().for_each(|(first, last)| uids.insert(first, last));
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let mut number = 0_u64;
    for shift in (0..35).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(number).ok();
        }
    }
    None
}

fn load_from(conn: &Connection, mailbox: &Mailbox, chunk: u32) -> rusqlite::Result<UidSet> {
    let mut statement =
        conn.prepare_cached("SELECT uids FROM views WHERE mailbox = ?1 AND chunk >= ?2 ORDER BY chunk")?;
    let mut rows = statement.query(params![mailbox.number, chunk])?;
    let mut uids = UidSet::default();
    while let Some(row) = rows.next()? {
        extend(&mut uids, &decode(row.get_ref(0)?.as_blob()?)?);
    }
    uids.insert(mailbox.run_from, mailbox.uid_next - 1);
    Ok(uids)
}

/// Where the run begins that ends just before `uid_next`.
fn last_run(uids: &UidSet, uid_next: u32) -> u32 {
    let whole = uids.runs().last().filter(|(_, last)| *last == uid_next - 1);
    whole.map_or(uid_next, |(first, _)| first)
}

/// The chunks in which a set has UIDs.
fn chunks(uids: &UidSet) -> BTreeSet<u32> {
    uids.runs().flat_map(|(first, last)| first / CHUNK..=last / CHUNK).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_read_as_they_were_written() {
        let mut every_other = UidSet::default();
        (1..CHUNK).step_by(2).for_each(|uid| every_other.insert(uid, uid));
        for uids in [UidSet::default(), UidSet::run(1, 1), UidSet::run(1, u32::MAX), every_other] {
            let bytes = encode(&uids);
            assert!(bytes.len() <= CHUNK as usize);
            assert_eq!(decode(&bytes).ok(), Some(uids));
        }
        for bad in [&[0x80][..], &[1], &[1, 0x80], &[1, 0xff, 0xff, 0xff, 0xff, 0x0f], &[0xff; 12]] {
            assert!(decode(bad).is_err(), "{bad:?}");
        }
    }
}
