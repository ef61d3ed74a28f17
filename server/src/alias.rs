//! `alias`: addresses that stand for others.

use std::path::Path;

use pillarbox_core::control::PAGE;
use pillarbox_core::ops::{AccountOp, AccountReply, StoreOp, StoreReply};
use pillarbox_core::smtp::Address;

use crate::account::unexpected;
use crate::admin::Desk;
use crate::failure::Failure;
use crate::print;

/// `alias add`: makes it, or gives it other targets.
///
/// # Errors
/// When it is an account, or not in a domain of ours.
pub(crate) fn add(dir: &Path, alias: &str, targets: &[String]) -> Result<(), Failure> {
    let desk = Desk::open(dir)?;
    let alias = desk.our_address(alias)?;
    let targets = targets.iter().map(|target| desk.address(target)).collect::<Result<Vec<_>, _>>()?;
    set(&desk, &alias, targets)?;
    print::remark(format_args!("set {alias}"));
    Ok(())
}

/// Makes an alias, or gives it other targets.
///
/// # Errors
/// When it is an account.
pub(crate) fn set(desk: &Desk, alias: &Address, targets: Vec<Address>) -> Result<(), Failure> {
    let op = StoreOp::Account(AccountOp::SetAlias { alias: alias.clone(), targets });
    match desk.ask(&op)? {
        StoreReply::Account(AccountReply::Done) => Ok(()),
        StoreReply::Account(AccountReply::Exists) => {
            Err(Failure::new(format!("{alias} is an account: remove it first, or choose another name for the alias")))
        }
        _ => Err(unexpected()),
    }
}

/// `alias remove`.
///
/// # Errors
/// When there is none.
pub(crate) fn remove(dir: &Path, alias: &str) -> Result<(), Failure> {
    let desk = Desk::open(dir)?;
    let alias = desk.address(alias)?;
    match desk.ask(&StoreOp::Account(AccountOp::RemoveAlias { alias: alias.clone() }))? {
        StoreReply::Account(AccountReply::Done) => {
            print::remark(format_args!("removed {alias}"));
            Ok(())
        }
        StoreReply::Account(AccountReply::NotFound) => Err(Failure::new(format!("there is no alias {alias}"))),
        _ => Err(unexpected()),
    }
}

/// `alias list`: one alias a line, then its targets.
///
/// # Errors
/// When the store cannot be asked.
pub(crate) fn list(dir: &Path) -> Result<(), Failure> {
    let desk = Desk::open(dir)?;
    let mut after = None;
    loop {
        let op = StoreOp::Account(AccountOp::ListAliases { after: after.take(), limit: PAGE });
        let reply = desk.ask(&op)?;
        let StoreReply::Account(AccountReply::Aliases(aliases)) = reply else { return Err(unexpected()) };
        for (alias, targets) in &aliases {
            let targets: Vec<_> = targets.iter().map(ToString::to_string).collect();
            print::line(format_args!("{alias} {}", targets.join(" ")))?;
        }
        after = aliases.into_iter().next_back().map(|(alias, _)| alias);
        if after.is_none() {
            return print::flush();
        }
    }
}
