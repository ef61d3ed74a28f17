//! The grammar of commands (RFC 5321 §4.1.1) and of their parameters: one line in, one command out.
//!
//! What is harmless is tolerated: any letter case, spaces at the end of a line, a space behind `FROM:` and `TO:`. What
//! could be read in two ways is refused.

use core::net::IpAddr;
use core::ops::Range;

use super::address::{AddressError, Path};
use crate::sasl::Mechanism;

/// A command as a server reads it. It borrows from its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// `EHLO` with the client's name.
    Ehlo(&'a str),
    /// `HELO` with the client's name.
    Helo(&'a str),
    /// `MAIL FROM:`. Bare `<postmaster>` is not possible here.
    Mail {
        /// The reverse-path.
        path: Path,
        /// The parameters behind it.
        parameters: MailParameters,
    },
    /// `RCPT TO:`. The null path is not possible here.
    Rcpt {
        /// The forward-path.
        path: Path,
    },
    /// `DATA`.
    Data,
    /// `BDAT` (RFC 3030): so many octets follow the line.
    Bdat {
        /// Octets of the chunk.
        size: u64,
        /// It is the last one of the message.
        last: bool,
    },
    /// `RSET`.
    Rset,
    /// `NOOP`; its argument means nothing.
    Noop,
    /// `VRFY`.
    Vrfy,
    /// `HELP`; its argument is not looked at.
    Help,
    /// `QUIT`.
    Quit,
    /// `STARTTLS` (RFC 3207).
    StartTls,
    /// `AUTH` (RFC 4954).
    Auth {
        /// The name of the mechanism as it was written.
        mechanism: &'a [u8],
        /// The initial response as it was written.
        initial: Option<&'a [u8]>,
    },
}

/// What MAIL may carry behind its path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// `SIZE=` (RFC 1870): octets that the client expects to send; a number too large for 64 bits is the largest one.
    pub size: Option<u64>,
    /// `BODY=` (RFC 6152): true for 8BITMIME, false for 7BIT.
    pub eight_bit: bool,
    /// `SMTPUTF8` (RFC 6531).
    pub smtputf8: bool,
}

