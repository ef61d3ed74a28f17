//! What makes messages one conversation: that they name the same message, under the same subject (RFC 8621 §3). What is
//! the same subject says RFC 5256 §2.1.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use super::fold::fold;
use super::structure::{FieldName, Structure};
use super::words::Words;

impl Structure {
    /// Messages by which a message is known: itself, the one that it replies to, the last ones of its References and
    /// the first. Each is a row in a store.
    pub const MAX_THREAD_KEYS: usize = 8;

    /// For each message that this one names, itself first, then the nearest: a number that is the same for messages
    /// which name it under the same subject. Two messages that have one in common belong to one conversation. Empty for a
    /// message that names none.
    #[must_use]
    pub fn thread_keys(&self) -> Vec<u64> {
        let value = |name| self.field(name).unwrap_or_default();
        let own = message_ids(value(FieldName::MessageId)).take(1);
        let replied = message_ids(value(FieldName::InReplyTo)).take(1);
        let references: Vec<_> = message_ids(value(FieldName::References)).collect();
        let subject = subject(value(FieldName::Subject));
        let mut keys = Vec::new();
        let mut add = |id, most| {
            let key = key(id, &subject);
            if keys.len() < most && !keys.contains(&key) {
                keys.push(key);
            }
            keys.len() < most
        };
        _ = own.chain(replied).chain(references.iter().rev().copied()).all(|id| add(id, Self::MAX_THREAD_KEYS - 1));
        // The first one holds a conversation together when those between were lost (RFC 5322 §3.6.4).
        references.first().into_iter().for_each(|id| _ = add(id, Self::MAX_THREAD_KEYS));
        keys
    }
}

/// What a subject is about, without what replies and forwarding put around it (RFC 5256 §2.1): two messages have the same
/// base subject when these are equal. Encoded words are undone before.
#[must_use]
pub fn base_subject(subject: &str) -> String {
    let folded = fold(subject);
    let mut rest = folded.trim();
    loop {
        while let Some(before) = rest.strip_suffix("(fwd)") {
            rest = before.trim_end();
        }
        rest = without_leaders(rest);
        let Some(inner) = rest.strip_prefix("[fwd:").and_then(|rest| rest.strip_suffix(']')) else {
            return rest.to_owned();
        };
        rest = inner.trim();
    }
}

/// Octets of a subject that are looked at: those of a line (RFC 5322 §2.1.1).
const MAX_SUBJECT: usize = 998;
/// Octets of a message's id that are looked at.
const MAX_ID: usize = 998;

/// The base subject of a field's value.
fn subject(value: &[u8]) -> String {
    let (mut words, mut text) = (Words::default(), String::new());
    words.feed(&value[..value.len().min(MAX_SUBJECT)], &mut |more| text.push_str(more));
    words.finish(&mut |more| text.push_str(more));
    base_subject(&text)
}

/// Takes `re:`, `fwd:` and `[any]` away from the beginning: steps 3 to 5.
fn without_leaders(mut rest: &str) -> &str {
    loop {
        if let Some(behind) = without_reply(rest) {
            rest = behind;
            continue;
        }
        // Not the last of them: it is the subject then.
        match without_blob(rest).filter(|behind| !behind.is_empty()) {
            Some(behind) => rest = behind,
            None => return rest,
        }
    }
}

/// Behind `re:`, `fw:` or `fwd:`, which may have a `[any]` before the colon. Those in front of it are taken away before.
fn without_reply(text: &str) -> Option<&str> {
    let rest = ["re", "fwd", "fw"].iter().find_map(|word| text.strip_prefix(word))?.trim_start();
    let rest = without_blob(rest).unwrap_or(rest);
    Some(rest.strip_prefix(':')?.trim_start())
}

/// Behind `[any]`.
fn without_blob(text: &str) -> Option<&str> {
    let (blob, behind) = text.strip_prefix('[')?.split_once(']')?;
    (!blob.contains('[')).then(|| behind.trim_start())
}

/// What stands between angle brackets.
fn message_ids(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = value;
    core::iter::from_fn(move || {
        loop {
            let begin = memchr::memchr(b'<', rest)? + 1;
            let end = begin + memchr::memchr(b'>', &rest[begin..])?;
            let id = &rest[begin..end];
            rest = &rest[end + 1..];
            if !id.is_empty() {
                return Some(&id[..id.len().min(MAX_ID)]);
            }
        }
    })
}

