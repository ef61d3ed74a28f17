//! Status responses: OK, NO, BAD, PREAUTH, BYE, and what stands in their brackets (RFC 9051 §7.1); continuation requests.

use core::fmt::Write as _;

use super::flag::{flag_list, flags};
use super::string::{Charset, text};
use crate::imap::types::{Code, Flag, Tag};
use crate::outbox::Outbox;

/// What a status response says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Done.
    Ok,
    /// Not done.
    No,
    /// Not understood.
    Bad,
    /// At a greeting: no login is needed.
    PreAuth,
    /// The connection closes.
    Bye,
}

impl Condition {
    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::No => "NO",
            Self::Bad => "BAD",
            Self::PreAuth => "PREAUTH",
            Self::Bye => "BYE",
        }
    }
}

/// `tag OK [CODE] text`: the command is over.
pub fn tagged(tx: &mut Outbox, tag: &Tag, condition: Condition, code: Option<&Code>, words: &str) {
    tx.put(tag.as_bytes());
    status(tx, condition, code, words);
}

/// `* OK [CODE] text`
pub fn untagged(tx: &mut Outbox, condition: Condition, code: Option<&Code>, words: &str) {
    tx.put(b"*");
    status(tx, condition, code, words);
}

/// `+ text`: go on. In AUTHENTICATE the text is the challenge in base64, and may be empty.
pub fn continuation(tx: &mut Outbox, words: &str) {
    tx.put(b"+ ");
    if !words.is_empty() {
        text(tx, words, Charset::Ascii);
    }
    tx.put(b"\r\n");
}

fn status(tx: &mut Outbox, condition: Condition, code: Option<&Code>, words: &str) {
    tx.put(b" ");
    tx.put(condition.name().as_bytes());
    tx.put(b" ");
    if let Some(code) = code {
        tx.put(b"[");
        put_code(tx, code);
        tx.put(b"] ");
    }
    text(tx, words, Charset::Ascii);
    tx.put(b"\r\n");
}

/// What stands between the brackets.
fn put_code(tx: &mut Outbox, code: &Code) {
    if let Some(name) = bare(code) {
        return tx.put(name.as_bytes());
    }
    // Writing into an outbox does not fail.
    let _ = match code {
        Code::AppendUid { uid_validity, uids } => write!(tx, "APPENDUID {uid_validity} {uids}"),
        Code::CopyUid { uid_validity, from, to } => write!(tx, "COPYUID {uid_validity} {from} {to}"),
        Code::HighestModseq(modseq) => write!(tx, "HIGHESTMODSEQ {modseq}"),
        Code::MailboxId(id) => write!(tx, "MAILBOXID ({id})"),
        Code::Modified(set) => write!(tx, "MODIFIED {set}"),
        Code::UidNext(uid) => write!(tx, "UIDNEXT {uid}"),
        Code::UidValidity(value) => write!(tx, "UIDVALIDITY {value}"),
        Code::Unseen(first) => write!(tx, "UNSEEN {first}"),
        Code::BadCharset(charsets) => {
            tx.put(b"BADCHARSET");
            for (n, charset) in charsets.iter().enumerate() {
                tx.put(if n == 0 { b" (" } else { b" " });
                tx.put(charset.as_bytes());
            }
            tx.put(if charsets.is_empty() { b"" } else { b")" });
            Ok(())
        }
        Code::Capability(names) => {
            tx.put(b"CAPABILITY");
            for name in names {
                tx.put(b" ");
                atom(tx, name.as_str());
            }
            Ok(())
        }
        Code::PermanentFlags { flags, any } => {
            permanent_flags(tx, flags, *any);
            Ok(())
        }
        Code::Other(name) => {
            atom(tx, name);
            Ok(())
        }
        _ => Ok(()),
    };
}

fn permanent_flags(tx: &mut Outbox, list: &[Flag], any: bool) {
    tx.put(b"PERMANENTFLAGS ");
    if !any {
        return flag_list(tx, list);
    }
    tx.put(b"(");
    flags(tx, list);
    tx.put(if list.is_empty() { b"\\*)" } else { b" \\*)" });
}

/// A name that could not stand there is left out, character by character.
fn atom(tx: &mut Outbox, name: &str) {
    for part in name.as_bytes().split(|&octet| !crate::imap::types::chars::is_atom_char(octet)) {
        tx.put(part);
    }
}

