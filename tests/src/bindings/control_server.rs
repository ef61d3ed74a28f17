//! The control protocol's server machine in dialogues.
//!
//! | action | answers |
//! |---|---|
//! | `add ADDRESS PASSWORD`, `password …`, `remove ADDRESS`, `alias ALIAS TARGET…`, `remove-alias ALIAS` | `done`, `exists`, `not-found` |
//! | `accounts [after ADDRESS]` | `accounts ADDRESS…` |
//! | `aliases [after ALIAS]` | `alias ALIAS TARGET…` |
//! | `rows [after ID]`, `show ID…` | `rows` (none) |
//! | `retry ID…`, `drop ID…` | `changed N` |
//! | any | `failed` |

use pillarbox_core::control::{Action, LINE, Server};
use pillarbox_core::ops::{AccountOp, AccountReply, QueueOp, QueueReply, RowId, StoreError, StoreOp, StoreReply};
use pillarbox_core::session::Answer as _;
use pillarbox_core::smtp::Address;
use pillarbox_core::{Seed, SessionId, SessionLimits, Ticket};

use crate::subject::{Bounds, Event, Kind, NotAnswered, Role, Settings, Subject};

/// The control protocol's server machine.
#[derive(Debug)]
pub struct ControlServer {
    server: Server,
}

impl Subject for ControlServer {
    type Session = Server;
    type Question = Ticket<StoreReply>;

    const ROLE: Role = Role::Server;

    fn new(settings: &Settings, id: SessionId, _seed: Seed) -> Result<Self, String> {
        settings.only(&[])?;
        Ok(Self { server: Server::new(id) })
    }

    fn session(&mut self) -> &mut Server {
        &mut self.server
    }

    fn bounds(&self) -> Bounds {
        Bounds { session: SessionLimits::default(), line: LINE, open: 1 }
    }

    fn event(&mut self, action: Action) -> Event<Ticket<StoreReply>> {
        let Action::Ask { ticket, op } = action;
        Event::ask(Kind::Change, shows(&op), ticket)
    }

    fn answer(&mut self, question: Ticket<StoreReply>, text: &str) -> Result<(), NotAnswered> {
        let unknown = || NotAnswered::unknown(text, "done, exists, not-found, accounts, alias, rows, changed, failed");
        let mut words = text.split(' ');
        let reply = match words.next().unwrap_or_default() {
            "done" => StoreReply::Account(AccountReply::Done),
            "exists" => StoreReply::Account(AccountReply::Exists),
            "not-found" => StoreReply::Account(AccountReply::NotFound),
            "accounts" => StoreReply::Account(AccountReply::Accounts(addresses(words).ok_or_else(unknown)?)),
            "alias" => {
                let mut targets = addresses(words).filter(|all| !all.is_empty()).ok_or_else(unknown)?;
                let alias = targets.remove(0);
                StoreReply::Account(AccountReply::Aliases(vec![(alias, targets)]))
            }
            "rows" => StoreReply::Queue(QueueReply::Rows(Vec::new())),
            "changed" => {
                let count = words.next().and_then(|count| count.parse().ok()).ok_or_else(unknown)?;
                StoreReply::Queue(QueueReply::Changed(count))
            }
            "failed" => StoreReply::Failed(StoreError::Full),
            _ => return Err(unknown()),
        };
        Ok(self.server.answer(question, reply)?)
    }

    fn answers(_question: &Ticket<StoreReply>) -> Vec<String> {
        ["done", "failed", "accounts a@b.example", "rows", "changed 3"].map(str::to_owned).into()
    }

    fn check_output(sent: &[u8], _ended: bool) -> Result<(), String> {
        let text = std::str::from_utf8(sent).map_err(|_| "not UTF-8")?;
        let bad = text.split_terminator("\r\n").find(|line| line.is_empty() || line.contains(char::is_control));
        match bad {
            Some(line) => Err(format!("no line of an answer: {line:?}")),
            None if sent.is_empty() || text.ends_with("\r\n") => Ok(()),
            None => Err("half a line".to_owned()),
        }
    }

    fn vocabulary() -> &'static [&'static str] {
        &[
            "account-add alice@example.org correct%20horse",
            "account-passwd alice@example.org a",
            "account-remove alice@example.org",
            "account-list",
            "account-list alice@example.org",
            "alias-set sales@example.org alice@example.org",
            "alias-remove sales@example.org",
            "alias-list",
            "queue-list 2-0",
            "queue-show 1-1 1-2",
            "queue-retry 1-1",
            "queue-remove 1-1",
            "%0d%0a",
            "EHLO client.example",
        ]
    }
}

fn addresses<'a>(words: impl Iterator<Item = &'a str>) -> Option<Vec<Address>> {
    words.map(|word| word.parse().ok()).collect()
}

fn shows(op: &StoreOp) -> String {
    let after = |what: &str, after: Option<String>| match after {
        Some(after) => format!("{what} after {after}"),
        None => what.to_owned(),
    };
    let ids = |what: &str, rows: &[RowId]| rows.iter().fold(what.to_owned(), |text, row| format!("{text} {row}"));
    match op {
        StoreOp::Account(AccountOp::Add { address, password }) => {
            format!("add {address} {}", password.expose().escape_ascii())
        }
        StoreOp::Account(AccountOp::SetPassword { address, password }) => {
            format!("password {address} {}", password.expose().escape_ascii())
        }
        StoreOp::Account(AccountOp::Remove { address }) => format!("remove {address}"),
        StoreOp::Account(AccountOp::List { after: from, .. }) => {
            after("accounts", from.as_ref().map(ToString::to_string))
        }
        StoreOp::Account(AccountOp::SetAlias { alias, targets }) => {
            targets.iter().fold(format!("alias {alias}"), |text, target| format!("{text} {target}"))
        }
        StoreOp::Account(AccountOp::RemoveAlias { alias }) => format!("remove-alias {alias}"),
        StoreOp::Account(AccountOp::ListAliases { after: from, .. }) => {
            after("aliases", from.as_ref().map(ToString::to_string))
        }
        StoreOp::Queue(QueueOp::List { after: from, .. }) => after("rows", from.as_ref().map(ToString::to_string)),
        StoreOp::Queue(QueueOp::Show { rows }) => ids("show", rows),
        StoreOp::Queue(QueueOp::Retry { rows, .. }) => ids("retry", rows),
        StoreOp::Queue(QueueOp::Remove { rows }) => ids("drop", rows),
        other => format!("{other:?}"),
    }
}