/// FNV-1a of both. It is no secret and need not be: whoever wants to be in a conversation names a message of it.
fn key(id: &[u8], subject: &str) -> u64 {
    // Folded headers may break an id in two.
    let id = id.iter().filter(|octet| !octet.is_ascii_whitespace());
    let octets = id.chain(b">").chain(subject.as_bytes());
    octets.fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::message::StructureParser;

    fn keys(header: &str) -> Vec<u64> {
        let mut parser = StructureParser::new();
        parser.feed(header.as_bytes());
        parser.finish().thread_keys()
    }

    #[test]
    fn a_subject_without_what_is_put_around_it() {
        for (subject, base) in [
            ("Lunch", "lunch"),
            ("Re: Lunch", "lunch"),
            (" RE : [list] Fwd: lunch  at\tnoon (fwd) (FWD)", "lunch at noon"),
            ("[list] Re[2]: lunch", "lunch"),
            ("[a] [b] re: fw: [c] lunch", "lunch"),
            ("[Fwd: Re: Lunch (fwd)]", "lunch"),
            ("[Fwd: [fwd: lunch]] (fwd)", "lunch"),
            ("[only]", "[only]"),
            ("re: [only]", "[only]"),
            ("[a][only]", "[only]"),
            ("[a [b] lunch", "[a [b] lunch"),
            ("Re: ", ""),
            ("Reply: lunch", "reply: lunch"),
            ("refund: yes", "refund: yes"),
            ("", ""),
        ] {
            assert_eq!(base_subject(subject), base, "{subject}");
        }
    }

    #[test]
    fn replies_have_a_key_in_common_with_what_they_answer() {
        let first = keys("Message-ID: <1@x>\r\nSubject: Lunch\r\n\r\n");
        assert_eq!(first.len(), 1);
        let reply = keys("Message-ID: <2@x>\r\nIn-Reply-To: <1@x>\r\nReferences: <1@x>\r\nSubject: Re: LUNCH\r\n\r\n");
        assert_eq!((reply.len(), reply[1]), (2, first[0]));
        let folded =
            keys("Message-ID:\r\n <3@x>\r\nReferences: <0@x>\r\n\t<1@\r\n x> (no id) <>\r\nSubject: lunch\r\n\r\n");
        assert_eq!((folded.len(), folded[1]), (3, first[0]), "the nearest comes first");
        let other = keys("Message-ID: <2@x>\r\nIn-Reply-To: <1@x>\r\nSubject: Dinner\r\n\r\n");
        assert!(!other.contains(&first[0]), "another subject is another conversation");
        let encoded = keys(
            "Message-ID: <4@x>\r\nIn-Reply-To: <1@x>\r\nSubject: =?utf-8?q?AW:_?=\r\n =?utf-8?b?UmU6IEx1bmNo?=\r\n\r\n",
        );
        assert_ne!(encoded[1], first[0], "other languages have no say");
        let encoded = keys(
            "Message-ID: <4@x>\r\nIn-Reply-To: <1@x>\r\nSubject: =?utf-8?q?Re=3A_?=\r\n =?iso-8859-1?b?THVuY2g=?=\r\n\r\n",
        );
        assert_eq!(encoded[1], first[0]);
        assert_eq!(keys("Subject: Lunch\r\n\r\n"), []);
        assert_eq!(keys("Message-ID: none\r\nReferences: <\r\n\r\n"), []);
    }

    #[test]
    fn of_many_references_the_last_ones_count_and_the_first() {
        let id = |n: usize| keys(&format!("Message-ID: <{n}@x>\r\n\r\n"))[0];
        let references = |n| (1..=n).map(|n| format!(" <{n}@x>\r\n")).collect::<String>();
        for n in 1..30 {
            let keys = keys(&format!("Message-ID: <0@x>\r\nIn-Reply-To: <{n}@x>\r\nReferences:{}\r\n", references(n)));
            assert_eq!(keys.len(), Structure::MAX_THREAD_KEYS.min(n + 1), "{n}");
            assert_eq!((keys[0], keys[1], keys[keys.len() - 1]), (id(0), id(n), id(1)), "{n}");
        }
        let all = keys(&format!("Message-ID: <0@x>\r\nIn-Reply-To: <a@x>\r\nReferences:{}\r\n", references(900)));
        assert_eq!((all.len(), all[2], all[7]), (8, id(900), id(1)));
    }
}
