//! Commands, as a client writes them: the inverse of the [grammar](crate::imap::grammar).
//!
//! A string that cannot be quoted goes out as a non-synchronising literal, which every server takes that announces
//! LITERAL+ or LITERAL- (and IMAP4rev2 includes the latter); so that a whole command can be written without waiting.

use core::fmt::Write as _;

use super::flag::flag_list;
use super::string::{Charset, mailbox, number};
use crate::imap::types::{
    AddressField, AppendMessage, Charset as Strings, Command, DateField, Fetch, FetchItem, Flag, FlagChange, IdField,
    List, ListPattern, Literal, LiteralMode, Names, PartPath, Partial, Search, SearchKey, Section, SectionText, Select,
    SequenceSet, Store, Tagged, Transfer, When, utf7,
};
use crate::outbox::Outbox;

/// A whole command with its CRLF. An APPEND ends with the announcement of its message.
pub fn command(tx: &mut Outbox, tagged: &Tagged, names: Names) {
    tx.put(tagged.tag.as_bytes());
    tx.put(b" ");
    tx.put(tagged.command.name().as_bytes());
    let out = &mut Out { tx, names };
    match &tagged.command {
        Command::Id(fields) => out.id(fields.as_deref()),
        Command::Authenticate { mechanism, initial } => {
            out.put(" ").put(mechanism.as_str());
            if let Some(initial) = initial {
                out.put(" ").tx.put(initial.expose());
            }
        }
        Command::Login { user, password } => {
            out.put(" ").string(user);
            out.put(" ").string(password.expose());
        }
        Command::Enable(enabled) => {
            // ENABLE wants a name; one that means nothing is passed over.
            let names = enabled.names().chain((enabled.names().count() == 0).then_some("NOTHING"));
            names.for_each(|name| {
                out.put(" ").put(name);
            });
        }
        Command::Select(select) => out.select(select),
        Command::Create { mailbox, uses, unknown_use } => {
            mailbox_of(out, mailbox);
            if !uses.is_empty() || *unknown_use {
                let unknown = unknown_use.then_some("\\Unknown");
                out.put(" (USE (").words(uses.iter().map(|special| special.name()).chain(unknown)).put("))");
            }
        }
        Command::Delete(mailbox) | Command::Subscribe(mailbox) | Command::Unsubscribe(mailbox) => {
            mailbox_of(out, mailbox)
        }
        Command::Rename { from, to } => {
            mailbox_of(out, from);
            mailbox_of(out, to);
        }
        Command::List(list) => out.list(list),
        Command::Lsub { reference, pattern } => {
            mailbox_of(out, reference);
            out.put(" ").pattern(pattern);
        }
        Command::Status { mailbox, items } => {
            mailbox_of(out, mailbox);
            out.put(" (").words(items.iter().map(|item| item.name())).put(")");
        }
        Command::Append { mailbox, message } => {
            mailbox_of(out, mailbox);
            return out.message(message);
        }
        Command::Expunge(Some(set)) => {
            out.put(" ").set(set);
        }
        Command::Search(search) => out.search(search),
        Command::Fetch(fetch) => out.fetch(fetch),
        Command::Store(store) => out.store(store),
        Command::Copy(transfer) | Command::Move(transfer) => {
            let Transfer { set, mailbox, .. } = transfer;
            out.put(" ").set(set);
            mailbox_of(out, mailbox);
        }
        Command::Capability
        | Command::Noop
        | Command::Logout
        | Command::StartTls
        | Command::Namespace
        | Command::Idle
        | Command::Check
        | Command::Close
        | Command::Unselect
        | Command::Expunge(None) => {}
    }
    tx.put(b"\r\n");
}

fn mailbox_of(out: &mut Out<'_>, name: &crate::imap::types::MailboxName) {
    out.put(" ");
    mailbox(out.tx, name, out.names);
}

/// Where a command goes.
struct Out<'a> {
    tx: &'a mut Outbox,
    names: Names,
}

