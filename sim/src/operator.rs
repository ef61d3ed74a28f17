//! The operator of a machine, who removes accounts while somebody is logged in, turns aliases round while letters wait
//! for them, and takes letters out of the queue that is being worked on.

use pillarbox_core::ops::{
    AccountOp, AccountReply, QueueOp, QueueReply, QueueRow, Resolution, RowId, StoreOp, StoreReply,
};
use pillarbox_core::smtp::Address;

use crate::plan::domain;
use crate::world::World;

/// Rows that an operator looks at.
const ROWS: usize = 50;

/// What is done to the accounts of a machine.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Errand {
    /// The guest's account is removed.
    Remove,
    /// And an alias is put in its place, with this name.
    Replace(&'static str),
    /// An alias is the first user's no more, but the last one's.
    Turn,
}

impl Errand {
    fn of(degree: usize) -> Self {
        match degree % 5 {
            0 => Self::Remove,
            1 => Self::Replace("loop"),
            2 => Self::Replace("away"),
            3 => Self::Replace("crowd"),
            _ => Self::Turn,
        }
    }
}

/// What an operator does to accounts, in words.
pub(crate) fn errand(degree: usize) -> String {
    match Errand::of(degree) {
        Errand::Remove => "guest is removed".to_owned(),
        Errand::Replace(alias) => format!("guest is removed, and leads to {alias}"),
        Errand::Turn => "other is another's name".to_owned(),
    }
}

/// He does it.
pub(crate) fn changes_accounts(world: &mut World, host: usize, users: usize, degree: usize) {
    let errand = Errand::of(degree);
    if errand == Errand::Turn {
        return turn(world, host, "other", &format!("u{}", users - 1));
    }
    let Some(guest) = address("guest", host) else { return };
    world.order(host, StoreOp::Account(AccountOp::Remove { address: guest }));
    if let Errand::Replace(alias) = errand {
        turn(world, host, "guest", alias);
    }
}

/// Everything is as it was, but for what a new account does not have.
pub(crate) fn puts_back(world: &mut World, host: usize) {
    turn(world, host, "other", "u0");
    let Some(guest) = address("guest", host) else { return };
    world.order(host, StoreOp::Account(AccountOp::RemoveAlias { alias: guest.clone() }));
    let add = AccountOp::Add { address: guest.clone(), password: "guest".into() };
    if !matches!(world.order(host, StoreOp::Account(add)), Some(StoreReply::Account(AccountReply::Done))) {
        return;
    }
    let resolve = AccountOp::Resolve { address: guest };
    let resolved = world.order(host, StoreOp::Account(resolve));
    if let Some(StoreReply::Account(AccountReply::Resolved(Resolution::Targets { accounts, .. }))) = resolved
        && let (Some((account, _)), Some(user)) = (accounts.first(), world.hosts[host].guest)
    {
        world.ledger.has_account(user, host, *account);
    }
}

/// An alias leads there.
fn turn(world: &mut World, host: usize, alias: &str, target: &str) {
    if let (Some(alias), Some(target)) = (address(alias, host), address(target, host)) {
        world.order(host, StoreOp::Account(AccountOp::SetAlias { alias, targets: vec![target] }));
    }
}

fn address(name: &str, host: usize) -> Option<Address> {
    format!("{name}@{}", domain(host)).parse().ok()
}

/// What an operator does to a queue, in words.
pub(crate) fn order(degree: usize) -> String {
    match removes(degree) {
        Some(rows) => format!("up to {rows} rows are removed"),
        None => "all is tried again".to_owned(),
    }
}

/// How many rows he removes; nothing, where he wants all to be tried again.
fn removes(degree: usize) -> Option<usize> {
    degree.is_multiple_of(2).then_some(1 + degree % 5)
}

/// He looks at the queue, and does it.
pub(crate) fn meddles(world: &mut World, host: usize, degree: usize) {
    let list = world.order(host, StoreOp::Queue(QueueOp::List { after: None, limit: ROWS }));
    let Some(StoreReply::Queue(QueueReply::Rows(rows))) = list else { return };
    let ids = |rows: &[QueueRow]| rows.iter().map(|row| row.id).collect::<Vec<RowId>>();
    let op = match removes(degree) {
        Some(most) => QueueOp::Remove { rows: ids(&rows[..most.min(rows.len())]) },
        None => QueueOp::Retry { rows: ids(&rows), now: world.hosts[host].clock.shown() },
    };
    world.order(host, StoreOp::Queue(op));
}
