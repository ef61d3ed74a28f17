//! Mailbox addresses (RFC 5321 §4.1.2, RFC 6531 §3.3): parsed once, and from then on right.

use alloc::string::String;
use core::fmt::{self, Write as _};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use crate::show::is_plain;

/// Octets of a local part at most (RFC 5321 §4.5.3.1.1), without quotes.
pub const MAX_LOCAL: usize = 64;
/// Octets of a domain at most (§4.5.3.1.2).
pub const MAX_DOMAIN: usize = 255;
/// Octets of a whole address at most: a path of 256 (§4.5.3.1.3) without its angle brackets.
pub const MAX_ADDRESS: usize = 254;
/// Octets of a label of a domain at most (RFC 1035 §2.3.4).
const MAX_LABEL: usize = 63;

/// A mailbox: local part, and domain or address literal.
///
/// The local part is kept without quotes, so `"a.b"@x` and `a.b@x` are equal; it is shown with quotes where the
/// grammar wants them. The domain is kept in lower case. Neither ever holds a control character.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    local: String,
    domain: Domain,
}

/// What stands behind the `@`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Domain {
    /// A domain name in lower case, without a trailing dot; with U-labels if it was written so.
    Name(String),
    /// An address literal, `[192.0.2.1]` or `[IPv6:2001:db8::1]`.
    Literal(IpAddr),
}

/// What MAIL and RCPT name: an address in angle brackets, or one of the two special forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Path {
    /// `<>`, the null reverse-path.
    Null,
    /// `<Postmaster>` without a domain (RFC 5321 §4.5.1), in any letter case.
    Postmaster,
    /// `<local@domain>`.
    Mailbox(Address),
}

/// The text is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// The local part is not a dot-string or a quoted string, or is missing.
    Local,
    /// The local part is longer than [`MAX_LOCAL`] octets.
    LocalTooLong,
    /// There is no `@` behind the local part.
    NoAt,
    /// The domain is not a domain name, or is missing.
    Domain,
    /// The domain is longer than [`MAX_DOMAIN`] octets, or one of its labels than 63.
    DomainTooLong,
    /// What stands in square brackets is not an IPv4 or IPv6 address.
    Literal,
    /// The whole is longer than [`MAX_ADDRESS`] octets.
    TooLong,
    /// A path without its angle brackets, or with a malformed source route.
    Path,
    /// Something stands behind the address.
    Trailing,
}

impl Address {
    /// The address `local@domain`. `local` is taken as it is, without quotes; `domain` is a name or an address literal.
    ///
    /// # Errors
    /// [`AddressError`] when a part is malformed or too long.
    pub fn new(local: impl Into<String>, domain: &str) -> Result<Self, AddressError> {
        Self::from_parts(local.into(), domain.parse()?)
    }

    /// The address of `local`, taken as it is, at `domain`.
    ///
    /// # Errors
    /// [`AddressError`] when the local part is malformed, or a part or the whole is too long.
    pub fn from_parts(local: String, domain: Domain) -> Result<Self, AddressError> {
        if !local.chars().all(|c| c == ' ' || is_printable(c)) {
            return Err(AddressError::Local);
        }
        let address = Self { local, domain };
        if address.local.len() > MAX_LOCAL {
            return Err(AddressError::LocalTooLong);
        }
        let mut length = Length(0);
        // Writing to a counter cannot fail.
        let _ = write!(length, "{address}");
        if length.0 > MAX_ADDRESS { Err(AddressError::TooLong) } else { Ok(address) }
    }

    /// Reads `local@domain`, with the local part as the grammar writes it. The same as [`str::parse`].
    ///
    /// # Errors
    /// [`AddressError`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (address, rest) = mailbox(text)?;
        if rest.is_empty() { Ok(address) } else { Err(AddressError::Trailing) }
    }

    /// The local part without quotes. Letter case is as written: comparing is the mailbox owner's affair.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.local
    }

    /// What stands behind the `@`.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Whether it can travel without SMTPUTF8.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.local.is_ascii() && self.domain.is_ascii()
    }

    /// `postmaster` at our own name, which whoever configured it answers for.
    pub(crate) fn postmaster(hostname: &str) -> Self {
        let domain = hostname.parse().unwrap_or_else(|_| Domain::Name(hostname.to_lowercase()));
        Self { local: "postmaster".into(), domain }
    }
}