impl Out<'_> {
    fn put(&mut self, text: &str) -> &mut Self {
        self.tx.put(text.as_bytes());
        self
    }

    fn number(&mut self, value: u64) -> &mut Self {
        number(self.tx, value);
        self
    }

    fn words<'a>(&mut self, words: impl Iterator<Item = &'a str>) -> &mut Self {
        for (n, word) in words.enumerate() {
            self.put(if n == 0 { "" } else { " " }).put(word);
        }
        self
    }

    fn string(&mut self, octets: &[u8]) -> &mut Self {
        let quotable = octets.is_ascii() && !octets.iter().any(|octet| matches!(octet, 0 | b'\r' | b'\n'));
        if quotable && octets.len() < 1024 {
            super::string::string(self.tx, octets, Charset::Ascii);
            return self;
        }
        self.put("{").number(octets.len() as u64).put("+}\r\n").tx.put(octets);
        self
    }

    fn set(&mut self, set: &SequenceSet) -> &mut Self {
        let _ = write!(self.tx, "{set}");
        self
    }

    fn pattern(&mut self, pattern: &ListPattern) -> &mut Self {
        match self.names {
            Names::Utf8 => self.string(pattern.as_str().as_bytes()),
            Names::Utf7 => {
                let mut coded = alloc::vec::Vec::new();
                utf7::encode(pattern.as_str(), |piece| coded.extend_from_slice(piece));
                self.string(&coded)
            }
        }
    }

    fn id(&mut self, fields: Option<&[IdField]>) {
        let Some(fields) = fields else {
            self.put(" NIL");
            return;
        };
        self.put(" (");
        for (n, IdField { name, value }) in fields.iter().enumerate() {
            self.put(if n == 0 { "" } else { " " }).string(name).put(" ");
            match value {
                Some(value) => self.string(value),
                None => self.put("NIL"),
            };
        }
        self.put(")");
    }

    fn select(&mut self, select: &Select) {
        mailbox_of(self, &select.mailbox);
        let Some(qresync) = &select.qresync else {
            self.put(if select.condstore { " (CONDSTORE)" } else { "" });
            return;
        };
        let _ = write!(self.tx, " (QRESYNC ({} {}", qresync.uid_validity, qresync.modseq);
        if let Some(known) = &qresync.known_uids {
            self.put(" ").set(known);
        }
        if let Some((numbers, uids)) = &qresync.match_data {
            self.put(" (").set(numbers).put(" ").set(uids).put(")");
        }
        self.put(if select.condstore { ") CONDSTORE)" } else { "))" });
    }

    fn list(&mut self, list: &List) {
        let (select, returns) = (&list.select, &list.returns);
        let options = [
            (select.subscribed, "SUBSCRIBED"),
            (select.remote, "REMOTE"),
            (select.recursive_match, "RECURSIVEMATCH"),
            (select.special_use, "SPECIAL-USE"),
        ];
        let mut options = options.into_iter().filter_map(|(on, name)| on.then_some(name)).peekable();
        if options.peek().is_some() {
            self.put(" (").words(options).put(")");
        }
        mailbox_of(self, &list.reference);
        if list.extended {
            self.put(" (");
            for (n, pattern) in list.patterns.iter().enumerate() {
                self.put(if n == 0 { "" } else { " " }).pattern(pattern);
            }
            self.put(")");
        } else if let Some(pattern) = list.patterns.first() {
            self.put(" ").pattern(pattern);
        }
        let flags =
            [(returns.subscribed, "SUBSCRIBED"), (returns.children, "CHILDREN"), (returns.special_use, "SPECIAL-USE")];
        let mut flags = flags.into_iter().filter_map(|(on, name)| on.then_some(name)).peekable();
        if flags.peek().is_none() && returns.status.is_empty() {
            return;
        }
        let space = if flags.peek().is_some() { " " } else { "" };
        self.put(" RETURN (").words(flags);
        if !returns.status.is_empty() {
            self.put(space).put("STATUS (").words(returns.status.iter().map(|item| item.name())).put(")");
        }
        self.put(")");
    }

    /// What stands before a message, up to the CRLF of its announcement.
    fn message(&mut self, message: &AppendMessage) {
        if !message.flags.is_empty() {
            self.put(" ");
            flag_list(self.tx, &message.flags);
        }
        if let Some(date) = message.date {
            let _ = write!(self.tx, " \"{date}\"");
        }
        let Literal { len, mode, binary } = message.literal;
        self.put(if message.utf8 { " UTF8 (" } else { " " }).put(if binary { "~{" } else { "{" }).number(len);
        self.put(if mode == LiteralMode::Synchronizing { "}\r\n" } else { "+}\r\n" });
    }

    fn store(&mut self, store: &Store) {
        self.put(" ").set(&store.set);
        if let Some(modseq) = store.unchanged_since {
            self.put(" (UNCHANGEDSINCE ").number(modseq.value()).put(")");
        }
        self.put(match store.change {
            FlagChange::Replace => " FLAGS",
            FlagChange::Add => " +FLAGS",
            FlagChange::Remove => " -FLAGS",
        });
        self.put(if store.silent { ".SILENT " } else { " " });
        flag_list(self.tx, &store.flags);
    }

    fn fetch(&mut self, fetch: &Fetch) {
        self.put(" ").set(&fetch.set).put(" (");
        for (n, item) in fetch.items.iter().enumerate() {
            self.put(if n == 0 { "" } else { " " }).item(item);
        }
        self.put(")");
        if let Some(modseq) = fetch.changed_since {
            self.put(" (CHANGEDSINCE ").number(modseq.value());
            self.put(if fetch.vanished { " VANISHED)" } else { ")" });
        }
    }

    fn item(&mut self, item: &FetchItem) {
        let name = match item {
            FetchItem::Section { peek, section, partial } => {
                self.put(if *peek { "BODY.PEEK[" } else { "BODY[" }).section(section);
                return self.partial(*partial);
            }
            FetchItem::Binary { peek, part, partial } => {
                self.put(if *peek { "BINARY.PEEK[" } else { "BINARY[" }).part(part).put("]");
                return self.partial(*partial);
            }
            FetchItem::BinarySize(part) => {
                self.put("BINARY.SIZE[").part(part).put("]");
                return;
            }
            FetchItem::Uid => "UID",
            FetchItem::Flags => "FLAGS",
            FetchItem::InternalDate => "INTERNALDATE",
            FetchItem::Rfc822Size => "RFC822.SIZE",
            FetchItem::Envelope => "ENVELOPE",
            FetchItem::Body => "BODY",
            FetchItem::BodyStructure => "BODYSTRUCTURE",
            FetchItem::Rfc822 => "RFC822",
            FetchItem::Rfc822Header => "RFC822.HEADER",
            FetchItem::Rfc822Text => "RFC822.TEXT",
            FetchItem::Modseq => "MODSEQ",
            FetchItem::EmailId => "EMAILID",
            FetchItem::ThreadId => "THREADID",
            FetchItem::SaveDate => "SAVEDATE",
        };
        self.put(name);
    }

    fn part(&mut self, part: &PartPath) -> &mut Self {
        let _ = write!(self.tx, "{part}");
        self
    }

    fn section(&mut self, section: &Section) {
        self.part(&section.part);
        if !section.part.is_empty() && section.text != SectionText::All {
            self.put(".");
        }
        let (name, fields) = match &section.text {
            SectionText::All => ("", None),
            SectionText::Header => ("HEADER", None),
            SectionText::Text => ("TEXT", None),
            SectionText::Mime => ("MIME", None),
            SectionText::HeaderFields(fields) => ("HEADER.FIELDS", Some(fields)),
            SectionText::HeaderFieldsNot(fields) => ("HEADER.FIELDS.NOT", Some(fields)),
        };
        self.put(name);
        for (n, field) in fields.into_iter().flatten().enumerate() {
            self.put(if n == 0 { " (" } else { " " }).string(field);
        }
        self.put(if fields.is_some() { ")]" } else { "]" });
    }

    fn partial(&mut self, partial: Option<Partial>) {
        if let Some(Partial { offset, length }) = partial {
            self.put("<").number(offset).put(".").number(length).put(">");
        }
    }

    fn search(&mut self, search: &Search) {
        if let Some(returns) = search.returns {
            let options = [
                (returns.min, "MIN"),
                (returns.max, "MAX"),
                (returns.all, "ALL"),
                (returns.count, "COUNT"),
                (returns.save, "SAVE"),
            ];
            let options = options.into_iter().filter_map(|(on, name)| on.then_some(name));
            self.put(" RETURN (").words(options).put(")");
        }
        match &search.charset {
            Strings::Unsaid => {}
            Strings::UsAscii => {
                self.put(" CHARSET US-ASCII");
            }
            Strings::Utf8 => {
                self.put(" CHARSET UTF-8");
            }
            Strings::Other(name) => {
                self.put(" CHARSET ").string(name);
            }
        }
        self.put(" ").key(&search.key);
    }

    /// A key; its nesting is bounded by [`SearchKey::MAX_DEPTH`], so this may call itself.
    fn key(&mut self, key: &SearchKey) {
        match key {
            SearchKey::All => {
                self.put("ALL");
            }
            SearchKey::And(keys) => {
                self.put("(");
                for (n, key) in keys.iter().enumerate() {
                    self.put(if n == 0 { "" } else { " " }).key(key);
                }
                self.put(")");
            }
            SearchKey::Or(keys) => {
                for (n, key) in keys.iter().enumerate() {
                    let or = if n + 1 < keys.len() { "OR " } else { "" };
                    self.put(if n == 0 { "" } else { " " }).put(or);
                    // An OR within would be read as one with this.
                    let apart = matches!(key, SearchKey::Or(_));
                    self.put(if apart { "(" } else { "" }).key(key);
                    self.put(if apart { ")" } else { "" });
                }
            }
            SearchKey::Not(key) => self.put("NOT ").key(key),
            SearchKey::Sequence(set) => {
                self.set(set);
            }
            SearchKey::Uid(set) => {
                self.put("UID ").set(set);
            }
            SearchKey::Has(flag) => self.flag("", flag),
            SearchKey::Lacks(Flag::Recent) => {
                self.put("OLD");
            }
            SearchKey::Lacks(flag) => self.flag("UN", flag),
            SearchKey::Address(field, text) => {
                let name = match field {
                    AddressField::From => "FROM ",
                    AddressField::To => "TO ",
                    AddressField::Cc => "CC ",
                    AddressField::Bcc => "BCC ",
                };
                self.put(name).string(text);
            }
            SearchKey::Subject(text) => {
                self.put("SUBJECT ").string(text);
            }
            SearchKey::Header { name, value } => {
                self.put("HEADER ").string(name).put(" ").string(value);
            }
            SearchKey::Body(text) => {
                self.put("BODY ").string(text);
            }
            SearchKey::Text(text) => {
                self.put("TEXT ").string(text);
            }
            SearchKey::Date(field, when, date) => {
                let field = match field {
                    DateField::Internal => "",
                    DateField::Sent => "SENT",
                    DateField::Saved => "SAVED",
                };
                let when = match when {
                    When::Before => "BEFORE",
                    When::On => "ON",
                    When::Since => "SINCE",
                };
                let _ = write!(self.tx, "{field}{when} {date}");
            }
            SearchKey::Larger(size) => {
                self.put("LARGER ").number(*size);
            }
            SearchKey::Smaller(size) => {
                self.put("SMALLER ").number(*size);
            }
            SearchKey::Younger(seconds) => {
                self.put("YOUNGER ").number(u64::from(*seconds));
            }
            SearchKey::Older(seconds) => {
                self.put("OLDER ").number(u64::from(*seconds));
            }
            SearchKey::Modseq(modseq) => {
                self.put("MODSEQ ").number(modseq.value());
            }
            SearchKey::EmailId(id) => self.put("EMAILID ").tx.put(id.as_bytes()),
            SearchKey::ThreadId(id) => self.put("THREADID ").tx.put(id.as_bytes()),
            SearchKey::SaveDateSupported => {
                self.put("SAVEDATESUPPORTED");
            }
        }
    }

    fn flag(&mut self, un: &str, flag: &Flag) {
        let name = match flag {
            Flag::Answered => "ANSWERED",
            Flag::Flagged => "FLAGGED",
            Flag::Deleted => "DELETED",
            Flag::Seen => "SEEN",
            Flag::Draft => "DRAFT",
            Flag::Recent => "RECENT",
            Flag::Keyword(name) | Flag::Extension(name) => {
                self.put(un).put("KEYWORD ").tx.put(name.as_bytes());
                return;
            }
        };
        self.put(un).put(name);
    }
}
