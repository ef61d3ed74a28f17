//! Whose is an address of ours? Asked of the store, with the one rule that goes beyond it: mail to a postmaster is always
//! taken (RFC 5321 §4.5.1), by the first account if nobody else is there.

use alloc::boxed::Box;

use super::shared::Shared;
use super::{ConnId, asked, reception, replies, transfer};
use crate::mark;
use crate::ops::{AccountOp, AccountReply, Resolution, StoreOp, StoreReply};
use crate::smtp::{Address, Reply};

/// A resolution under way.
#[derive(Debug)]
pub(super) struct Resolving {
    postmaster: bool,
    then: Then,
}

/// Who wants to know.
#[derive(Debug)]
pub(super) enum Then {
    /// A session, of a recipient.
    Recipient(ConnId, reception::Recipient),
    /// An attempt, of a local row.
    Row(transfer::LocalRow),
}

/// Asks whose `address` is.
pub(super) fn ask(shared: &mut Shared, address: &Address, then: Then) {
    let resolving = Resolving { postmaster: shared.config.routes.is_postmaster(address), then };
    let address = shared.config.routes.lookup(address).into_owned();
    again(shared, Box::new(resolving), AccountOp::Resolve { address });
}

/// What a reply of the store leads to.
pub(super) enum Resolved {
    /// One more question was asked.
    Asked,
    /// This is the answer.
    Answer(Then, Result<Resolution, Reply>),
}

/// The store's reply.
pub(super) fn stored(shared: &mut Shared, mut resolving: Box<Resolving>, reply: StoreReply) -> Resolved {
    let answer = match reply {
        StoreReply::Account(AccountReply::Resolved(Resolution::Unknown)) if resolving.postmaster => {
            again(shared, resolving, AccountOp::List { after: None, limit: 1 });
            return Resolved::Asked;
        }
        StoreReply::Account(AccountReply::Accounts(first)) => {
            let Some(address) = first.into_iter().next() else {
                mark!(NodeNoPostmaster);
                return Resolved::Answer(resolving.then, Ok(Resolution::Unknown));
            };
            mark!(NodePostmaster);
            resolving.postmaster = false;
            again(shared, resolving, AccountOp::Resolve { address });
            return Resolved::Asked;
        }
        StoreReply::Account(AccountReply::Resolved(resolution)) => Ok(resolution),
        StoreReply::Failed(error) => {
            mark!(NodeResolveFailed);
            shared.store_trouble(error);
            Err(replies::of_store(error))
        }
        _ => Err(replies::STORE_TROUBLE.reply()),
    };
    Resolved::Answer(resolving.then, answer)
}

/// The store was too busy to say.
pub(super) fn busy(resolving: Resolving) -> (Then, Reply) {
    (resolving.then, replies::STORE_BUSY.reply())
}

fn again(shared: &mut Shared, resolving: Box<Resolving>, op: AccountOp) {
    shared.ask(asked::Question::Resolve(resolving), StoreOp::Account(op));
}