/// Why a line is not a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// No command of that name is known.
    Unknown,
    /// A command of SMTP that is not implemented, such as EXPN.
    NotImplemented,
    /// A command of another protocol, HTTP: whoever sends it does not know where he is.
    WrongProtocol,
    /// The line is not UTF-8.
    NotUtf8,
    /// The command takes no argument, lacks one, or has a malformed one. The text says how it is written.
    Syntax(&'static str),
    /// The name behind EHLO or HELO is neither a domain nor an address literal.
    Name,
    /// MAIL's path is malformed.
    ReversePath(AddressError),
    /// RCPT's path is malformed.
    ForwardPath(AddressError),
    /// A parameter of MAIL or RCPT is malformed or stands there twice.
    Parameter(&'static str),
    /// A parameter of MAIL or RCPT that was not offered.
    UnknownParameter,
    /// `BDAT` with a malformed size: where its octets end cannot be known.
    ChunkSize,
}

impl<'a> Command<'a> {
    /// Reads one line, without its CRLF.
    ///
    /// # Errors
    /// [`CommandError`] says what is wrong with it.
    pub fn parse(line: &'a [u8]) -> Result<Self, CommandError> {
        let (verb, argument) = split_verb(line.trim_ascii_end());
        let mut upper = [0; 8];
        let Some(upper) = upper.get_mut(..verb.len()) else {
            return Err(unknown(verb, line));
        };
        upper.copy_from_slice(verb);
        upper.make_ascii_uppercase();
        match &*upper {
            b"EHLO" => client_name(argument, "EHLO domain").map(Self::Ehlo),
            b"HELO" => client_name(argument, "HELO domain").map(Self::Helo),
            b"MAIL" => mail(argument),
            b"RCPT" => rcpt(argument),
            b"DATA" => alone(argument, Self::Data, "DATA"),
            b"BDAT" => bdat(argument),
            b"RSET" => alone(argument, Self::Rset, "RSET"),
            b"NOOP" => Ok(Self::Noop),
            b"VRFY" if argument.is_empty() => Err(CommandError::Syntax("VRFY string")),
            b"VRFY" => Ok(Self::Vrfy),
            b"HELP" => Ok(Self::Help),
            b"QUIT" => alone(argument, Self::Quit, "QUIT"),
            b"STARTTLS" => alone(argument, Self::StartTls, "STARTTLS"),
            b"AUTH" => auth(argument),
            b"EXPN" | b"TURN" | b"ETRN" | b"ATRN" | b"SEND" | b"SOML" | b"SAML" => Err(CommandError::NotImplemented),
            _ => Err(unknown(verb, line)),
        }
    }

    /// Whether a line, or as much of it as is there, begins with the letters of AUTH.
    #[must_use]
    pub fn is_auth(line: &[u8]) -> bool {
        line.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH"))
    }

    /// The part of a line that nobody may see, if it begins like AUTH: its initial response, and all of its argument
    /// when that does not begin with a mechanism.
    #[must_use]
    pub fn secret(line: &[u8]) -> Option<Range<usize>> {
        let (verb, argument) = split_verb(line);
        if !verb.eq_ignore_ascii_case(b"AUTH") {
            return None;
        }
        let (mechanism, initial) = split_verb(argument);
        let secret = if Mechanism::named(mechanism).is_some() { initial } else { argument };
        (!secret.is_empty()).then(|| line.len() - secret.len()..line.len())
    }
}

/// What stands before the first space, and what stands behind it.
fn split_verb(line: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr2(b' ', b'\t', line) {
        Some(at) => (&line[..at], line[at..].trim_ascii_start()),
        None => (line, b""),
    }
}

/// Nobody who means SMTP says this; a browser that was made to post a form to our port does (RFC 3207 has no word for
/// it, but the attack is old).
fn unknown(verb: &[u8], line: &[u8]) -> CommandError {
    const METHODS: [&[u8]; 9] = [b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"CONNECT", b"DELETE", b"PATCH", b"PRI"];
    let http = METHODS.contains(&verb) || memchr::memmem::find(line, b" HTTP/").is_some();
    if http || verb.eq_ignore_ascii_case(b"Host:") { CommandError::WrongProtocol } else { CommandError::Unknown }
}

fn alone<'a>(argument: &[u8], command: Command<'a>, syntax: &'static str) -> Result<Command<'a>, CommandError> {
    if argument.is_empty() { Ok(command) } else { Err(CommandError::Syntax(syntax)) }
}

fn text(bytes: &[u8]) -> Result<&str, CommandError> {
    core::str::from_utf8(bytes).map_err(|_| CommandError::NotUtf8)
}

fn client_name<'a>(argument: &'a [u8], syntax: &'static str) -> Result<&'a str, CommandError> {
    if argument.is_empty() {
        return Err(CommandError::Syntax(syntax));
    }
    let name = text(argument)?;
    if is_client_name(name) { Ok(name) } else { Err(CommandError::Name) }
}

/// A domain of ASCII letters (a client cannot know yet that we speak SMTPUTF8), or an address literal. Checked in place:
/// the names that clients have are often not in the DNS, and never refused for that (RFC 5321 §4.1.4).
fn is_client_name(name: &str) -> bool {
    if let Some(literal) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        let tagged = literal.get(..5).is_some_and(|tag| tag.eq_ignore_ascii_case("IPv6:"));
        return literal[if tagged { 5 } else { 0 }..].parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6() == tagged);
    }
    let labels = name.strip_suffix('.').unwrap_or(name).split('.');
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'))
    };
    name.len() <= super::MAX_DOMAIN && { labels }.all(is_label)
}

