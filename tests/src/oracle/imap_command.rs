//! IMAP's commands, as we read and write them, and as `imap-codec` does, a parser that we did not write.

use bytes::BytesMut;
use imap_codec::CommandCodec;
use imap_codec::decode::Decoder as _;
use imap_codec::encode::{Encoder as _, Fragment};
use pillarbox_core::Outbox;
use pillarbox_core::imap::encode;
use pillarbox_core::imap::framing::Limits;
use pillarbox_core::imap::grammar::{Bad, SyntaxError};
use pillarbox_core::imap::reader::{Input, Reader};
use pillarbox_core::imap::types::{
    Charset, Command, DateField, FetchItem, Names, Partial, SearchKey, SequenceSet, StatusItem, Tag, Tagged,
};

/// What is read is written so that it reads the same.
///
/// # Errors
/// It is not.
pub fn what_we_write_we_read(sent: &[u8]) -> Result<(), String> {
    let Ok((tagged, _)) = read(sent) else { return Ok(()) };
    if matches!(tagged.command, Command::Append { .. }) {
        return Ok(());
    }
    let again = written(&tagged);
    same(read(&again).map(|(tagged, _)| tagged), Ok(tagged), &again)
}

/// What the other parser takes, we take, and it means the same to us.
///
/// # Errors
/// We do not, or it means something else.
pub fn what_others_read_we_read(sent: &[u8]) -> Result<(), String> {
    let Some(canonical) = theirs(sent) else { return Ok(()) };
    match read(sent) {
        // They write a mechanism's name in upper case; we leave it as it came.
        Ok((Tagged { command: Command::Authenticate { .. }, .. }, _)) => Ok(()),
        Ok((ours, _)) => same(read(&canonical).map(|(tagged, _)| tagged), Ok(ours), &canonical),
        Err(bad) if refused_by_choice(bad.what).is_some() || has_long_tag(sent) => Ok(()),
        Err(bad) => Err(format!("{} ({})", bad.what, canonical.escape_ascii())),
    }
}

/// What we take, written anew, the other parser takes too, but for what it does not know.
///
/// # Errors
/// It does not, or it means something else to it.
pub fn what_we_read_others_read(sent: &[u8]) -> Result<(), String> {
    let Ok((tagged, _)) = read(sent) else { return Ok(()) };
    if !known_to_others(&tagged.command) {
        return Ok(());
    }
    let ours = written(&tagged);
    let canonical = theirs(&ours).ok_or_else(|| format!("{} is refused", ours.escape_ascii()))?;
    same(read(&canonical).map(|(tagged, _)| tagged), Ok(tagged), &ours)
}

fn same(one: Result<Tagged, Bad>, other: Result<Tagged, Bad>, written: &[u8]) -> Result<(), String> {
    if one == other { Ok(()) } else { Err(format!("{one:?}\nis not {other:?}\nin {}", written.escape_ascii())) }
}

/// Everything that a session would see of a stream that comes in these pieces. Messages are accepted; their octets are
/// joined.
#[must_use]
pub fn inputs<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Input> {
    let limits = Limits { non_synchronizing: u64::MAX, ..Limits::default() };
    let (mut reader, mut rx, mut seen) = (Reader::new(limits), BytesMut::new(), Vec::new());
    for piece in pieces {
        rx.extend_from_slice(piece);
        while let Some(input) = reader.next(&mut rx, 1000) {
            if matches!(&input, Input::Command(Tagged { command: Command::Append { .. }, .. }) | Input::Message(_)) {
                let _ = reader.accept();
            }
            match (seen.last_mut(), input) {
                (Some(Input::Octets(before)), Input::Octets(more)) => {
                    *before = [&before[..], &more[..]].concat().into()
                }
                (_, input) => seen.push(input),
            }
        }
    }
    seen
}

/// The one command in `sent`, or why it is none; an APPEND with what follows it.
///
/// # Errors
/// Why it is none.
pub fn read(sent: &[u8]) -> Result<(Tagged, Vec<Input>), Bad> {
    let mut seen = inputs([sent]);
    seen.retain(|input| *input != Input::Continue);
    if let Some(at) = seen.iter().position(|input| matches!(input, Input::Bad(_))) {
        let Input::Bad(bad) = seen.swap_remove(at) else { unreachable!() };
        return Err(bad);
    }
    let mut seen = seen.into_iter();
    match seen.next() {
        Some(Input::Command(tagged)) => Ok((tagged, seen.collect())),
        _ => Err(Bad { tag: None, what: SyntaxError::Tag }),
    }
}

