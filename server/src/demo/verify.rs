//! Whether it is as it should be; when it is not, what was expected, and what was there.

use std::fmt;

use pillarbox_core::ops::QueueRow;
use pillarbox_core::smtp::{Address, Reply};

use super::mail::Message;
use crate::failure::Failure;

/// Octets of a header that a bounce returns in any case.
const RETURNED: usize = 8 * 1024;

/// Expects something.
///
/// # Errors
/// When it is not so.
pub(super) fn expect(so: bool, expected: &str, found: &impl fmt::Display) -> Result<(), Failure> {
    if so { Ok(()) } else { Err(unexpected(expected, found)) }
}

/// It is not so.
pub(super) fn unexpected(expected: &str, found: &impl fmt::Display) -> Failure {
    Failure::new(format!("expected {expected}, but there was: {found}"))
}

/// The message arrived as it was sent, through so many servers, and each said so above it.
///
/// # Errors
/// When it did not.
pub(super) fn arrived(
    fetched: &[u8],
    sent: &Message,
    from: &Address,
    to: &Address,
    hops: usize,
) -> Result<(), Failure> {
    let Some(prefix) = fetched.strip_suffix(sent.bytes().as_ref()) else {
        let (expected, found) = (sent.bytes(), fetched);
        let same = expected.iter().rev().zip(found.iter().rev()).take_while(|(a, b)| a == b).count();
        let found = format!("{} octets of which the last {same} are the same", found.len());
        return Err(unexpected(
            &format!("the {} octets that were sent at the end of what came", expected.len()),
            &found,
        ));
    };
    let text = String::from_utf8_lossy(prefix).into_owned();
    let mut lines = text.lines();
    for expected in [format!("Return-Path: <{from}>"), format!("Delivered-To: {to}")] {
        let found = lines.next().unwrap_or_default();
        expect(found == expected, &format!("the line {expected:?} above the message"), &format_args!("{found:?}"))?;
    }
    let received = text.lines().filter(|line| line.starts_with("Received: ")).count();
    expect(received == hops, &format!("{hops} Received lines above the message"), &received)?;
    let under_tls = text.matches("SMTPS").count();
    expect(under_tls == hops, "TLS on the whole way", &format_args!("TLS on {under_tls} of {hops} hops"))
}

/// The row waits for another try.
///
/// # Errors
/// When it is another row.
pub(super) fn waits(row: &QueueRow, from: &Address, to: &Address) -> Result<(), Failure> {
    let sender = row.reverse_path.as_ref();
    let found = format!("from {} to {}", sender.map(ToString::to_string).unwrap_or_default(), row.recipient);
    let so = sender == Some(from) && row.recipient == *to;
    expect(so, &format!("a row from {from} to {to}"), &found)?;
    expect(!row.state.reply.is_empty(), "a reason why the row waits", &"none")?;
    expect(row.state.due < row.state.expires, "another try before the row expires", &row.state.due.rfc3339())
}

/// The bounce is one by RFC 3464 about this message to this recipient. Returns its words for people.
///
/// # Errors
/// When it is not.
pub(super) fn bounce(bounce: &[u8], sent: &Message, to: &Address, reply: &Reply) -> Result<String, Failure> {
    let text = String::from_utf8_lossy(bounce);
    let status = reply.status().map(|status| status.to_string()).unwrap_or_else(|| "5.0.0".to_owned());
    let mut wanted = vec![
        "Return-Path: <>".to_owned(),
        "From: Mail Delivery System <MAILER-DAEMON@mx.amber.example>".to_owned(),
        "Auto-Submitted: auto-replied".to_owned(),
        "Content-Type: multipart/report; report-type=delivery-status;".to_owned(),
        format!("Final-Recipient: rfc822; {to}"),
        "Action: failed".to_owned(),
        format!("Status: {status}"),
    ];
    // A header of another charset is returned as quoted-printable, and of a long one only the beginning.
    let subject = sent.header().split(|byte| *byte == b'\n').find(|line| line.starts_with(b"Subject:"));
    let subject = subject
        .filter(|_| sent.header().is_ascii() && sent.header().len() < RETURNED)
        .and_then(|line| std::str::from_utf8(line).ok());
    wanted.extend(subject.map(|line| line.trim_end().to_owned()).filter(|line| line.len() < 76));
    for line in &wanted {
        expect(text.lines().any(|found| found == line), &format!("the line {line:?} in the bounce"), &"no such line")?;
    }
    let boundary = text.split_once("boundary=\"").and_then(|(_, behind)| behind.split_once('"'));
    let Some((boundary, _)) = boundary else { return Err(unexpected("a multipart bounce", &"no boundary")) };
    let delimiter = format!("\r\n--{boundary}");
    let first = text.split(&delimiter).nth(1).and_then(|part| part.split_once("\r\n\r\n"));
    let Some((_, words)) = first else { return Err(unexpected("words for people in the bounce", &"none")) };
    expect(words.contains(&format!("<{to}>")), &format!("{to} to be named in the bounce"), &words)?;
    Ok(words.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use pillarbox_core::smtp::EnhancedStatus;

    use super::*;
    use crate::demo::mail::Mail;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    const TRACE: &str = "Return-Path: <a@amber.example>\r\nDelivered-To: b@amber.example\r\n\
                         Received: from x ([127.0.0.1])\r\n\tby y with ESMTPSA id 1;\r\n\tnow\r\n";

    #[test]
    fn what_arrived_is_compared() {
        let sent = Mail::built_in().nobody;
        let (from, to) = (address("a@amber.example"), address("b@amber.example"));
        let whole = [TRACE.as_bytes(), sent.bytes()].concat();
        assert_eq!(arrived(&whole, &sent, &from, &to, 1), Ok(()));
        let said = |fetched: &[u8], hops| arrived(fetched, &sent, &from, &to, hops).unwrap_err().to_string();
        assert!(said(&whole, 2).contains("expected 2 Received lines above the message, but there was: 1"));
        assert!(said(&whole[..whole.len() - 2], 1).contains("octets that were sent"));
        assert!(said(sent.bytes(), 1).contains("Return-Path"));
    }

    #[test]
    fn a_bounce_without_its_status_is_none() {
        let sent = Mail::built_in().nobody;
        let reply = Reply::new(550, Some(EnhancedStatus(5, 1, 1)), "No such user");
        let failure = bounce(b"Return-Path: <>\r\n\r\nSorry\r\n", &sent, &address("x@y.example"), &reply);
        assert!(failure.unwrap_err().to_string().contains("MAILER-DAEMON"));
    }
}
