//! Commands on mailboxes as a whole (RFC 9051 §6.3, RFC 5258, RFC 5819, RFC 6154, RFC 7162).

use alloc::vec::Vec;

use super::SyntaxError;
use super::cursor::Cursor;
use crate::imap::types::{Command, List, ListReturn, ListSelect, Names, Qresync, Select, StatusItem};

type Result<T> = core::result::Result<T, SyntaxError>;

/// Behind `SELECT` and `EXAMINE`.
pub(super) fn select(cursor: &mut Cursor<'_>, names: Names, read_only: bool) -> Result<Select> {
    let mailbox = cursor.space()?.mailbox(names)?;
    let mut select = Select { read_only, mailbox, condstore: false, qresync: None };
    if !cursor.eat(b' ') {
        return Ok(select);
    }
    cursor.open()?;
    loop {
        match &*cursor.word() {
            b"CONDSTORE" => select.condstore = true,
            b"QRESYNC" if select.qresync.is_none() => {
                cursor.space()?;
                select.qresync = Some(qresync(cursor)?);
            }
            _ => return Err(SyntaxError::Unknown("parameter of SELECT")),
        }
        if !cursor.another()? {
            return Ok(select);
        }
    }
}

/// `(uidvalidity modseq [known-uids] [(seqs uids)])`
fn qresync(cursor: &mut Cursor<'_>) -> Result<Qresync> {
    cursor.open()?;
    let uid_validity = cursor.nz_number()?;
    let modseq = cursor.space()?.nz_modseq()?;
    let mut qresync = Qresync { uid_validity, modseq, known_uids: None, match_data: None };
    let mut more = cursor.another()?;
    if more && cursor.peek() != Some(b'(') {
        qresync.known_uids = Some(cursor.known_set()?);
        more = cursor.another()?;
    }
    if more {
        cursor.open()?;
        let numbers = cursor.known_set()?;
        qresync.match_data = Some((numbers, cursor.space()?.known_set()?));
        cursor.close()?;
        cursor.close()?;
    }
    Ok(qresync)
}

/// Behind `CREATE`.
pub(super) fn create(cursor: &mut Cursor<'_>, names: Names) -> Result<Command> {
    let mailbox = cursor.space()?.mailbox(names)?;
    let (mut uses, mut unknown_use) = (Vec::new(), false);
    if cursor.eat(b' ') {
        cursor.open()?;
        if &*cursor.word() != b"USE" {
            return Err(SyntaxError::Unknown("parameter of CREATE"));
        }
        cursor.space()?;
        cursor.open()?;
        while !cursor.eat(b')') {
            match cursor.special_use()? {
                Some(special) if !uses.contains(&special) => uses.push(special),
                Some(_) => {}
                None => unknown_use = true,
            }
            if !cursor.another()? {
                break;
            }
        }
        cursor.close()?;
    }
    Ok(Command::Create { mailbox, uses, unknown_use })
}

/// Behind `STATUS`.
pub(super) fn status(cursor: &mut Cursor<'_>, names: Names) -> Result<Command> {
    let mailbox = cursor.space()?.mailbox(names)?;
    cursor.space()?;
    Ok(Command::Status { mailbox, items: status_items(cursor)? })
}

/// `"(" status-att *(SP status-att) ")"`. What stands there twice is taken once.
fn status_items(cursor: &mut Cursor<'_>) -> Result<Vec<StatusItem>> {
    cursor.open()?;
    let mut items = Vec::new();
    loop {
        let word = cursor.word();
        let item = StatusItem::ALL.into_iter().find(|item| item.name().as_bytes() == &*word);
        let item = item.ok_or(SyntaxError::Unknown("item of STATUS"))?;
        if !items.contains(&item) {
            items.push(item);
        }
        if !cursor.another()? {
            return Ok(items);
        }
    }
}

/// Behind `LIST`.
pub(super) fn list(cursor: &mut Cursor<'_>, names: Names) -> Result<List> {
    cursor.space()?;
    let mut select = ListSelect::default();
    let mut extended = false;
    if cursor.peek() == Some(b'(') {
        select = list_select(cursor)?;
        extended = true;
        cursor.space()?;
    }
    let reference = cursor.mailbox(names)?;
    cursor.space()?;
    let mut patterns = Vec::new();
    if cursor.eat(b'(') {
        extended = true;
        loop {
            if patterns.len() == List::MAX_PATTERNS {
                return Err(SyntaxError::TooMany("patterns"));
            }
            patterns.push(cursor.pattern(names)?);
            if !cursor.another()? {
                break;
            }
        }
    } else {
        patterns.push(cursor.pattern(names)?);
    }
    let mut returns = ListReturn::default();
    if cursor.eat(b' ') {
        if &*cursor.word() != b"RETURN" {
            return Err(SyntaxError::Expected("RETURN"));
        }
        cursor.space()?;
        returns = list_return(cursor)?;
        extended = true;
    }
    Ok(List { reference, patterns, select, returns, extended })
}

/// `list-select-opts`
fn list_select(cursor: &mut Cursor<'_>) -> Result<ListSelect> {
    let mut select = ListSelect::default();
    cursor.open()?;
    if cursor.eat(b')') {
        return Ok(select);
    }
    loop {
        let option = match &*cursor.word() {
            b"SUBSCRIBED" => &mut select.subscribed,
            b"REMOTE" => &mut select.remote,
            b"RECURSIVEMATCH" => &mut select.recursive_match,
            b"SPECIAL-USE" => &mut select.special_use,
            _ => return Err(SyntaxError::Unknown("selection option of LIST")),
        };
        *option = true;
        if !cursor.another()? {
            break;
        }
    }
    if select.recursive_match && !select.subscribed && !select.special_use {
        return Err(SyntaxError::Combination("RECURSIVEMATCH goes with SUBSCRIBED or SPECIAL-USE only"));
    }
    Ok(select)
}

/// `list-return-opts`
fn list_return(cursor: &mut Cursor<'_>) -> Result<ListReturn> {
    let mut returns = ListReturn::default();
    cursor.open()?;
    if cursor.eat(b')') {
        return Ok(returns);
    }
    loop {
        match &*cursor.word() {
            b"SUBSCRIBED" => returns.subscribed = true,
            b"CHILDREN" => returns.children = true,
            b"SPECIAL-USE" => returns.special_use = true,
            b"STATUS" => {
                cursor.space()?;
                returns.status = status_items(cursor)?;
            }
            _ => return Err(SyntaxError::Unknown("return option of LIST")),
        }
        if !cursor.another()? {
            return Ok(returns);
        }
    }
}