fn mail(argument: &[u8]) -> Result<Command<'static>, CommandError> {
    let argument = behind(argument, b"FROM:").ok_or(CommandError::Syntax("MAIL FROM:<address>"))?;
    let (path, rest) = Path::parse(text(argument)?).map_err(CommandError::ReversePath)?;
    if path == Path::Postmaster {
        return Err(CommandError::ReversePath(AddressError::NoAt));
    }
    let mut parameters = MailParameters::default();
    let mut seen = 0_u8;
    for (keyword, value) in Parameters::behind(rest, CommandError::ReversePath(AddressError::Trailing))? {
        let bit = if keyword.eq_ignore_ascii_case("SIZE") {
            parameters.size = Some(value.and_then(octets).ok_or(CommandError::Parameter("SIZE=octets"))?);
            1
        } else if keyword.eq_ignore_ascii_case("BODY") {
            parameters.eight_bit = body(value)?;
            2
        } else if keyword.eq_ignore_ascii_case("SMTPUTF8") {
            parameters.smtputf8 = true;
            if value.is_some() {
                return Err(CommandError::Parameter("SMTPUTF8 takes no value"));
            }
            4
        } else if keyword.eq_ignore_ascii_case("AUTH") {
            // Whom the client says the message comes from (RFC 4954 §5): we trust nobody's word for it.
            value.filter(|value| is_value(value)).ok_or(CommandError::Parameter("AUTH=mailbox"))?;
            8
        } else {
            return Err(CommandError::UnknownParameter);
        };
        if seen & bit != 0 {
            return Err(CommandError::Parameter("a parameter stands there twice"));
        }
        seen |= bit;
    }
    Ok(Command::Mail { path, parameters })
}

fn body(value: Option<&str>) -> Result<bool, CommandError> {
    match value {
        Some(value) if value.eq_ignore_ascii_case("8BITMIME") => Ok(true),
        Some(value) if value.eq_ignore_ascii_case("7BIT") => Ok(false),
        // RFC 3030 §3; we do not offer it.
        Some(value) if value.eq_ignore_ascii_case("BINARYMIME") => Err(CommandError::UnknownParameter),
        _ => Err(CommandError::Parameter("BODY=7BIT or BODY=8BITMIME")),
    }
}

fn rcpt(argument: &[u8]) -> Result<Command<'static>, CommandError> {
    let argument = behind(argument, b"TO:").ok_or(CommandError::Syntax("RCPT TO:<address>"))?;
    let (path, rest) = Path::parse(text(argument)?).map_err(CommandError::ForwardPath)?;
    if path == Path::Null {
        return Err(CommandError::ForwardPath(AddressError::Local));
    }
    let mut parameters = Parameters::behind(rest, CommandError::ForwardPath(AddressError::Trailing))?;
    if parameters.next().is_some() { Err(CommandError::UnknownParameter) } else { Ok(Command::Rcpt { path }) }
}

fn bdat(argument: &[u8]) -> Result<Command<'static>, CommandError> {
    let (size, last) = split_verb(argument);
    let size = text(size).ok().and_then(|size| size.parse().ok().filter(|_| octets(size).is_some()));
    let size = size.ok_or(CommandError::ChunkSize)?;
    match last {
        b"" => Ok(Command::Bdat { size, last: false }),
        last if last.eq_ignore_ascii_case(b"LAST") => Ok(Command::Bdat { size, last: true }),
        _ => Err(CommandError::ChunkSize),
    }
}

fn auth(argument: &[u8]) -> Result<Command<'_>, CommandError> {
    const SYNTAX: CommandError = CommandError::Syntax("AUTH mechanism [initial-response]");
    let (mechanism, initial) = split_verb(argument);
    let is_name = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    if mechanism.is_empty() || mechanism.len() > 20 || !mechanism.iter().all(is_name) || initial.contains(&b' ') {
        return Err(SYNTAX);
    }
    Ok(Command::Auth { mechanism, initial: Some(initial).filter(|initial| !initial.is_empty()) })
}

/// What stands behind `FROM:` or `TO:`; spaces before it are tolerated.
fn behind<'a>(argument: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = argument.split_at_checked(word.len())?;
    start.eq_ignore_ascii_case(word).then(|| rest.trim_ascii_start())
}