/// The codes that are only a name.
fn bare(code: &Code) -> Option<&'static str> {
    Some(match code {
        Code::Alert => "ALERT",
        Code::AlreadyExists => "ALREADYEXISTS",
        Code::AuthenticationFailed => "AUTHENTICATIONFAILED",
        Code::AuthorizationFailed => "AUTHORIZATIONFAILED",
        Code::Cannot => "CANNOT",
        Code::ClientBug => "CLIENTBUG",
        Code::Closed => "CLOSED",
        Code::ContactAdmin => "CONTACTADMIN",
        Code::Corruption => "CORRUPTION",
        Code::Expired => "EXPIRED",
        Code::ExpungeIssued => "EXPUNGEISSUED",
        Code::HasChildren => "HASCHILDREN",
        Code::InUse => "INUSE",
        Code::Limit => "LIMIT",
        Code::NoModseq => "NOMODSEQ",
        Code::Nonexistent => "NONEXISTENT",
        Code::NoPerm => "NOPERM",
        Code::NotSaved => "NOTSAVED",
        Code::OverQuota => "OVERQUOTA",
        Code::Parse => "PARSE",
        Code::PrivacyRequired => "PRIVACYREQUIRED",
        Code::ReadOnly => "READ-ONLY",
        Code::ReadWrite => "READ-WRITE",
        Code::ServerBug => "SERVERBUG",
        Code::TooBig => "TOOBIG",
        Code::TryCreate => "TRYCREATE",
        Code::UidNotSticky => "UIDNOTSTICKY",
        Code::Unavailable => "UNAVAILABLE",
        Code::UnknownCte => "UNKNOWN-CTE",
        Code::UseAttr => "USEATTR",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use core::num::NonZeroU32;

    use super::super::written;
    use super::*;
    use crate::imap::types::{Modseq, NumberSet, ObjectId, Text};

    fn shown(code: &Code) -> String {
        let out = written(|tx| untagged(tx, Condition::Ok, Some(code), "x"));
        let text = String::from_utf8(out).unwrap();
        text.strip_prefix("* OK [").and_then(|rest| rest.strip_suffix("] x\r\n")).unwrap().into()
    }

    fn nz(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    fn set(ranges: &[(u32, u32)]) -> NumberSet {
        ranges.iter().map(|&(first, last)| first..=last).collect()
    }

    #[test]
    fn codes() {
        let appended = Code::AppendUid { uid_validity: nz(38505), uids: set(&[(3955, 3955)]) };
        assert_eq!(shown(&appended), "APPENDUID 38505 3955");
        let copied =
            Code::CopyUid { uid_validity: nz(3), from: set(&[(304, 304), (319, 320)]), to: set(&[(3956, 3958)]) };
        assert_eq!(shown(&copied), "COPYUID 3 304,319:320 3956:3958");
        assert_eq!(shown(&Code::BadCharset(&["UTF-8", "US-ASCII"])), "BADCHARSET (UTF-8 US-ASCII)");
        assert_eq!(shown(&Code::BadCharset(&[])), "BADCHARSET");
        let names = ["IMAP4rev1", "AUTH=PLAIN"].map(Text::from).into();
        assert_eq!(shown(&Code::Capability(names)), "CAPABILITY IMAP4rev1 AUTH=PLAIN");
        let permanent = |flags: &[Flag], any| shown(&Code::PermanentFlags { flags: flags.into(), any });
        assert_eq!(permanent(&[Flag::Deleted, Flag::Seen], true), "PERMANENTFLAGS (\\Deleted \\Seen \\*)");
        assert_eq!(permanent(&[], true), "PERMANENTFLAGS (\\*)");
        assert_eq!(permanent(&[], false), "PERMANENTFLAGS ()");
        assert_eq!(shown(&Code::HighestModseq(Modseq::MAX)), "HIGHESTMODSEQ 9223372036854775807");
        let id = ObjectId::new(b"F2212ea87-6097-4256-9d51-71338625".as_slice().into()).unwrap();
        assert_eq!(shown(&Code::MailboxId(id)), "MAILBOXID (F2212ea87-6097-4256-9d51-71338625)");
        assert_eq!(shown(&Code::UnknownCte), "UNKNOWN-CTE");
        assert_eq!(shown(&Code::Other("a] b\r\n".into())), "ab");
    }

    #[test]
    fn responses() {
        let tag = Tag::new(b"a1").unwrap();
        assert_eq!(written(|tx| tagged(tx, &tag, Condition::No, None, "no\r\nway")), b"a1 NO no  way\r\n");
        assert_eq!(written(|tx| untagged(tx, Condition::Bye, None, "")), b"* BYE -\r\n");
        assert_eq!(written(|tx| continuation(tx, "")), b"+ \r\n");
    }
}
