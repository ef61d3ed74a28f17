//! The SMTP server machine.

mod action;

pub use action::{
    Action, AuthenticateAnswer, ChunkAnswer, ClientInfo, CommitAnswer, Config, Limits, Peer, RecipientAnswer, Service,
    Transaction, TransactionId,
};