/// 1 to 20 digits (RFC 1870 §4, RFC 3030 §2).
fn octets(digits: &str) -> Option<u64> {
    let good = (1..=20).contains(&digits.len()) && digits.bytes().all(|octet| octet.is_ascii_digit());
    good.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// `esmtp-value`: printable, without spaces and `=`.
fn is_value(value: &str) -> bool {
    !value.is_empty() && value.chars().all(|c| c != '=' && c != ' ' && !c.is_control())
}

/// The parameters behind a path: ` KEYWORD[=value]`, and so on.
struct Parameters<'a>(&'a str);

impl<'a> Parameters<'a> {
    fn behind(rest: &'a str, trailing: CommandError) -> Result<Self, CommandError> {
        if rest.is_empty() || rest.starts_with(' ') { Ok(Self(rest)) } else { Err(trailing) }
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a str, Option<&'a str>);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.0.trim_start_matches(' ');
        if rest.is_empty() {
            return None;
        }
        let (word, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        self.0 = rest;
        Some(word.split_once('=').map_or((word, None), |(keyword, value)| (keyword, Some(value))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command<'_>, CommandError> {
        Command::parse(line.as_bytes())
    }

    fn mail(path: &str, size: Option<u64>, eight_bit: bool, smtputf8: bool) -> Result<Command<'static>, CommandError> {
        let path = Path::parse(path).unwrap().0;
        Ok(Command::Mail { path, parameters: MailParameters { size, eight_bit, smtputf8 } })
    }

    #[test]
    fn commands() {
        let alice = || Path::parse("<alice@example.org>").unwrap().0;
        let cases = [
            ("EHLO client.example", Ok(Command::Ehlo("client.example"))),
            ("ehlo my_pc  ", Ok(Command::Ehlo("my_pc"))),
            ("HELO [192.0.2.1]", Ok(Command::Helo("[192.0.2.1]"))),
            ("EHLO [IPv6:2001:db8::1]", Ok(Command::Ehlo("[IPv6:2001:db8::1]"))),
            ("RCPT TO:<alice@example.org>", Ok(Command::Rcpt { path: alice() })),
            ("rcpt to: <alice@example.org>", Ok(Command::Rcpt { path: alice() })),
            ("DATA ", Ok(Command::Data)),
            ("BDAT 0 LAST", Ok(Command::Bdat { size: 0, last: true })),
            ("bdat 18446744073709551615", Ok(Command::Bdat { size: u64::MAX, last: false })),
            ("RSET", Ok(Command::Rset)),
            ("NOOP whatever", Ok(Command::Noop)),
            ("VRFY alice", Ok(Command::Vrfy)),
            ("HELP", Ok(Command::Help)),
            ("QUIT", Ok(Command::Quit)),
            ("STARTTLS", Ok(Command::StartTls)),
            ("AUTH PLAIN", Ok(Command::Auth { mechanism: b"PLAIN", initial: None })),
            ("AUTH plain =", Ok(Command::Auth { mechanism: b"plain", initial: Some(b"=") })),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line), expected, "{line:?}");
        }
    }

