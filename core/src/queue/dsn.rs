//! Bounces: delivery status notifications about recipients that failed.
//!
//! A report is a `multipart/report` of three parts: words for people, fields for programs, and the header of the message
//! it is about. It is written once, bounded by the number of recipients and the length of that header.
//!
//! | RFC | what | here |
//! |---|---|---|
//! | 6522 (3462) | multipart/report | three parts; the original's header alone is returned, never its body |
//! | 3464 | message/delivery-status | Reporting-MTA, Arrival-Date; for each recipient Final-Recipient, Action, Status, Remote-MTA, Diagnostic-Code, Last-Attempt-Date |
//! | 3464 §2.1, 5321 §4.5.5 | null reverse-path | always; and a message that has it is never reported on |
//! | 3463 | status codes | the peer's; 4.4.7 when the time is up; 5.0.0 and such when it gave none |
//! | 6533 | addresses outside ASCII | `utf-8;` with `\x{…}` in an ASCII report; raw, in message/global-delivery-status, when the sender's own address needs SMTPUTF8 anyway |
//! | 3834 §5 | automatic messages | Auto-Submitted: auto-replied, References and In-Reply-To name the original |
//! | 3461 | NOTIFY, RET, ENVID, ORCPT | not offered by the server, so nobody asked for another kind of report |
//! | 3464 §2.3.3 | `delayed`, `delivered`, `relayed` | not sent: failures only |

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt::Write as _;

use bytes::Bytes;

use super::{Failure, Said};
use crate::seed::Random;
use crate::show::plain;
use crate::smtp::{Address, EnhancedStatus};
use crate::time::Wall;

/// Octets of a line at most, without CRLF (RFC 5322 §2.1.1).
const LINE: usize = 998;

/// What a bounce is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report<'a> {
    /// Who reports.
    pub(super) hostname: &'a str,
    /// Whom it goes to.
    pub(super) reverse_path: &'a Address,
    /// When the message had arrived here.
    pub(super) arrived: Wall,
    /// The message's header section, as [`header_section`] cut it; empty if it could not be read.
    pub(super) header: &'a [u8],
    /// Its recipients that failed; at least one.
    pub(super) failures: &'a [FailedRecipient<'a>],
}

/// A recipient that failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct FailedRecipient<'a> {
    pub(super) recipient: &'a Address,
    pub(super) why: Failure,
    pub(super) said: &'a Said,
}