/// The command as our clients write it.
#[must_use]
pub fn written(tagged: &Tagged) -> Vec<u8> {
    let mut tx = Outbox::new(usize::MAX);
    encode::command(&mut tx, tagged, Names::Utf7);
    tx.slices().flatten().copied().collect()
}

/// What the other parser makes of one command: its octets, written by it.
fn theirs(sent: &[u8]) -> Option<Vec<u8>> {
    let (rest, command) = CommandCodec::default().decode(sent).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let mut out = Vec::new();
    for fragment in CommandCodec::default().encode(&command) {
        match fragment {
            Fragment::Line { data } | Fragment::Literal { data, .. } => out.extend_from_slice(&data),
        }
    }
    Some(out)
}

/// Why we refuse what the other parser takes. Each is a choice of ours.
fn refused_by_choice(what: SyntaxError) -> Option<&'static str> {
    match what {
        SyntaxError::Mailbox(_) => Some("a name is text: well encoded, and without control characters"),
        SyntaxError::TooLong(_) | SyntaxError::TooMany(_) | SyntaxError::Nesting => Some("everything has a bound"),
        SyntaxError::Unknown("item of FETCH" | "item of STATUS") => Some("a list of items is never empty"),
        SyntaxError::Number => Some("a mod-sequence has 63 bits (RFC 7162 §7)"),
        SyntaxError::Expected("a time that exists") => Some("an hour has 60 minutes, in zones too"),
        SyntaxError::Expected("the name of a header field") => {
            Some("a field's name is printable ASCII without a colon")
        }
        SyntaxError::Expected("a set without \"*\" and \"$\"") => Some("known UIDs have no \"*\" (RFC 7162 §7)"),
        SyntaxError::Combination("VANISHED goes with UID FETCH and CHANGEDSINCE only") => Some("RFC 7162 §3.2.6"),
        SyntaxError::Expected("an initial response in base64") => Some("an empty initial response is \"=\""),
        _ => None,
    }
}

/// A tag has a bound, too.
fn has_long_tag(sent: &[u8]) -> bool {
    sent.iter().position(|octet| *octet == b' ').is_some_and(|end| end > Tag::MAX)
}

/// Whether a command is one of RFC 3501 without parameters of extensions, not all of which the other parser has.
fn known_to_others(command: &Command) -> bool {
    match command {
        Command::List(list) => !list.extended,
        Command::Create { uses, unknown_use, .. } => uses.is_empty() && !unknown_use,
        Command::Select(select) => !select.condstore && select.qresync.is_none(),
        Command::Fetch(fetch) => {
            fetch.set != SequenceSet::Saved && fetch.changed_since.is_none() && !fetch.items.iter().any(is_extension)
        }
        Command::Store(store) => store.set != SequenceSet::Saved && store.unchanged_since.is_none(),
        Command::Search(search) => {
            let new = |key: &SearchKey| {
                matches!(
                    key,
                    SearchKey::Younger(_)
                        | SearchKey::Older(_)
                        | SearchKey::Modseq(_)
                        | SearchKey::EmailId(_)
                        | SearchKey::ThreadId(_)
                        | SearchKey::Date(DateField::Saved, ..)
                        | SearchKey::SaveDateSupported
                        | SearchKey::Sequence(SequenceSet::Saved)
                        | SearchKey::Uid(SequenceSet::Saved)
                        // Sizes beyond 32 bits are IMAP4rev2's.
                        | SearchKey::Larger(0x1_0000_0000..)
                        | SearchKey::Smaller(0x1_0000_0000..)
                )
            };
            let old_charset = !matches!(search.charset, Charset::Other(_));
            search.returns.is_none() && old_charset && !search.key.any(&mut |key| new(key))
        }
        Command::Status { items, .. } => items.iter().all(|item| {
            use StatusItem::{Messages, Recent, UidNext, UidValidity, Unseen};
            matches!(item, Messages | Recent | UidNext | UidValidity | Unseen)
        }),
        Command::Copy(copy) | Command::Move(copy) => copy.set != SequenceSet::Saved,
        Command::Append { .. } | Command::Expunge(Some(SequenceSet::Saved)) => false,
        Command::Id(_) | Command::Enable(_) | Command::Authenticate { .. } => false,
        _ => true,
    }
}

fn is_extension(item: &FetchItem) -> bool {
    match item {
        FetchItem::Binary { .. } | FetchItem::BinarySize(_) | FetchItem::Modseq => true,
        FetchItem::EmailId | FetchItem::ThreadId | FetchItem::SaveDate => true,
        FetchItem::Section { partial: Some(Partial { offset, length }), .. } => {
            (*offset).max(*length) > u64::from(u32::MAX)
        }
        _ => false,
    }
}
