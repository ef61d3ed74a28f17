//! SEARCH (RFC 9051 §6.4.4, RFC 4731, RFC 5032, RFC 5182, RFC 7162, RFC 8474, RFC 8514).
//!
//! Keys nest, and a client may write as many parentheses as fit in a line. So what is open stands in a stack of our own,
//! of bounded height, and nothing here calls itself.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem;

use super::SyntaxError;
use super::cursor::{Cursor, Word};
use crate::imap::types::{
    AddressField, Charset, DateField, Flag, Keyword, Modseq, ObjectId, Search, SearchKey, SearchReturn, When,
};

type Result<T> = core::result::Result<T, SyntaxError>;

/// Behind `SEARCH`.
pub(super) fn search(cursor: &mut Cursor<'_>, uid: bool) -> Result<Search> {
    cursor.space()?;
    let mut search = Search { uid, returns: None, charset: Charset::Unsaid, key: SearchKey::All };
    let mut word = key_word(cursor);
    if &*word == b"RETURN" {
        search.returns = Some(returns(cursor.space()?)?);
        word = key_word(cursor.space()?);
    }
    if &*word == b"CHARSET" {
        search.charset = charset(cursor.space()?)?;
        word = key_word(cursor.space()?);
    }
    search.key = program(cursor, &word)?;
    Ok(search)
}

/// The name of a key; empty where a set or a parenthesis stands.
fn key_word(cursor: &mut Cursor<'_>) -> Word {
    if is_set(cursor) { Word::new(b"") } else { cursor.word() }
}

/// Whether a set stands here, some characters of which may stand in a name too.
fn is_set(cursor: &Cursor<'_>) -> bool {
    matches!(cursor.peek(), Some(b'0'..=b'9' | b'*' | b'$'))
}

/// `RETURN (…)`
fn returns(cursor: &mut Cursor<'_>) -> Result<SearchReturn> {
    let mut returns = SearchReturn::default();
    cursor.open()?;
    if cursor.eat(b')') {
        return Ok(SearchReturn { all: true, ..returns });
    }
    loop {
        let option = match &*cursor.word() {
            b"MIN" => &mut returns.min,
            b"MAX" => &mut returns.max,
            b"ALL" => &mut returns.all,
            b"COUNT" => &mut returns.count,
            b"SAVE" => &mut returns.save,
            _ => return Err(SyntaxError::Unknown("return option of SEARCH")),
        };
        *option = true;
        if !cursor.another()? {
            return Ok(returns);
        }
    }
}

fn charset(cursor: &mut Cursor<'_>) -> Result<Charset> {
    let name = cursor.astring()?;
    Ok(match () {
        () if name.eq_ignore_ascii_case(b"UTF-8") => Charset::Utf8,
        () if name.eq_ignore_ascii_case(b"US-ASCII") => Charset::UsAscii,
        () => Charset::Other(name),
    })
}

/// What is open, and waits for the key that is read next.
enum Open {
    /// A parenthesis, or the whole program at the bottom.
    And(Vec<SearchKey>),
    /// An OR that wants so many keys. An OR inside it wants one more, since it stands in the place of one.
    Or(Vec<SearchKey>, usize),
    Not,
}

/// One or more keys. `word` stands at the front, and was read.
fn program(cursor: &mut Cursor<'_>, word: &[u8]) -> Result<SearchKey> {
    let mut open = Vec::from([Open::And(Vec::new())]);
    let mut keys = 0;
    let mut read = Some(begin(cursor, word)?);
    loop {
        let next = match read.take() {
            Some(next) => next,
            None => {
                let word = key_word(cursor);
                begin(cursor, &word)?
            }
        };
        keys += 1;
        if keys > SearchKey::MAX_KEYS {
            return Err(SyntaxError::TooMany("search keys"));
        }
        let mut key = match next {
            Begin::Key(key) => key,
            Begin::Or if let Some(Open::Or(_, wanted)) = open.last_mut() => {
                *wanted += 1;
                continue;
            }
            Begin::Or => {
                push(&mut open, Open::Or(Vec::new(), 2))?;
                continue;
            }
            Begin::Not => {
                push(&mut open, Open::Not)?;
                continue;
            }
            Begin::Parenthesis => {
                push(&mut open, Open::And(Vec::new()))?;
                continue;
            }
        };
        // The key is complete, and may complete what is open.
        loop {
            let bottom = open.len() == 1;
            match open.last_mut() {
                Some(Open::And(keys)) => {
                    keys.push(key);
                    if cursor.eat(b' ') {
                        break;
                    }
                    let keys = mem::take(keys);
                    if bottom {
                        return Ok(and(keys));
                    }
                    cursor.close()?;
                    key = and(keys);
                }
                Some(Open::Or(keys, wanted)) => {
                    keys.push(key);
                    if keys.len() < *wanted {
                        cursor.space()?;
                        break;
                    }
                    key = SearchKey::Or(mem::take(keys));
                }
                Some(Open::Not) => key = SearchKey::Not(Box::new(key)),
                // The bottom is left by `return` alone.
                None => return Ok(key),
            }
            open.pop();
        }
    }
}

fn push(open: &mut Vec<Open>, next: Open) -> Result<()> {
    if open.len() > SearchKey::MAX_DEPTH {
        return Err(SyntaxError::Nesting);
    }
    open.push(next);
    Ok(())
}

fn and(mut keys: Vec<SearchKey>) -> SearchKey {
    if keys.len() == 1
        && let Some(key) = keys.pop()
    {
        return key;
    }
    SearchKey::And(keys)
}