impl Report<'_> {
    /// The whole message, lines ended by CRLF. It is ASCII unless the reverse-path is not.
    pub(super) fn write(&self, now: Wall, random: &mut Random) -> Bytes {
        let utf8 = !self.reverse_path.is_ascii();
        let boundary = alloc::format!("=_{:016x}{:016x}", random.u64(), random.u64());
        let mut out = Writer(String::with_capacity(2048 + self.header.len()));
        out.line(format_args!("Date: {}", now.rfc5322()));
        out.line(format_args!("From: Mail Delivery System <MAILER-DAEMON@{}>", self.hostname));
        out.line(format_args!("To: <{}>", self.reverse_path));
        out.line(format_args!("Subject: Your message could not be delivered"));
        out.line(format_args!("Message-ID: <{:016x}{:016x}@{}>", random.u64(), random.u64(), self.hostname));
        if let Some(original) = message_id(self.header) {
            out.line(format_args!("In-Reply-To: {original}"));
            out.line(format_args!("References: {original}"));
        }
        out.line(format_args!("Auto-Submitted: auto-replied"));
        out.line(format_args!("MIME-Version: 1.0"));
        out.line(format_args!("Content-Type: multipart/report; report-type=delivery-status;"));
        out.line(format_args!("\tboundary=\"{boundary}\""));
        if utf8 {
            out.line(format_args!("Content-Transfer-Encoding: 8bit"));
        }
        out.line(format_args!(""));
        out.line(format_args!("This is a report in MIME format (RFC 6522)."));

        out.line(format_args!("\r\n--{boundary}"));
        out.part("text/plain; charset=utf-8", self.words().as_bytes(), utf8);

        let (kind, encoding) = match utf8 {
            true => ("message/global-delivery-status", "8bit"),
            false => ("message/delivery-status", "7bit"),
        };
        out.line(format_args!("\r\n--{boundary}"));
        out.line(format_args!("Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n"));
        self.fields(&mut out, now, utf8);

        out.line(format_args!("\r\n--{boundary}"));
        // What is not ASCII and yet UTF-8 was written under RFC 6532; octets of no charset stay octets of text.
        let global = !self.header.is_ascii() && core::str::from_utf8(self.header).is_ok();
        out.part(if global { "message/global-headers" } else { "text/rfc822-headers" }, self.header, utf8 && global);
        out.line(format_args!("\r\n--{boundary}--"));
        out.0.into()
    }

    /// The part for people.
    fn words(&self) -> String {
        let mut out = Writer(String::new());
        out.line(format_args!("This is the mail system at {}.\r\n", self.hostname));
        out.line(format_args!("Your message of {}", self.arrived.rfc5322()));
        out.line(match self.failures.len() {
            1 => format_args!("could not be delivered to this recipient:"),
            _ => format_args!("could not be delivered to these recipients:"),
        });
        for failure in self.failures {
            out.line(format_args!("\r\n<{}>", failure.recipient));
            if failure.why == Failure::Expired {
                out.line(format_args!("    It was tried again and again until its time was up. At last:"));
            }
            let reply = alloc::format!("{}", failure.said.reply);
            let reply = printable(&reply);
            match failure.said.by.as_deref().map(printable) {
                Some(host) => out.line(format_args!("    {host} said:\r\n    {reply}")),
                None => out.line(format_args!("    {reply}")),
            }
        }
        out.line(format_args!("\r\nIt will not be tried again. The header of your message is below."));
        out.0
    }

    /// The part for programs: fields about the message, then fields about each recipient, with empty lines between.
    fn fields(&self, out: &mut Writer, now: Wall, utf8: bool) {
        out.line(format_args!("Reporting-MTA: dns; {}", self.hostname));
        out.line(format_args!("Arrival-Date: {}", self.arrived.rfc5322()));
        for failure in self.failures {
            out.line(format_args!(""));
            let recipient = alloc::format!("{}", failure.recipient);
            match (recipient.is_ascii(), utf8) {
                (true, _) => out.line(format_args!("Final-Recipient: rfc822; {recipient}")),
                (false, true) => out.line(format_args!("Final-Recipient: utf-8; {recipient}")),
                (false, false) => out.line(format_args!("Final-Recipient: utf-8; {}", xtext(&recipient))),
            }
            out.line(format_args!("Action: failed"));
            out.line(format_args!("Status: {}", failure.status()));
            let reply = alloc::format!("{}", failure.said.reply);
            let reply = field(&reply, utf8);
            // Only a peer's words are an SMTP reply (RFC 3464 §2.3.6).
            if let Some(host) = failure.said.by.as_deref() {
                out.line(format_args!("Remote-MTA: dns; {}", field(host, false)));
                out.line(format_args!("Diagnostic-Code: smtp; {reply}"));
            } else {
                out.line(format_args!("Diagnostic-Code: x-pillarbox; {reply}"));
            }
            out.line(format_args!("Last-Attempt-Date: {}", now.rfc5322()));
        }
    }
}

impl FailedRecipient<'_> {
    /// The enhanced status code of the failure. A peer that says 550 with a code of another class is believed about the
    /// rest of it.
    fn status(&self) -> EnhancedStatus {
        match (self.why, self.said.reply.status()) {
            (Failure::Expired, _) => EnhancedStatus(4, 4, 7),
            (Failure::Refused, Some(EnhancedStatus(_, subject, detail))) => EnhancedStatus(5, subject, detail),
            (Failure::Refused, None) => EnhancedStatus(5, 0, 0),
        }
    }
}

