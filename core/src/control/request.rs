//! Requests: an op as a line, and back.

use alloc::borrow::ToOwned as _;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::{PAGE, word};
use crate::ops::{AccountOp, QueueOp, RowId, StoreOp};
use crate::secret::Secret;
use crate::smtp::Address;
use crate::time::Wall;

/// The line that asks for `op`, without CRLF; `None` for an op that is not asked for in this way. It may hold a password.
pub(super) fn write(op: &StoreOp) -> Option<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    match op {
        StoreOp::Account(AccountOp::Add { address, password }) => {
            // Room for the longest password, each octet as three, so that no copy of a part is left behind.
            line.reserve(1024 + 3 * password.expose().len());
            line.push_str("account-add");
            word::push(&mut line, &address.to_string());
            word::push_bytes(&mut line, password.expose());
        }
        StoreOp::Account(AccountOp::SetPassword { address, password }) => {
            line.reserve(1024 + 3 * password.expose().len());
            line.push_str("account-passwd");
            word::push(&mut line, &address.to_string());
            word::push_bytes(&mut line, password.expose());
        }
        StoreOp::Account(AccountOp::Remove { address }) => words(&mut line, "account-remove", [address]),
        StoreOp::Account(AccountOp::List { after, limit: _ }) => words(&mut line, "account-list", after),
        StoreOp::Account(AccountOp::SetAlias { alias, targets }) => {
            words(&mut line, "alias-set", [alias].into_iter().chain(targets));
        }
        StoreOp::Account(AccountOp::RemoveAlias { alias }) => words(&mut line, "alias-remove", [alias]),
        StoreOp::Account(AccountOp::ListAliases { after, limit: _ }) => words(&mut line, "alias-list", after),
        StoreOp::Queue(QueueOp::List { after, limit: _ }) => words(&mut line, "queue-list", after),
        StoreOp::Queue(QueueOp::Show { rows }) => words(&mut line, "queue-show", rows),
        StoreOp::Queue(QueueOp::Retry { rows, now: _ }) => words(&mut line, "queue-retry", rows),
        StoreOp::Queue(QueueOp::Remove { rows }) => words(&mut line, "queue-remove", rows),
        _ => return None,
    }
    Some(line)
}

/// The op that a line asks for; `None` when it is none.
pub(super) fn parse(line: &[u8], now: Wall) -> Option<StoreOp> {
    let line = core::str::from_utf8(line).ok()?;
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let mut words = rest.split(' ').filter(|word| !word.is_empty());
    let op = match verb {
        "account-add" => {
            let (address, password) = (address(words.next()?)?, Secret::new(word::bytes(words.next()?)?));
            StoreOp::Account(AccountOp::Add { address, password })
        }
        "account-passwd" => {
            let (address, password) = (address(words.next()?)?, Secret::new(word::bytes(words.next()?)?));
            StoreOp::Account(AccountOp::SetPassword { address, password })
        }
        "account-remove" => StoreOp::Account(AccountOp::Remove { address: address(words.next()?)? }),
        "account-list" => StoreOp::Account(AccountOp::List { after: optional(words.next(), address)?, limit: PAGE }),
        "alias-set" => {
            let alias = address(words.next()?)?;
            let targets = words.by_ref().map(address).collect::<Option<Vec<_>>>()?;
            (!targets.is_empty()).then_some(StoreOp::Account(AccountOp::SetAlias { alias, targets }))?
        }
        "alias-remove" => StoreOp::Account(AccountOp::RemoveAlias { alias: address(words.next()?)? }),
        "alias-list" => {
            StoreOp::Account(AccountOp::ListAliases { after: optional(words.next(), address)?, limit: PAGE })
        }
        "queue-list" => StoreOp::Queue(QueueOp::List { after: optional(words.next(), row)?, limit: PAGE }),
        "queue-show" => StoreOp::Queue(QueueOp::Show { rows: rows(words.by_ref())? }),
        "queue-retry" => StoreOp::Queue(QueueOp::Retry { rows: rows(words.by_ref())?, now }),
        "queue-remove" => StoreOp::Queue(QueueOp::Remove { rows: rows(words.by_ref())? }),
        _ => return None,
    };
    words.next().is_none().then_some(op)
}

/// Whether a line of this verb brings a password.
pub(super) fn is_secret(line: &[u8]) -> bool {
    line.starts_with(b"account-add") || line.starts_with(b"account-passwd")
}

fn words<T: ToString>(line: &mut String, verb: &str, words: impl IntoIterator<Item = T>) {
    line.push_str(verb);
    for word in words {
        word::push(line, &word.to_string());
    }
}

fn address(word: &str) -> Option<Address> {
    Address::parse(&word::text(word)?).ok()
}

fn row(word: &str) -> Option<RowId> {
    word.to_owned().parse().ok()
}

/// At most a page of rows.
fn rows<'a>(words: impl Iterator<Item = &'a str>) -> Option<Vec<RowId>> {
    let rows = words.take(PAGE + 1).map(row).collect::<Option<Vec<_>>>()?;
    (1..=PAGE).contains(&rows.len()).then_some(rows)
}

/// `Some(None)` where there is no word, `None` where it is wrong.
fn optional<T>(word: Option<&str>, parse: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    word.map_or(Some(None), |word| parse(word).map(Some))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Id;

    #[test]
    fn an_op_comes_back_as_it_was() {
        let address = |text: &str| Address::parse(text).unwrap();
        let (a, b) = (address("alice@example.org"), address("\"b c%\"@example.org"));
        let id = RowId(Id { epoch: 1, counter: 2 });
        let ops = [
            StoreOp::Account(AccountOp::Add { address: a.clone(), password: "pass word\r\n".into() }),
            StoreOp::Account(AccountOp::SetPassword { address: b.clone(), password: "".into() }),
            StoreOp::Account(AccountOp::Remove { address: a.clone() }),
            StoreOp::Account(AccountOp::List { after: None, limit: PAGE }),
            StoreOp::Account(AccountOp::List { after: Some(b.clone()), limit: PAGE }),
            StoreOp::Account(AccountOp::SetAlias { alias: a.clone(), targets: [b.clone(), a.clone()].into() }),
            StoreOp::Account(AccountOp::RemoveAlias { alias: b }),
            StoreOp::Account(AccountOp::ListAliases { after: Some(a), limit: PAGE }),
            StoreOp::Queue(QueueOp::List { after: Some(id), limit: PAGE }),
            StoreOp::Queue(QueueOp::Show { rows: [id, id].into() }),
            StoreOp::Queue(QueueOp::Retry { rows: [id].into(), now: Wall(7) }),
            StoreOp::Queue(QueueOp::Remove { rows: [id].into() }),
        ];
        for op in ops {
            let line = write(&op).unwrap();
            assert_eq!(parse(line.as_bytes(), Wall(7)).as_ref(), Some(&op), "{}", line.as_str());
        }
    }

    #[test]
    fn what_is_no_request_is_none() {
        for bad in [
            "",
            " ",
            "x",
            "account-add",
            "account-add a@b.c",
            "account-add ab pw",
            "account-list a@b.c d@e.f",
            "alias-set a@b.c",
            "queue-show",
            "queue-show 1",
            "queue-retry 1-1 x",
            "account-remove a@b.c\u{7f}",
        ] {
            assert_eq!(parse(bad.as_bytes(), Wall(0)), None, "{bad}");
        }
        assert_eq!(parse(b"\xff", Wall(0)), None);
    }
}