impl Domain {
    /// The name; `None` for an address literal.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Literal(_) => None,
        }
    }

    /// Whether it is written without U-labels.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.name().is_none_or(str::is_ascii)
    }
}

impl Path {
    /// Reads a path at the front of `text`, and returns what stands behind it. A source route (`<@a,@b:c@d>`) is
    /// checked and dropped, as RFC 5321 §3.6.1 wants.
    ///
    /// # Errors
    /// [`AddressError`] says what is wrong.
    pub fn parse(text: &str) -> Result<(Self, &str), AddressError> {
        const POSTMASTER: &str = "postmaster>";
        let text = text.strip_prefix('<').ok_or(AddressError::Path)?;
        if let Some(rest) = text.strip_prefix('>') {
            return Ok((Self::Null, rest));
        }
        if text.get(..POSTMASTER.len()).is_some_and(|start| start.eq_ignore_ascii_case(POSTMASTER)) {
            return Ok((Self::Postmaster, &text[POSTMASTER.len()..]));
        }
        let (address, rest) = mailbox(source_route(text)?)?;
        let rest = rest.strip_prefix('>').ok_or(AddressError::Path)?;
        Ok((Self::Mailbox(address), rest))
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

/// A domain name, or an address literal in square brackets. One trailing dot is dropped.
impl FromStr for Domain {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(literal) = text.strip_prefix('[') {
            return literal.strip_suffix(']').ok_or(AddressError::Literal).and_then(address_literal);
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        // Before the lengths are looked at: lower case can be longer.
        let name = if name.is_ascii() { name.to_ascii_lowercase() } else { name.to_lowercase() };
        if name.len() > MAX_DOMAIN {
            return Err(AddressError::DomainTooLong);
        }
        for label in name.split('.') {
            if label.is_empty() || label.starts_with('-') || label.ends_with('-') || !label.chars().all(is_domain_char)
            {
                return Err(AddressError::Domain);
            }
            if label.len() > MAX_LABEL {
                return Err(AddressError::DomainTooLong);
            }
        }
        Ok(Self::Name(name))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.local) {
            return write!(f, "{}@{}", self.local, self.domain);
        }
        f.write_char('"')?;
        for c in self.local.chars() {
            if matches!(c, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(c)?;
        }
        write!(f, "\"@{}", self.domain)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Literal(IpAddr::V4(ip)) => write!(f, "[{ip}]"),
            Self::Literal(IpAddr::V6(ip)) => write!(f, "[IPv6:{ip}]"),
        }
    }
}

/// As it travels: in angle brackets.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<>"),
            Self::Postmaster => f.write_str("<postmaster>"),
            Self::Mailbox(address) => write!(f, "<{address}>"),
        }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "malformed local part",
            Self::LocalTooLong => "local part longer than 64 octets",
            Self::NoAt => "no @ behind the local part",
            Self::Domain => "malformed domain",
            Self::DomainTooLong => "domain longer than 255 octets, or label longer than 63",
            Self::Literal => "malformed address literal",
            Self::TooLong => "address longer than 254 octets",
            Self::Path => "path not in angle brackets",
            Self::Trailing => "something behind the address",
        })
    }
}

impl core::error::Error for AddressError {}

/// `Mailbox` of RFC 5321 §4.1.2 at the front of `text`, and what stands behind it.
fn mailbox(text: &str) -> Result<(Address, &str), AddressError> {
    let (local, rest) = local_part(text)?;
    let rest = rest.strip_prefix('@').ok_or(AddressError::NoAt)?;
    let end = if rest.starts_with('[') {
        rest.find(']').map(|at| at + 1).ok_or(AddressError::Literal)?
    } else {
        rest.find(|c| !(c == '.' || is_domain_char(c))).unwrap_or(rest.len())
    };
    let (domain, rest) = rest.split_at(end);
    Ok((Address::from_parts(local, domain.parse()?)?, rest))
}