/// The header section out of the beginning of a message: whole fields only, lines ended by CRLF, without the empty line.
/// What is no field (and everything behind it) is left out.
pub(super) fn header_section(head: &[u8]) -> Bytes {
    let (mut end, mut line) = (0, 0);
    while let Some(length) = memchr::memchr(b'\n', &head[line..]) {
        let next = line + length + 1;
        let text = &head[line..next];
        if text == b"\r\n" {
            return Bytes::copy_from_slice(&head[..line]);
        }
        let folded = text.starts_with(b" ") || text.starts_with(b"\t");
        let named = text
            .iter()
            .position(|byte| *byte == b':')
            .is_some_and(|colon| colon > 0 && text[..colon].iter().all(|byte| (0x21..=0x7e).contains(byte)));
        // A line of another form ends the header, whatever its writer may have thought.
        if !text.ends_with(b"\r\n") || !(named || (folded && line > 0)) {
            return Bytes::copy_from_slice(&head[..line]);
        }
        if named && !folded {
            end = line;
        }
        line = next;
    }
    // The section goes on behind what was read: its last field may, too.
    Bytes::copy_from_slice(&head[..end])
}

/// The original's Message-ID, if it is one that can be repeated in our header.
fn message_id(header: &[u8]) -> Option<&str> {
    let text = header.split(|byte| *byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked(11)?;
        name.eq_ignore_ascii_case(b"message-id:").then(|| value.trim_ascii())
    })?;
    let inside = text.strip_prefix(b"<")?.strip_suffix(b">")?;
    let plain = inside.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>'));
    (plain && (1..=900).contains(&inside.len())).then_some(core::str::from_utf8(text).ok()?)
}

/// Text without characters that may not be shown, as one line that is not too long even when it is indented.
fn printable(text: &str) -> Cow<'_, str> {
    let short = text.len() <= LINE - 100;
    if short {
        return plain(text);
    }
    let mut end = text.len().min(LINE - 100);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    plain(&text[..end])
}

/// The same, in ASCII if it must be.
fn field(text: &str, utf8: bool) -> Cow<'_, str> {
    let text = printable(text);
    if utf8 || text.is_ascii() {
        return text;
    }
    text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect::<String>().into()
}

/// An address in the 7-bit form of RFC 6533 §3, `utf-8-addr-xtext`.
fn xtext(address: &str) -> String {
    let mut out = String::new();
    for c in address.chars() {
        let plain = c.is_ascii_graphic() && !matches!(c, '\\' | '+' | '=');
        if plain {
            out.push(c);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\x{{{:02X}}}", u32::from(c));
        }
    }
    out
}

/// A message in the making: every line of it passes here.
struct Writer(String);

impl Writer {
    fn line(&mut self, line: core::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.0.write_fmt(line);
        self.0.push_str("\r\n");
    }

    /// A part with its own header: as it is where that is possible, else quoted-printable. `content` ends with CRLF, or
    /// is empty.
    fn part(&mut self, kind: &str, content: &[u8], utf8: bool) {
        self.line(format_args!("Content-Type: {kind}"));
        let text = core::str::from_utf8(content).ok();
        match text.filter(|text| (utf8 || text.is_ascii()) && is_clean(text)) {
            Some(text) => {
                let encoding = if text.is_ascii() { "7bit" } else { "8bit" };
                self.line(format_args!("Content-Transfer-Encoding: {encoding}\r\n"));
                self.0.push_str(text);
            }
            None => {
                self.line(format_args!("Content-Transfer-Encoding: quoted-printable\r\n"));
                self.quoted_printable(content);
            }
        }
    }

    /// RFC 2045 §6.7.
    fn quoted_printable(&mut self, content: &[u8]) {
        for line in content.split_inclusive(|byte| *byte == b'\n') {
            let (line, ended) = match line.strip_suffix(b"\r\n") {
                Some(line) => (line, true),
                None => (line, false),
            };
            let mut column = 0;
            for (index, byte) in line.iter().enumerate() {
                let last = index + 1 == line.len();
                let plain = matches!(byte, b'!'..=b'<' | b'>'..=b'~') || (matches!(byte, b' ' | b'\t') && !last);
                if column + if plain { 1 } else { 3 } > 75 {
                    self.0.push_str("=\r\n");
                    column = 0;
                }
                if plain {
                    self.0.push(char::from(*byte));
                    column += 1;
                } else {
                    let _ = write!(self.0, "={byte:02X}");
                    column += 3;
                }
            }
            if ended {
                self.0.push_str("\r\n");
            }
        }
    }
}

