//! `account`: who has a mailbox here.

use std::io::{self, IsTerminal as _, Read as _};
use std::os::fd::AsFd as _;
use std::path::Path;

use pillarbox_core::Secret;
use pillarbox_core::control::PAGE;
use pillarbox_core::ops::{AccountOp, AccountReply, StoreOp, StoreReply};
use pillarbox_core::smtp::Address;
use zeroize::{Zeroize as _, Zeroizing};

use crate::admin::Desk;
use crate::failure::Failure;
use crate::print;

/// Octets of a password at most: what fits into a login of every protocol.
const LONGEST: usize = 512;

/// Where a password comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Password {
    /// One line of standard input.
    Stdin,
    /// A fresh one, printed once.
    Fresh,
}

/// `account add`.
///
/// # Errors
/// When it exists, or the domain is not ours.
pub(crate) fn add(dir: &Path, address: &str, password: Password) -> Result<(), Failure> {
    let desk = Desk::open(dir)?;
    let address = desk.our_address(address)?;
    let (password, text) = password.take()?;
    create(&desk, &address, password)?;
    print::remark(format_args!("added {address}"));
    told(text.as_deref().map(String::as_str), &address)
}

/// Makes an account.
///
/// # Errors
/// When it exists.
pub(crate) fn create(desk: &Desk, address: &Address, password: Secret) -> Result<(), Failure> {
    let op = StoreOp::Account(AccountOp::Add { address: address.clone(), password });
    match desk.ask(&op)? {
        StoreReply::Account(AccountReply::Exists) => {
            Err(Failure::new(format!("{address} exists already, as an account or an alias")))
        }
        reply => done(&reply, address),
    }
}

/// `account passwd`.
///
/// # Errors
/// When there is no such account.
pub(crate) fn passwd(dir: &Path, address: &str, password: Password) -> Result<(), Failure> {
    let desk = Desk::open(dir)?;
    let address = desk.address(address)?;
    let (password, text) = password.take()?;
    let op = StoreOp::Account(AccountOp::SetPassword { address: address.clone(), password });
    done(&desk.ask(&op)?, &address)?;
    print::remark(format_args!("changed the password of {address}"));
    told(text.as_deref().map(String::as_str), &address)
}

/// `account remove`.
///
/// # Errors
/// When there is no such account.
pub(crate) fn remove(dir: &Path, address: &str) -> Result<(), Failure> {
    let desk = Desk::open(dir)?;
    let address = desk.address(address)?;
    done(&desk.ask(&StoreOp::Account(AccountOp::Remove { address: address.clone() }))?, &address)?;
    print::remark(format_args!("removed {address} and its mail"));
    Ok(())
}

/// `account list`: one address a line.
///
/// # Errors
/// When the store cannot be asked.
pub(crate) fn list(dir: &Path) -> Result<(), Failure> {
    let desk = Desk::open(dir)?;
    let mut after = None;
    loop {
        let op = StoreOp::Account(AccountOp::List { after: after.take(), limit: PAGE });
        let reply = desk.ask(&op)?;
        let StoreReply::Account(AccountReply::Accounts(accounts)) = reply else { return Err(unexpected()) };
        for account in &accounts {
            print::line(account)?;
        }
        after = accounts.into_iter().next_back();
        if after.is_none() {
            return print::flush();
        }
    }
}

/// The answer to a change.
fn done(reply: &StoreReply, address: &Address) -> Result<(), Failure> {
    match reply {
        StoreReply::Account(AccountReply::Done) => Ok(()),
        StoreReply::Account(AccountReply::NotFound) => Err(Failure::new(format!("there is no account {address}"))),
        _ => Err(unexpected()),
    }
}

/// An answer that does not fit the question.
pub(crate) fn unexpected() -> Failure {
    Failure::new("the store gave an answer to another question; please report this")
}

/// A fresh password is all that stands on standard output, so that a script can take it from there.
fn told(fresh: Option<&str>, address: &Address) -> Result<(), Failure> {
    let Some(fresh) = fresh else { return Ok(()) };
    print::remark(format_args!("the password of {address}, shown this once:"));
    print::line(fresh)?;
    print::flush()
}

impl Password {
    /// The password, and its text if it has to be shown.
    fn take(self) -> Result<(Secret, Option<Zeroizing<String>>), Failure> {
        match self {
            Self::Stdin => Ok((from_stdin()?, None)),
            Self::Fresh => {
                let text = fresh()?;
                Ok((Secret::from(text.as_str()), Some(text)))
            }
        }
    }
}

/// A password of 100 random bits, readable: four groups of five characters of which none looks like another.
///
/// # Errors
/// When the operating system has no randomness.
pub(crate) fn fresh() -> Result<Zeroizing<String>, Failure> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = Zeroizing::new([0; 20]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|error| Failure::new(format!("no randomness to be had: {error}")))?;
    let mut text = Zeroizing::new(String::with_capacity(23));
    for (place, byte) in bytes.iter().enumerate() {
        if place > 0 && place % 5 == 0 {
            text.push('-');
        }
        text.push(char::from(LETTERS[usize::from(byte % 32)]));
    }
    Ok(text)
}

/// One line of standard input, without its end.
fn from_stdin() -> Result<Secret, Failure> {
    let cannot = |error: io::Error| Failure::new(format!("cannot read the password from standard input: {error}"));
    if io::stdin().is_terminal() {
        print::remark("the new password, in one line (it is shown as you type):");
    }
    // Not through the buffer of std, which nobody wipes.
    let mut input = std::fs::File::from(io::stdin().as_fd().try_clone_to_owned().map_err(cannot)?);
    let mut line = Vec::with_capacity(LONGEST + 3);
    let mut byte = [0];
    while line.len() < LONGEST + 2 && input.read(&mut byte).map_err(cannot)? == 1 && byte != *b"\n" {
        line.push(byte[0]);
    }
    byte.zeroize();
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    let (length, control) = (line.len(), line.iter().any(u8::is_ascii_control));
    let password = Secret::new(line);
    match length {
        0 => Err(Failure::usage("the password on standard input is empty")),
        _ if length > LONGEST => Err(Failure::usage(format!("the password is longer than {LONGEST} octets"))),
        _ if control => Err(Failure::usage("the password has a control character in it: no mail client can send it")),
        _ => Ok(password),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_passwords_are_readable_and_differ() {
        let (a, b) = (fresh().unwrap(), fresh().unwrap());
        assert_ne!(a, b);
        assert_eq!(a.len(), 23);
        assert!(a.split('-').all(|group| group.len() == 5));
        assert!(!a.contains(['0', 'o', '1', 'l']));
    }
}