/// `Local-part`: a dot-string or a quoted string, without its quotes, and what stands behind it.
fn local_part(text: &str) -> Result<(String, &str), AddressError> {
    if let Some(quoted) = text.strip_prefix('"') {
        return quoted_string(quoted);
    }
    let end = text.find(|c| !(c == '.' || is_atext(c))).unwrap_or(text.len());
    let (local, rest) = text.split_at(end);
    if local.len() > MAX_LOCAL {
        return Err(AddressError::LocalTooLong);
    }
    if is_dot_string(local) { Ok((local.into(), rest)) } else { Err(AddressError::Local) }
}

/// What stands between the quotes of `Quoted-string`; the first one is gone already.
fn quoted_string(text: &str) -> Result<(String, &str), AddressError> {
    let mut local = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '"' => return Ok((local, chars.as_str())),
            '\\' => chars.next().filter(char::is_ascii).ok_or(AddressError::Local)?,
            c => c,
        };
        if c != ' ' && !is_printable(c) {
            return Err(AddressError::Local);
        }
        if local.len() == MAX_LOCAL {
            return Err(AddressError::LocalTooLong);
        }
        local.push(c);
    }
    Err(AddressError::Local)
}

/// Drops the `A-d-l` of a path: `@one,@two:`.
fn source_route(text: &str) -> Result<&str, AddressError> {
    if !text.starts_with('@') {
        return Ok(text);
    }
    let (route, rest) = text.split_once(':').ok_or(AddressError::Path)?;
    for hop in route.split(',') {
        let host = hop.strip_prefix('@').ok_or(AddressError::Path)?;
        host.parse::<Domain>()?;
    }
    Ok(rest)
}

/// What stands in the square brackets of an address literal.
fn address_literal(text: &str) -> Result<Domain, AddressError> {
    let tagged = text.get(..5).is_some_and(|tag| tag.eq_ignore_ascii_case("IPv6:"));
    let ip =
        if tagged { text[5..].parse::<Ipv6Addr>().map(IpAddr::V6) } else { text.parse::<Ipv4Addr>().map(IpAddr::V4) };
    ip.map(Domain::Literal).map_err(|_| AddressError::Literal)
}

fn is_dot_string(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

fn is_atext(c: char) -> bool {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' => true,
        '!' | '#' | '$' | '%' | '&' | '\'' | '*' | '+' | '-' | '/' | '=' | '?' | '^' | '_' | '`' | '{' | '|' | '}'
        | '~' => true,
        _ => !c.is_ascii() && is_printable(c),
    }
}

/// Letters, digits and the hyphen; the underscore, since names with it are in use; and U-labels, in which the
/// characters that IDNA would read as a dot have no place.
fn is_domain_char(c: char) -> bool {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' => true,
        '\u{3002}' | '\u{ff0e}' | '\u{ff61}' => false,
        _ => !c.is_ascii() && is_printable(c),
    }
}

/// Not a space of any kind, nor a control character, nor one that changes how a line is read: a bidirectional override
/// or an invisible mark would make an address look like another one.
fn is_printable(c: char) -> bool {
    is_plain(c) && !c.is_whitespace()
}

/// Counts what is written to it.
struct Length(usize);

