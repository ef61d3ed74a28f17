//! Following aliases: from an address to the accounts and foreign addresses that it stands for.

use std::collections::BTreeSet;

use pillarbox_core::ops::{AccountId, Resolution};
use pillarbox_core::smtp::Address;

use crate::key::key;

/// What one address is in the store.
pub(crate) enum Found {
    Account(AccountId, Address),
    Alias(Vec<Address>),
    Nothing,
}

/// Resolves an address by looking up one key at a time. Nested aliases are followed in the order of their targets; each
/// address is visited once, so loops end. More than `limit` targets, or more than `limit` aliases on the way, are too
/// many.
pub(crate) fn resolve<E>(
    address: &Address,
    limit: usize,
    mut find: impl FnMut(&str) -> Result<Found, E>,
) -> Result<Resolution, E> {
    let root = key(address);
    let mut ahead = match find(&root)? {
        Found::Nothing => return Ok(Resolution::Unknown),
        Found::Account(id, own) => {
            return Ok(Resolution::Targets { accounts: vec![(id, own)], others: Vec::new() });
        }
        Found::Alias(targets) => targets,
    };
    ahead.reverse();
    let mut seen = BTreeSet::from([root]);
    let (mut accounts, mut others, mut aliases) = (Vec::new(), Vec::new(), 0);
    while let Some(target) = ahead.pop() {
        let key = key(&target);
        if seen.contains(&key) {
            continue;
        }
        match find(&key)? {
            Found::Account(id, own) => accounts.push((id, own)),
            Found::Nothing => others.push(target),
            Found::Alias(targets) => {
                aliases += 1;
                ahead.extend(targets.into_iter().rev());
            }
        }
        seen.insert(key);
        if accounts.len() + others.len() > limit || aliases > limit {
            return Ok(Resolution::TooMany);
        }
    }
    // Aliases that name only each other stand for nobody; saying so bounces the mail instead of losing it.
    if accounts.is_empty() && others.is_empty() {
        return Ok(Resolution::Unknown);
    }
    Ok(Resolution::Targets { accounts, others })
}