/// Whether text can travel without an encoding: no NUL, no bare CR or LF, no line that is too long.
fn is_clean(text: &str) -> bool {
    text.split("\r\n").all(|line| line.len() <= LINE && !line.contains(['\0', '\r', '\n']))
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::seed::Seed;
    use crate::smtp::Reply;

    const HEADER: &[u8] = b"Received: from a\r\n\tby b\r\nMessage-ID: <1@amber.example>\r\nSubject: Hi\r\n\r\nBody";

    fn write(to: &str, recipients: &[&str], header: &[u8], said: &Said) -> String {
        let to = Address::parse(to).unwrap();
        let recipients: Vec<_> = recipients.iter().map(|text| Address::parse(text).unwrap()).collect();
        let failures: Vec<_> =
            recipients.iter().map(|recipient| FailedRecipient { recipient, why: Failure::Refused, said }).collect();
        let header = header_section(header);
        let report = Report {
            hostname: "mx.amber.example",
            reverse_path: &to,
            arrived: Wall(0),
            header: &header,
            failures: &failures,
        };
        let bytes = report.write(Wall(60_000), &mut Random::new(&Seed::number(1)));
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    fn said(text: &str) -> Said {
        Said::by(Reply::new(550, Some(EnhancedStatus(5, 1, 1)), String::from(text)), "mx.birch.example")
    }

    #[test]
    fn a_bounce_is_a_report_of_three_parts() {
        let text = write("alice@amber.example", &["nobody@birch.example"], HEADER, &said("No such user"));
        let boundary = text.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap();
        let expected = alloc::format!(
            "Date: Thu, 1 Jan 1970 00:01:00 +0000\r\n\
             From: Mail Delivery System <MAILER-DAEMON@mx.amber.example>\r\n\
             To: <alice@amber.example>\r\n\
             Subject: Your message could not be delivered\r\n\
             Message-ID: <*@mx.amber.example>\r\n\
             In-Reply-To: <1@amber.example>\r\n\
             References: <1@amber.example>\r\n\
             Auto-Submitted: auto-replied\r\n\
             MIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=delivery-status;\r\n\
             \tboundary=\"{boundary}\"\r\n\
             \r\n\
             This is a report in MIME format (RFC 6522).\r\n\
             \r\n--{boundary}\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: 7bit\r\n\
             \r\n\
             This is the mail system at mx.amber.example.\r\n\
             \r\n\
             Your message of Thu, 1 Jan 1970 00:00:00 +0000\r\n\
             could not be delivered to this recipient:\r\n\
             \r\n\
             <nobody@birch.example>\r\n    mx.birch.example said:\r\n    550 5.1.1 No such user\r\n\
             \r\n\
             It will not be tried again. The header of your message is below.\r\n\
             \r\n--{boundary}\r\n\
             Content-Type: message/delivery-status\r\n\
             Content-Transfer-Encoding: 7bit\r\n\
             \r\n\
             Reporting-MTA: dns; mx.amber.example\r\n\
             Arrival-Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n\
             \r\n\
             Final-Recipient: rfc822; nobody@birch.example\r\n\
             Action: failed\r\n\
             Status: 5.1.1\r\n\
             Remote-MTA: dns; mx.birch.example\r\n\
             Diagnostic-Code: smtp; 550 5.1.1 No such user\r\n\
             Last-Attempt-Date: Thu, 1 Jan 1970 00:01:00 +0000\r\n\
             \r\n--{boundary}\r\n\
             Content-Type: text/rfc822-headers\r\n\
             Content-Transfer-Encoding: 7bit\r\n\
             \r\n\
             Received: from a\r\n\tby b\r\nMessage-ID: <1@amber.example>\r\nSubject: Hi\r\n\
             \r\n--{boundary}--\r\n"
        );
        let (before, after) = expected.split_once('*').unwrap();
        assert!(text.starts_with(before) && text.ends_with(after), "{text}\n---\n{expected}");
    }

    #[test]
    fn a_report_is_ascii_unless_its_reader_needs_more() {
        let header = "Subject: \u{fc}ber\r\nX: \u{fc}\r\n\r\n".as_bytes();
        let text = write("alice@amber.example", &["b\u{fc}+b@birch.example"], header, &said("na \u{fc}b"));
        assert!(text.is_ascii(), "{text}");
        assert!(text.contains("Final-Recipient: utf-8; b\\x{FC}\\x{2B}b@birch.example\r\n"));
        assert!(text.contains("Diagnostic-Code: smtp; 550 5.1.1 na ?b\r\n"));
        assert!(text.contains("<b=C3=BC+b@birch.example>\r\n"));
        assert!(text.contains(
            "message/global-headers\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nSubject: =C3=BCber\r\n"
        ));

        let text = write("\u{e4}lice@amber.example", &["b\u{fc}b@birch.example"], header, &said("na \u{fc}b"));
        assert!(text.contains("message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n"));
        assert!(text.contains("Final-Recipient: utf-8; b\u{fc}b@birch.example\r\n"));
        assert!(text.contains("Diagnostic-Code: smtp; 550 5.1.1 na \u{fc}b\r\n"));
        assert!(text.contains("Content-Transfer-Encoding: 8bit\r\n\r\nSubject: \u{fc}ber\r\n"));
    }

    #[test]
    fn octets_of_no_charset_are_quoted() {
        let text = write("alice@amber.example", &["bob@birch.example"], b"Subject: \xfcber \r\n\r\n", &said("no"));
        assert!(text.contains(
            "text/rfc822-headers\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nSubject: =FCber=20\r\n"
        ));
    }

    #[test]
    fn our_own_words_are_no_smtp_reply() {
        let ours = Said::ours(Reply::new(550, None, "The domain takes no mail"));
        let text = write("alice@amber.example", &["bob@birch.example"], b"", &ours);
        assert!(text.contains("Diagnostic-Code: x-pillarbox; 550 The domain takes no mail\r\n"), "{text}");
        assert!(text.contains("Status: 5.0.0\r\n") && !text.contains("Remote-MTA"));
    }

    #[test]
    fn only_whole_fields_are_returned() {
        for (head, section) in [
            (&b"A: 1\r\nB: 2\r\n\r\nbody"[..], &b"A: 1\r\nB: 2\r\n"[..]),
            (b"A: 1\r\nB: 2\r\n\tmore\r\n", b"A: 1\r\n"),
            (b"A: 1\r\n\tmore\r\nB: 2\r\n\tmo", b"A: 1\r\n\tmore\r\n"),
            (b"A: 1", b""),
            (b"A: 1\r\nnot a field\r\nB: 2\r\n\r\n", b"A: 1\r\n"),
            (b"A: 1\nB: 2\r\n\r\n", b""),
            (b" folded: nothing\r\nA: 1\r\n\r\n", b""),
            (b"\r\nA: 1\r\n", b""),
            (b"", b""),
        ] {
            assert_eq!(&header_section(head)[..], section, "{:?}", core::str::from_utf8(head));
        }
    }

    #[test]
    fn a_message_id_that_would_break_our_header_is_left_out() {
        assert_eq!(message_id(b"A: 1\r\nmessage-ID:  <a@b> \r\n"), Some("<a@b>"));
        for bad in [
            &b"Message-ID: a@b\r\n"[..],
            b"Message-ID: <a b>\r\n",
            b"Message-ID:\r\n <a@b>\r\n",
            b"Message-ID: <\xfc>\r\n",
        ] {
            assert_eq!(message_id(bad), None);
        }
    }
}