impl fmt::Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn addresses_are_shown_as_the_grammar_wants_them() {
        let cases = [
            ("alice@example.org", "alice@example.org"),
            ("Alice@Example.ORG", "Alice@example.org"),
            ("alice@example.org.", "alice@example.org"),
            ("a.b+c=d@x", "a.b+c=d@x"),
            (r#""a.b"@x"#, "a.b@x"),
            (r#""a b"@x"#, r#""a b"@x"#),
            (r#""a\"b\\c\@d"@x"#, r#""a\"b\\c@d"@x"#),
            (r#"""@x"#, r#"""@x"#),
            (r#""..>"@x"#, r#""..>"@x"#),
            ("root@[192.0.2.1]", "root@[192.0.2.1]"),
            ("root@[ipv6:2001:DB8:0::1]", "root@[IPv6:2001:db8::1]"),
            ("jürgen@BÜCHER.example", "jürgen@bücher.example"),
            ("用户@例子.广告", "用户@例子.广告"),
            ("a@b_c.example", "a@b_c.example"),
            ("user%host@relay.example", "user%host@relay.example"),
        ];
        for (text, shown) in cases {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(shown.parse(), Ok(address.clone()));
            assert_eq!(Address::new(address.local(), &address.domain().to_string()), Ok(address));
        }
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        use AddressError::{Domain as BadDomain, DomainTooLong, Literal, Local, LocalTooLong, NoAt, TooLong, Trailing};
        let long = |n| "x".repeat(n);
        let cases = [
            ("".into(), Local),
            ("alice".into(), NoAt),
            ("@x".into(), Local),
            ("a..b@x".into(), Local),
            (".a@x".into(), Local),
            ("a b@x".into(), NoAt),
            ("\"a@x".into(), Local),
            ("\"a\0\"@x".into(), Local),
            ("\"a\\\r\"@x".into(), Local),
            ("\"a\nb\"@x".into(), Local),
            ("\"a\\ü\"@x".into(), Local),
            ("\"a\"b@x".into(), NoAt),
            ("a\u{202e}b@x".into(), NoAt),
            ("a@".into(), BadDomain),
            ("a@-x".into(), BadDomain),
            ("a@x-.y".into(), BadDomain),
            ("a@x..y".into(), BadDomain),
            ("a@.".into(), BadDomain),
            ("a@x..".into(), BadDomain),
            ("a@x\u{3002}y".into(), Trailing),
            ("a@x\r\n".into(), Trailing),
            ("a@x@y".into(), Trailing),
            ("a@[192.0.2.256]".into(), Literal),
            ("a@[192.0.2.1".into(), Literal),
            ("a@[2001:db8::1]".into(), Literal),
            ("a@[IPv6:192.0.2.1]".into(), Literal),
            ("a@[tag:thing]".into(), Literal),
            (format!("{}@x", long(65)), LocalTooLong),
            (format!("\"{}\"@x", long(65)), LocalTooLong),
            (format!("a@{}", long(64)), DomainTooLong),
            (format!("a@{}x", "x.".repeat(128)), DomainTooLong),
            (format!("{}@{}xy", long(64), "x.".repeat(94)), TooLong),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Address>(), Err(error), "{text:?}");
        }
        let longest = format!("{}@{}x", long(64), "x.".repeat(94));
        assert_eq!((longest.len(), longest.parse::<Address>().is_ok()), (254, true));
    }

    #[test]
    fn code_may_not_make_a_bad_one_either() {
        assert_eq!(Address::new("a\r\nRCPT TO:<b", "x"), Err(AddressError::Local));
        assert_eq!(Address::new("a", "x>\r\n"), Err(AddressError::Domain));
        assert_eq!(Address::new("a b", "x").unwrap().to_string(), "\"a b\"@x");
    }

    #[test]
    fn paths() {
        let alice = || Path::Mailbox("alice@example.org".parse().unwrap());
        let cases = [
            ("<>", Ok((Path::Null, ""))),
            ("<> SIZE=1", Ok((Path::Null, " SIZE=1"))),
            ("<PostMaster>", Ok((Path::Postmaster, ""))),
            ("<alice@example.org> BODY=7BIT", Ok((alice(), " BODY=7BIT"))),
            ("<@one.example,@two.example:alice@example.org>", Ok((alice(), ""))),
            ("<@one.example:<alice@example.org>>", Err(AddressError::Local)),
            ("<@:alice@example.org>", Err(AddressError::Domain)),
            ("<@one.example,two.example:alice@example.org>", Err(AddressError::Path)),
            ("<@one.example>", Err(AddressError::Path)),
            ("alice@example.org", Err(AddressError::Path)),
            ("<alice@example.org", Err(AddressError::Path)),
            ("<alice@example.org >", Err(AddressError::Path)),
            ("", Err(AddressError::Path)),
        ];
        for (text, expected) in cases {
            assert_eq!(Path::parse(text), expected, "{text:?}");
        }
    }
}
