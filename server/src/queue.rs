//! `queue`: the mail that waits to go out.

use std::collections::BTreeSet;
use std::path::Path;

use pillarbox_core::control::PAGE;
use pillarbox_core::ops::{QueueOp, QueueReply, QueueRow, RowId, StoreOp, StoreReply};
use pillarbox_runtime::wall;
use serde::Serialize;

use crate::account::unexpected;
use crate::admin::Desk;
use crate::failure::Failure;
use crate::print;

/// `queue list`: one recipient a line.
///
/// # Errors
/// When the store cannot be asked.
pub(crate) fn list(dir: &Path, json: bool) -> Result<(), Failure> {
    let desk = Desk::open(dir)?;
    let mut after = None;
    loop {
        let rows = rows(&desk, QueueOp::List { after, limit: PAGE })?;
        for row in &rows {
            print::line(if json { Json::text(row)? } else { brief(row) })?;
        }
        after = rows.last().map(|row| row.id);
        if after.is_none() {
            return print::flush();
        }
    }
}

/// `queue show`: all that is known of these.
///
/// # Errors
/// When one of them is not there, after the others were shown.
pub(crate) fn show(dir: &Path, ids: &[RowId], json: bool) -> Result<(), Failure> {
    let desk = Desk::open(dir)?;
    let rows = find(&desk, ids)?;
    for row in &rows {
        if json {
            print::line(Json::text(row)?)?;
            continue;
        }
        for line in full(row) {
            print::line(line)?;
        }
    }
    print::flush()?;
    all_there(ids, &rows)
}

/// `queue retry`: these are due now.
///
/// # Errors
/// When one of them is not there, after the others were made due.
pub(crate) fn retry(dir: &Path, ids: &[RowId], json: bool) -> Result<(), Failure> {
    change(dir, ids, json, "due now", |rows| QueueOp::Retry { rows, now: wall() })
}

/// `queue remove`: these are gone, and nobody is told.
///
/// # Errors
/// When one of them is not there, after the others were removed.
pub(crate) fn remove(dir: &Path, ids: &[RowId], json: bool) -> Result<(), Failure> {
    change(dir, ids, json, "removed", |rows| QueueOp::Remove { rows })
}

fn change(
    dir: &Path,
    ids: &[RowId],
    json: bool,
    done: &str,
    op: impl Fn(Vec<RowId>) -> QueueOp,
) -> Result<(), Failure> {
    let desk = Desk::open(dir)?;
    let rows = find(&desk, ids)?;
    let mut changed = 0;
    for page in rows.chunks(PAGE) {
        let op = op(page.iter().map(|row| row.id).collect());
        let StoreReply::Queue(QueueReply::Changed(count)) = desk.ask(&StoreOp::Queue(op))? else {
            return Err(unexpected());
        };
        changed += count;
    }
    if json {
        // As they are now; those that are gone, as they were.
        let now = find(&desk, ids)?;
        let rows = if now.is_empty() { &rows } else { &now };
        rows.iter().try_for_each(|row| print::line(Json::text(row)?))?;
    } else {
        print::line(format_args!("{changed} {done}"))?;
    }
    print::flush()?;
    all_there(ids, &rows)
}

/// Those that are there, in the order asked for.
fn find(desk: &Desk, ids: &[RowId]) -> Result<Vec<QueueRow>, Failure> {
    let mut seen = BTreeSet::new();
    let ids: Vec<_> = ids.iter().copied().filter(|id| seen.insert(*id)).collect();
    let mut found = Vec::new();
    for page in ids.chunks(PAGE) {
        found.extend(rows(desk, QueueOp::Show { rows: page.to_vec() })?);
    }
    found.sort_by_key(|row| ids.iter().position(|id| *id == row.id));
    Ok(found)
}

fn all_there(ids: &[RowId], rows: &[QueueRow]) -> Result<(), Failure> {
    let there: BTreeSet<_> = rows.iter().map(|row| row.id).collect();
    let missing: Vec<_> = ids.iter().filter(|id| !there.contains(id)).map(ToString::to_string).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("not in the queue (any more): {}", missing.join(", "))))
}

fn rows(desk: &Desk, op: QueueOp) -> Result<Vec<QueueRow>, Failure> {
    match desk.ask(&StoreOp::Queue(op))? {
        StoreReply::Queue(QueueReply::Rows(rows)) => Ok(rows),
        _ => Err(unexpected()),
    }
}

/// A row as JSON: what stands here is an interface.
#[derive(Serialize)]
struct Json {
    id: String,
    /// Empty: the null reverse-path.
    from: String,
    to: String,
    destination: String,
    size: u64,
    received: String,
    next_attempt: String,
    expires: String,
    attempts: u32,
    /// Empty before the first attempt.
    last_reply: String,
}

impl Json {
    fn text(row: &QueueRow) -> Result<String, Failure> {
        let json = Self {
            id: row.id.to_string(),
            from: row.reverse_path.as_ref().map(ToString::to_string).unwrap_or_default(),
            to: row.recipient.to_string(),
            destination: row.destination.to_string(),
            size: row.size,
            received: row.received.rfc3339().to_string(),
            next_attempt: row.state.due.rfc3339().to_string(),
            expires: row.state.expires.rfc3339().to_string(),
            attempts: row.state.attempts,
            last_reply: row.state.reply.clone(),
        };
        serde_json::to_string(&json).map_err(|error| Failure::new(format!("cannot write JSON: {error}")))
    }
}

fn from(row: &QueueRow) -> String {
    row.reverse_path.as_ref().map_or_else(|| "<>".to_owned(), ToString::to_string)
}

fn brief(row: &QueueRow) -> String {
    let tried = match row.state.attempts {
        0 => "not tried yet".to_owned(),
        attempts => format!("tried {attempts}x: {}", row.state.reply),
    };
    format!("{}  {} -> {}  next {}  {tried}", row.id, from(row), row.recipient, row.state.due.rfc3339())
}

/// All that is known of a row, a line each.
pub(crate) fn full(row: &QueueRow) -> Vec<String> {
    let reply = if row.state.reply.is_empty() { "-" } else { &row.state.reply };
    vec![
        format!("id            {}", row.id),
        format!("from          {}", from(row)),
        format!("to            {}", row.recipient),
        format!("destination   {}", row.destination),
        format!("size          {}", row.size),
        format!("received      {}", row.received.rfc3339()),
        format!("next attempt  {}", row.state.due.rfc3339()),
        format!("expires       {}", row.state.expires.rfc3339()),
        format!("attempts      {}", row.state.attempts),
        format!("last reply    {reply}"),
    ]
}