/// What stands at the front of a key.
enum Begin {
    Key(SearchKey),
    Or,
    Not,
    Parenthesis,
}

/// One key, of which `word` was read; or what opens one of several.
fn begin(cursor: &mut Cursor<'_>, word: &[u8]) -> Result<Begin> {
    if word.is_empty() {
        if cursor.eat(b'(') {
            return Ok(Begin::Parenthesis);
        }
        let set = is_set(cursor).then(|| cursor.set()).ok_or(SyntaxError::Unknown("search key"))?;
        return set.map(|set| Begin::Key(SearchKey::Sequence(set)));
    }
    match word {
        b"OR" => cursor.space().map(|_| Begin::Or),
        b"NOT" => cursor.space().map(|_| Begin::Not),
        _ => key(cursor, word).map(Begin::Key),
    }
}

fn key(cursor: &mut Cursor<'_>, word: &[u8]) -> Result<SearchKey> {
    use SearchKey::{All, And, Has, Lacks, SaveDateSupported};
    let simple = match word {
        b"ALL" => All,
        b"ANSWERED" => Has(Flag::Answered),
        b"DELETED" => Has(Flag::Deleted),
        b"DRAFT" => Has(Flag::Draft),
        b"FLAGGED" => Has(Flag::Flagged),
        b"RECENT" => Has(Flag::Recent),
        b"SEEN" => Has(Flag::Seen),
        b"UNANSWERED" => Lacks(Flag::Answered),
        b"UNDELETED" => Lacks(Flag::Deleted),
        b"UNDRAFT" => Lacks(Flag::Draft),
        b"UNFLAGGED" => Lacks(Flag::Flagged),
        b"OLD" => Lacks(Flag::Recent),
        b"UNSEEN" => Lacks(Flag::Seen),
        b"NEW" => And([Has(Flag::Recent), Lacks(Flag::Seen)].into()),
        b"SAVEDATESUPPORTED" => SaveDateSupported,
        _ => return with_argument(cursor, word),
    };
    Ok(simple)
}

fn with_argument(cursor: &mut Cursor<'_>, word: &[u8]) -> Result<SearchKey> {
    if let Some((field, when)) = date_key(word) {
        return Ok(SearchKey::Date(field, when, cursor.space()?.date()?));
    }
    Ok(match word {
        b"FROM" => SearchKey::Address(AddressField::From, cursor.space()?.astring()?),
        b"TO" => SearchKey::Address(AddressField::To, cursor.space()?.astring()?),
        b"CC" => SearchKey::Address(AddressField::Cc, cursor.space()?.astring()?),
        b"BCC" => SearchKey::Address(AddressField::Bcc, cursor.space()?.astring()?),
        b"SUBJECT" => SearchKey::Subject(cursor.space()?.astring()?),
        b"BODY" => SearchKey::Body(cursor.space()?.astring()?),
        b"TEXT" => SearchKey::Text(cursor.space()?.astring()?),
        b"HEADER" => {
            let name = cursor.space()?.astring()?;
            SearchKey::Header { name, value: cursor.space()?.astring()? }
        }
        b"KEYWORD" => SearchKey::Has(keyword(cursor.space()?)?),
        b"UNKEYWORD" => SearchKey::Lacks(keyword(cursor.space()?)?),
        b"UID" => SearchKey::Uid(cursor.space()?.set()?),
        b"LARGER" => SearchKey::Larger(cursor.space()?.number64()?),
        b"SMALLER" => SearchKey::Smaller(cursor.space()?.number64()?),
        b"YOUNGER" => SearchKey::Younger(cursor.space()?.nz_number()?.get()),
        b"OLDER" => SearchKey::Older(cursor.space()?.nz_number()?.get()),
        b"MODSEQ" => SearchKey::Modseq(modseq(cursor.space()?)?),
        b"EMAILID" => SearchKey::EmailId(object_id(cursor.space()?)?),
        b"THREADID" => SearchKey::ThreadId(object_id(cursor.space()?)?),
        _ => return Err(SyntaxError::Unknown("search key")),
    })
}

fn date_key(word: &[u8]) -> Option<(DateField, When)> {
    let (field, when) = match word {
        [b'S', b'E', b'N', b'T', when @ ..] => (DateField::Sent, when),
        [b'S', b'A', b'V', b'E', b'D', when @ ..] => (DateField::Saved, when),
        when => (DateField::Internal, when),
    };
    let when = match when {
        b"BEFORE" => When::Before,
        b"ON" => When::On,
        b"SINCE" => When::Since,
        _ => return None,
    };
    Some((field, when))
}

fn keyword(cursor: &mut Cursor<'_>) -> Result<Flag> {
    Keyword::new(cursor.atom()?).map(Flag::Keyword).ok_or(SyntaxError::TooLong("a keyword"))
}

fn object_id(cursor: &mut Cursor<'_>) -> Result<ObjectId> {
    ObjectId::new(cursor.astring()?).ok_or(SyntaxError::Expected("an object id"))
}

/// `[entry-name SP entry-type-req SP] mod-sequence-valzer`
fn modseq(cursor: &mut Cursor<'_>) -> Result<Modseq> {
    if cursor.peek() == Some(b'"') {
        let entry = cursor.quoted()?;
        if !entry.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"/flags/")) {
            return Err(SyntaxError::Unknown("entry of MODSEQ"));
        }
        cursor.space()?;
        if !matches!(&*cursor.word(), b"PRIV" | b"SHARED" | b"ALL") {
            return Err(SyntaxError::Unknown("entry type of MODSEQ"));
        }
        cursor.space()?;
    }
    cursor.modseq()
}
