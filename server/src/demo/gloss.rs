//! What the words of the protocols mean, for those who read them for the first time.

use super::dialogue::Who;

/// Explains each thing once.
#[derive(Debug, Default)]
pub(super) struct Glossary {
    said: Vec<&'static str>,
}

impl Glossary {
    /// A line's meaning in a few words; `None` when it speaks for itself, or was explained before.
    pub(super) fn gloss(&mut self, who: Who, line: &str) -> Option<&'static str> {
        let table = if who == Who::Client { COMMANDS } else { REPLIES };
        // The last line of a reply has a space where the others have a hyphen.
        let line = line.replacen("250-", "250 ", 1);
        let line = untagged(&line);
        let (begin, meaning) = table.iter().find(|(begin, _)| line.starts_with(begin))?;
        if !self.said.contains(meaning) {
            self.said.push(meaning);
            return Some(meaning);
        }
        let again = who == Who::Client && HELLOS.contains(begin);
        again.then_some("once more: only now can the answer be trusted")
    }
}

/// An IMAP command without the tag that its answer will have.
fn untagged(line: &str) -> &str {
    let Some((tag, command)) = line.split_once(' ') else { return line };
    let digits = tag.strip_prefix('a').unwrap_or_default();
    if !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()) { command } else { line }
}

/// They are said again under TLS.
const HELLOS: &[&str] = &["EHLO", "CAPA"];

const COMMANDS: &[(&str, &str)] = &[
    ("EHLO", "this is who I am; what can you do?"),
    ("STARTTLS", "let us encrypt"),
    ("AUTH", "my name and my password"),
    ("MAIL FROM", "a message from me; if it fails, tell me"),
    ("RCPT TO", "whom it is for"),
    ("DATA", "here it comes"),
    ("QUIT", "that is all"),
    ("CAPA", "what can you do?"),
    ("STLS", "let us encrypt"),
    ("STAT", "how much is there for me?"),
    ("UIDL", "their lasting names, to tell new from old"),
    ("RETR", "give me this one"),
    (".", "the message ends here"),
    ("LOGIN", "my name and my password"),
    ("SELECT", "open this mailbox"),
    ("FETCH", "what is in it?"),
    ("IDLE", "I wait; tell me whatever happens"),
    ("STORE", "mark it"),
    ("DONE", "I have waited enough"),
    ("CREATE", "make a mailbox"),
    ("MOVE", "put it there"),
];

const REPLIES: &[(&str, &str)] = &[
    ("250 PIPELINING", "commands may come several at once"),
    ("250 SIZE", "a message may have so many octets"),
    ("250 8BITMIME", "its text may be more than ASCII"),
    ("250 SMTPUTF8", "its header and addresses, too"),
    ("250 CHUNKING", "it may come in blocks"),
    ("250 ENHANCEDSTATUSCODES", "replies say more, like 2.1.5"),
    ("250 STARTTLS", "we can encrypt"),
    ("250 AUTH", "ways to log in"),
    ("250 2.1.0", "to MAIL: fine"),
    ("250 2.1.5", "to RCPT: there is such a mailbox"),
    ("354", "to DATA: go ahead"),
    ("250 2.0.0", "on disk: from now on it is mine to deliver"),
    ("+OK 1 message ", "there is mail"),
    ("TOP", "I can show the beginning of a message"),
    ("SASL", "ways to log in"),
    ("STLS", "we can encrypt"),
    ("EXPIRE NEVER", "mail stays until you delete it"),
    ("* FLAGS", "marks that messages have here"),
    ("* 1 EXISTS", "so many messages are in it"),
    ("* OK [UIDVALIDITY", "as long as this stays, a UID means one message"),
    ("* OK [UIDNEXT", "the next message will have this UID"),
    ("* OK [HIGHESTMODSEQ", "the number of the latest change"),
    ("* 1 FETCH", "the first message"),
    ("+ ", "I will"),
    ("* OK [COPYUID", "it has another UID there"),
    ("* 1 EXPUNGE", "the first message is not in here any more"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_explained_is_not_explained_again() {
        let mut glossary = Glossary::default();
        assert_eq!(glossary.gloss(Who::Client, "."), Some("the message ends here"));
        assert_eq!(glossary.gloss(Who::Server, "354 Start mail input"), Some("to DATA: go ahead"));
        assert_eq!(glossary.gloss(Who::Server, "250-STARTTLS"), Some("we can encrypt"));
        assert_eq!(glossary.gloss(Who::Server, "250 STARTTLS"), None, "it was said");
        assert_eq!(glossary.gloss(Who::Server, "."), None);
        assert_eq!(glossary.gloss(Who::Client, ""), None);
        assert!(glossary.gloss(Who::Client, "CAPA").is_some_and(|first| !first.contains("once more")));
        assert!(glossary.gloss(Who::Client, "CAPA").is_some_and(|second| second.contains("once more")));
    }
}
