//! Who lives here: accounts, their passwords, and aliases.

use alloc::string::String;
use alloc::vec::Vec;

use super::AccountId;
use crate::secret::Secret;
use crate::smtp::Address;

/// Questions about accounts and aliases, and changes to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountOp {
    /// Whose is this address? Aliases are followed, nested ones too, each target at most once.
    Resolve {
        /// The address, in a domain of ours.
        address: Address,
    },
    /// Is this the account's password? Hashing runs on the store's CPU pool. An unknown account costs the same time.
    Authenticate {
        /// The login name: the account's address.
        login: String,
        /// What the client gave.
        password: Secret,
    },
    /// Make an account with an empty INBOX.
    Add {
        /// Its address.
        address: Address,
        /// Its password.
        password: Secret,
    },
    /// Give an account another password.
    SetPassword {
        /// Its address.
        address: Address,
        /// The new password.
        password: Secret,
    },
    /// Remove an account with its mail.
    Remove {
        /// Its address.
        address: Address,
    },
    /// The accounts' addresses in order, a page at a time.
    List {
        /// Continue behind this address.
        after: Option<Address>,
        /// How many at most.
        limit: usize,
    },
    /// Make an alias, or give it other targets.
    SetAlias {
        /// The alias, in a domain of ours.
        alias: Address,
        /// Where its mail goes; at least one.
        targets: Vec<Address>,
    },
    /// Remove an alias.
    RemoveAlias {
        /// The alias.
        alias: Address,
    },
    /// The aliases in order, a page at a time.
    ListAliases {
        /// Continue behind this alias.
        after: Option<Address>,
        /// How many at most.
        limit: usize,
    },
}

/// Answers to [`AccountOp`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountReply {
    /// To `Resolve`.
    Resolved(Resolution),
    /// To `Authenticate`: the account, or `None` when name or password is wrong.
    Authenticated(Option<AccountId>),
    /// The change is on disk.
    Done,
    /// To `Add` or `SetAlias`: the address is an account (or, for `Add`, an alias) already.
    Exists,
    /// To a change or removal: there is no such account or alias.
    NotFound,
    /// To `List`.
    Accounts(Vec<Address>),
    /// To `ListAliases`.
    Aliases(Vec<(Address, Vec<Address>)>),
}

/// What an address of ours stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Nobody.
    Unknown,
    /// These accounts, and these addresses that are not accounts here (aliases may point anywhere). An account itself
    /// resolves to just itself.
    Targets {
        /// Accounts of this store, each with its address.
        accounts: Vec<(AccountId, Address)>,
        /// Everyone else, still to be routed.
        others: Vec<Address>,
    },
    /// An alias that names more targets than the store's limit.
    TooMany,
}
