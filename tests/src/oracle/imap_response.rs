//! What we write of a message, ENVELOPE and BODYSTRUCTURE, as `imap-codec` reads it.

use imap_codec::ResponseCodec;
use imap_codec::decode::Decoder as _;
use imap_codec::imap_types::body::BodyStructure;
use imap_codec::imap_types::core::NString;
use imap_codec::imap_types::envelope as theirs;
use imap_codec::imap_types::fetch::MessageDataItem;
use imap_codec::imap_types::response::{Data, Response};
use pillarbox_core::Outbox;
use pillarbox_core::imap::encode::{Charset, FetchResponse};
use pillarbox_core::imap::types::{Address, BodyKind, BodyPart, Envelope};
use pillarbox_core::message::Structure;

/// Nesting that the other parser takes.
const DEPTH: usize = 7;

/// The response that tells the structure of a message.
#[must_use]
pub fn fetched(structure: &Structure, charset: Charset) -> Vec<u8> {
    let (envelope, body) = (structure.envelope(), structure.body());
    let mut tx = Outbox::new(usize::MAX);
    let mut response = FetchResponse::begin(&mut tx, 7, charset);
    response.rfc822_size(&mut tx, structure.size());
    response.envelope(&mut tx, &envelope);
    response.body(&mut tx, &body);
    response.body_structure(&mut tx, &body);
    response.end(&mut tx);
    tx.slices().flatten().copied().collect()
}

/// The other parser reads the response, and reads out of it what we wrote.
///
/// # Errors
/// It does not.
pub fn they_read_what_we_write(structure: &Structure) -> Result<(), String> {
    let sent = fetched(structure, Charset::Ascii);
    let (envelope, body) = (structure.envelope(), structure.body());
    if depth(&body) > DEPTH {
        return Ok(());
    }
    let failed = |what: &str| format!("{what}: {}", sent.escape_ascii());
    let (rest, response) = ResponseCodec::default().decode(&sent).map_err(|e| failed(&format!("{e:?}")))?;
    let Response::Data(Data::Fetch { seq, items }) = response else { return Err(failed("it is no FETCH")) };
    if !rest.is_empty() || seq.get() != 7 || items.as_ref().len() != 4 {
        return Err(failed("it is cut otherwise"));
    }
    for item in items.as_ref() {
        let same = match item {
            MessageDataItem::Rfc822Size(size) => u64::from(*size) == structure.size(),
            MessageDataItem::Envelope(read) => same_envelope(&envelope, read),
            MessageDataItem::Body(read) | MessageDataItem::BodyStructure(read) => parts(&body) == their_parts(read),
            _ => false,
        };
        if !same {
            return Err(failed(&format!("read as {item:?}")));
        }
    }
    Ok(())
}

fn same_envelope(ours: &Envelope, theirs: &theirs::Envelope<'_>) -> bool {
    let texts = [
        (&ours.date, &theirs.date),
        (&ours.subject, &theirs.subject),
        (&ours.in_reply_to, &theirs.in_reply_to),
        (&ours.message_id, &theirs.message_id),
    ];
    let lists = [
        (&ours.from, &theirs.from),
        (&ours.sender, &theirs.sender),
        (&ours.reply_to, &theirs.reply_to),
        (&ours.to, &theirs.to),
        (&ours.cc, &theirs.cc),
        (&ours.bcc, &theirs.bcc),
    ];
    texts.into_iter().all(|(ours, theirs)| same_text(ours.as_deref(), theirs))
        && lists.into_iter().all(|(ours, theirs)| {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| same_address(ours, theirs))
        })
}

fn same_address(ours: &Address, theirs: &theirs::Address<'_>) -> bool {
    same_text(ours.name.as_deref(), &theirs.name)
        && same_text(ours.route.as_deref(), &theirs.adl)
        && same_text(ours.mailbox.as_deref(), &theirs.mailbox)
        && same_text(ours.host.as_deref(), &theirs.host)
}

/// A NUL goes out as a space.
fn same_text(ours: Option<&[u8]>, theirs: &NString<'_>) -> bool {
    let ours = ours.map(|text| text.iter().map(|octet| if *octet == 0 { b' ' } else { *octet }).collect::<Vec<u8>>());
    ours.as_deref() == theirs.0.as_ref().map(AsRef::as_ref)
}

/// Octets of each part that is no multipart, in order; an empty multipart is told as one that holds an empty text.
fn parts(body: &BodyPart) -> Vec<u64> {
    match &body.kind {
        BodyKind::Multipart(parts) if parts.is_empty() => vec![0],
        BodyKind::Multipart(inner) => inner.iter().flat_map(parts).collect(),
        BodyKind::Message { body: inner, .. } => [vec![body.octets], parts(inner)].concat(),
        BodyKind::Text { .. } | BodyKind::Basic(_) => vec![body.octets],
    }
}

fn their_parts(body: &BodyStructure<'_>) -> Vec<u64> {
    use imap_codec::imap_types::body::SpecificFields;
    match body {
        BodyStructure::Multi { bodies, .. } => bodies.as_ref().iter().flat_map(their_parts).collect(),
        BodyStructure::Single { body, .. } => {
            let octets = u64::from(body.basic.size);
            match &body.specific {
                SpecificFields::Message { body_structure, .. } => [vec![octets], their_parts(body_structure)].concat(),
                SpecificFields::Text { .. } | SpecificFields::Basic { .. } => vec![octets],
            }
        }
    }
}

fn depth(body: &BodyPart) -> usize {
    1 + match &body.kind {
        BodyKind::Multipart(parts) => parts.iter().map(depth).max().unwrap_or(1),
        BodyKind::Message { body, .. } => depth(body),
        BodyKind::Text { .. } | BodyKind::Basic(_) => 0,
    }
}
