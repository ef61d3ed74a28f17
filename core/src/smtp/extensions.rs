//! Service extensions (RFC 5321 §2.2, §4.1.1.1): the list in EHLO's reply, as a server says it and a client reads it.

use core::fmt;

use crate::sasl::Mechanism;

/// What a server offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// `PIPELINING` (RFC 2920).
    pub pipelining: bool,
    /// `SIZE` (RFC 1870).
    pub size: Size,
    /// `8BITMIME` (RFC 6152).
    pub eight_bit_mime: bool,
    /// `SMTPUTF8` (RFC 6531).
    pub smtputf8: bool,
    /// `CHUNKING` (RFC 3030): BDAT.
    pub chunking: bool,
    /// `ENHANCEDSTATUSCODES` (RFC 2034).
    pub enhanced_status_codes: bool,
    /// `STARTTLS` (RFC 3207).
    pub starttls: bool,
    /// `AUTH` (RFC 4954): the mechanisms that both ends speak.
    pub auth: Mechanisms,
    /// `HELP`.
    pub help: bool,
}

/// What is known of the largest message that a server takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Size {
    /// `SIZE` is not offered.
    #[default]
    NotOffered,
    /// Offered without a limit, or with 0, which means the same.
    NoLimit,
    /// At most so many octets.
    AtMost(u64),
}

/// A set of SASL mechanisms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mechanisms(u8);

impl Mechanisms {
    /// Those that we speak.
    #[must_use]
    pub fn all() -> Self {
        Mechanism::ALL.into_iter().collect()
    }

    /// Whether it is empty: `AUTH` is not offered, or with nothing that we know.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `mechanism` is in it.
    #[must_use]
    pub fn contains(self, mechanism: Mechanism) -> bool {
        self.0 & bit(mechanism) != 0
    }

    /// Those that are in it, the better ones first.
    pub fn iter(self) -> impl Iterator<Item = Mechanism> {
        Mechanism::ALL.into_iter().filter(move |mechanism| self.contains(*mechanism))
    }
}

impl FromIterator<Mechanism> for Mechanisms {
    fn from_iter<I: IntoIterator<Item = Mechanism>>(mechanisms: I) -> Self {
        Self(mechanisms.into_iter().fold(0, |set, mechanism| set | bit(mechanism)))
    }
}

fn bit(mechanism: Mechanism) -> u8 {
    match mechanism {
        Mechanism::Plain => 1,
        Mechanism::Login => 2,
    }
}

impl Extensions {
    /// Notes what one line of a server's EHLO reply says, without its code, its hyphen and its CRLF. The first line,
    /// which holds the server's name, is not for here. Keywords that we do not know, and parameters that are malformed,
    /// offer nothing.
    ///
    /// ```
    /// # use pillarbox_core::smtp::{Extensions, Size};
    /// # use pillarbox_core::sasl::Mechanism;
    /// let mut offered = Extensions::default();
    /// for line in ["8BITMIME", "SIZE 52428800", "AUTH CRAM-MD5 PLAIN", "X-CLOUD 9"] {
    ///     offered.note(line);
    /// }
    /// assert!(offered.eight_bit_mime && !offered.pipelining);
    /// assert_eq!(offered.size, Size::AtMost(52428800));
    /// assert!(offered.auth.contains(Mechanism::Plain));
    /// ```
    pub fn note(&mut self, line: &str) {
        let mut words = line.split_ascii_whitespace();
        let Some(keyword) = words.next() else { return };
        let is = |name: &str| keyword.eq_ignore_ascii_case(name);
        if is("PIPELINING") {
            self.pipelining = true;
        } else if is("SIZE") {
            self.size = match words.next().map(str::parse) {
                None | Some(Ok(0) | Err(_)) => Size::NoLimit,
                Some(Ok(octets)) => Size::AtMost(octets),
            };
        } else if is("8BITMIME") {
            self.eight_bit_mime = true;
        } else if is("SMTPUTF8") {
            self.smtputf8 = true;
        } else if is("CHUNKING") {
            self.chunking = true;
        } else if is("ENHANCEDSTATUSCODES") {
            self.enhanced_status_codes = true;
        } else if is("STARTTLS") {
            self.starttls = true;
        } else if is("HELP") {
            self.help = true;
        } else if is("AUTH") {
            self.note_auth(words);
        } else if keyword.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("AUTH=")) {
            // What servers said before RFC 2554, and some still say beside the real thing.
            self.note_auth(keyword[5..].split_ascii_whitespace().chain(words));
        }
    }

    fn note_auth<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        let known = names.filter_map(|name| Mechanism::named(name.as_bytes()));
        self.auth = self.auth.iter().chain(known).collect();
    }

    /// The lines of EHLO's reply behind the first one, without codes.
    pub fn lines(&self) -> impl Iterator<Item = Keyword> + use<> {
        let size = match self.size {
            Size::NotOffered => None,
            Size::NoLimit => Some(0),
            Size::AtMost(octets) => Some(octets),
        };
        let plain = |offered: bool, name| offered.then_some(Keyword::Plain(name));
        [
            plain(self.pipelining, "PIPELINING"),
            size.map(Keyword::Size),
            plain(self.eight_bit_mime, "8BITMIME"),
            plain(self.smtputf8, "SMTPUTF8"),
            plain(self.chunking, "CHUNKING"),
            plain(self.enhanced_status_codes, "ENHANCEDSTATUSCODES"),
            plain(self.starttls, "STARTTLS"),
            (!self.auth.is_empty()).then_some(Keyword::Auth(self.auth)),
            plain(self.help, "HELP"),
        ]
        .into_iter()
        .flatten()
    }
}

/// One line of EHLO's reply, to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyword {
    /// A keyword without parameters.
    Plain(&'static str),
    /// `SIZE` with its limit.
    Size(u64),
    /// `AUTH` with its mechanisms.
    Auth(Mechanisms),
}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(name) => f.write_str(name),
            Self::Size(octets) => write!(f, "SIZE {octets}"),
            Self::Auth(mechanisms) => {
                f.write_str("AUTH")?;
                mechanisms.iter().try_for_each(|mechanism| write!(f, " {mechanism}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn what_a_server_says_a_client_reads() {
        let offered = Extensions {
            pipelining: true,
            size: Size::AtMost(1000),
            eight_bit_mime: true,
            smtputf8: true,
            chunking: true,
            enhanced_status_codes: true,
            starttls: true,
            auth: Mechanisms::all(),
            help: true,
        };
        let mut read = Extensions::default();
        offered.lines().for_each(|line| read.note(&line.to_string()));
        assert_eq!(read, offered);
        assert_eq!(Extensions::default().lines().count(), 0);
    }

    #[test]
    fn a_client_reads_what_others_say() {
        let mut read = Extensions::default();
        for line in ["size", "pipelining", "AUTH=LOGIN", "AUTH GSSAPI plain", "", "X-THING \u{e9}", "STARTTLS extra"] {
            read.note(line);
        }
        assert_eq!((read.size, read.pipelining, read.starttls), (Size::NoLimit, true, true));
        assert_eq!(read.auth, Mechanisms::all());
        read.note("SIZE 99999999999999999999999");
        assert_eq!(read.size, Size::NoLimit);
    }
}