    #[test]
    fn mail_and_its_parameters() {
        let unknown = || Err(CommandError::UnknownParameter);
        let cases = [
            ("MAIL FROM:<>", mail("<>", None, false, false)),
            ("mail from: <a@x> size=42 BODY=8bitmime SMTPUTF8", mail("<a@x>", Some(42), true, true)),
            ("MAIL FROM:<a@x>  SIZE=99999999999999999999", mail("<a@x>", Some(u64::MAX), false, false)),
            ("MAIL FROM:<a@x> BODY=7BIT AUTH=<>", mail("<a@x>", None, false, false)),
            ("MAIL FROM:<a@x> BODY=BINARYMIME", unknown()),
            ("MAIL FROM:<a@x> RET=FULL", unknown()),
            ("MAIL FROM:<a@x> =", unknown()),
            ("RCPT TO:<a@x> NOTIFY=NEVER", unknown()),
            ("MAIL FROM:<a@x> SIZE=1 SIZE=1", Err(CommandError::Parameter("a parameter stands there twice"))),
            ("MAIL FROM:<a@x> SIZE=", Err(CommandError::Parameter("SIZE=octets"))),
            ("MAIL FROM:<a@x> SIZE=-1", Err(CommandError::Parameter("SIZE=octets"))),
            ("MAIL FROM:<a@x> SIZE=+1", Err(CommandError::Parameter("SIZE=octets"))),
            ("MAIL FROM:<a@x> SIZE=100000000000000000000", Err(CommandError::Parameter("SIZE=octets"))),
            ("MAIL FROM:<a@x> SMTPUTF8=1", Err(CommandError::Parameter("SMTPUTF8 takes no value"))),
            ("MAIL FROM:<a@x> AUTH=", Err(CommandError::Parameter("AUTH=mailbox"))),
            ("MAIL FROM:<a@x>SIZE=1", Err(CommandError::ReversePath(AddressError::Trailing))),
            ("MAIL FROM:a@x", Err(CommandError::ReversePath(AddressError::Path))),
            ("MAIL FROM:<postmaster>", Err(CommandError::ReversePath(AddressError::NoAt))),
            ("RCPT TO:<>", Err(CommandError::ForwardPath(AddressError::Local))),
            ("RCPT TO:<a@x>>", Err(CommandError::ForwardPath(AddressError::Trailing))),
            ("RCPT <a@x>", Err(CommandError::Syntax("RCPT TO:<address>"))),
            ("MAIL", Err(CommandError::Syntax("MAIL FROM:<address>"))),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line), expected, "{line:?}");
        }
    }

    #[test]
    fn what_is_secret_of_a_line() {
        let cases = [
            ("AUTH PLAIN AHRlc3Q=", "AHRlc3Q="),
            ("auth  login  dGVzdA== x", "dGVzdA== x"),
            ("AUTH AHRlc3Q=", "AHRlc3Q="),
            ("AUTH PLAIN", ""),
            ("AUTHOR x", ""),
        ];
        for (line, secret) in cases {
            let range = Command::secret(line.as_bytes());
            assert_eq!(range.map_or("", |range| &line[range]), secret, "{line}");
        }
    }

    #[test]
    fn what_is_no_command() {
        use CommandError::{ChunkSize, Name, NotImplemented, Syntax, Unknown, WrongProtocol};
        let cases = [
            ("", Unknown),
            (" NOOP", Unknown),
            ("FOOBAR", Unknown),
            ("NOOPNOOPNOOP", Unknown),
            ("EXPN staff", NotImplemented),
            ("GET / HTTP/1.1", WrongProtocol),
            ("POST", WrongProtocol),
            ("whatever / HTTP/1.0", WrongProtocol),
            ("host: mx.example.org", WrongProtocol),
            ("EHLO", Syntax("EHLO domain")),
            ("EHLO a b", Name),
            ("EHLO b\u{fc}cher.example", Name),
            ("EHLO a..b", Name),
            ("EHLO x)(y", Name),
            ("EHLO [1.2.3]", Name),
            ("EHLO [::1]", Name),
            ("EHLO [IPv6:192.0.2.1]", Name),
            ("DATA now", Syntax("DATA")),
            ("VRFY", Syntax("VRFY string")),
            ("BDAT", ChunkSize),
            ("BDAT x", ChunkSize),
            ("BDAT -1", ChunkSize),
            ("BDAT +1", ChunkSize),
            ("BDAT 18446744073709551616", ChunkSize),
            ("BDAT 1 FIRST", ChunkSize),
            ("AUTH", Syntax("AUTH mechanism [initial-response]")),
            ("AUTH PLAIN a b", Syntax("AUTH mechanism [initial-response]")),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line), Err(expected), "{line:?}");
        }
        assert_eq!(Command::parse(b"EHLO \xff"), Err(CommandError::NotUtf8));
    }
}
