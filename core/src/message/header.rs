//! The header section, seen by a scanner that is fed the message in pieces and keeps none of it.

/// Finds the end of a header section, and notes on the way what a mail server must know of it. It remembers a field's
/// name for as long as the name may still be one of those it looks for, and nothing else.
///
/// The section ends at the first empty line (RFC 5322 §2.1). Lines that are no field are passed over, except that a
/// message which begins with one has no header section at all: it is all body.
#[derive(Clone, Debug)]
pub struct HeaderScanner {
    /// Octets of the section that are still allowed.
    room: usize,
    /// Received fields that are still allowed.
    received_room: usize,
    at: At,
    /// The field's name so far, in lower case.
    name: [u8; LONGEST],
    named: usize,
    seen: Seen,
    begins: Begins,
}

/// How the message begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begins {
    /// So far with so many octets that may be a field's name.
    Name(usize),
    /// With a field, or with the empty line behind no field.
    Header,
    /// With something else.
    Body,
}

/// Why a header section is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    /// It has more octets than allowed.
    TooLong,
    /// It has more Received fields than allowed: the message runs in circles (RFC 5321 §6.3).
    Loop,
}

/// The longest name that we look for.
const LONGEST: usize = b"message-id".len();

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// At the start of a line.
    LineStart,
    /// A CR stands at the start of the line.
    EmptyCr,
    /// In a line whose name may be one of ours.
    Name,
    /// In a line that we do not look into.
    Line,
    /// Behind the section, or given up.
    End,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    date: bool,
    from: bool,
    message_id: bool,
    received: usize,
}

impl HeaderScanner {
    /// At the start of a message whose header section may have `octets` octets, and at most `received` Received fields.
    #[must_use]
    pub fn new(octets: usize, received: usize) -> Self {
        Self {
            room: octets,
            received_room: received,
            at: At::LineStart,
            name: [0; LONGEST],
            named: 0,
            seen: Seen::default(),
            begins: Begins::Name(0),
        }
    }

    /// Reads the next piece. Cheap once the section has ended.
    ///
    /// # Errors
    /// How many octets of `piece` were good, and what is wrong with the next one. From then on nothing is read.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), (usize, HeaderFault)> {
        self.begin(piece);
        let mut read = 0;
        while read < piece.len() && self.at != At::End {
            let rest = &piece[read..];
            let n = if self.at == At::Line { memchr::memchr(b'\n', rest).map_or(rest.len(), |lf| lf + 1) } else { 1 };
            if n > self.room {
                self.at = At::End;
                return Err((read + self.room, HeaderFault::TooLong));
            }
            self.room -= n;
            if self.step(rest[n - 1]) {
                self.at = At::End;
                return Err((read, HeaderFault::Loop));
            }
            read += n;
        }
        Ok(())
    }

    /// The section has ended.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.at == At::End
    }

    /// The message begins with something that is neither a field nor the end of the section: whoever puts fields before
    /// it puts an empty line behind them.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.begins == Begins::Body
    }

    /// There is a Date field.
    #[must_use]
    pub fn has_date(&self) -> bool {
        self.seen.date
    }

    /// There is a From field.
    #[must_use]
    pub fn has_from(&self) -> bool {
        self.seen.from
    }

    /// There is a Message-ID field.
    #[must_use]
    pub fn has_message_id(&self) -> bool {
        self.seen.message_id
    }

    /// How many Received fields there are.
    #[must_use]
    pub fn received(&self) -> usize {
        self.seen.received
    }

    /// Looks at how the message begins, until that is known, and no further than the section may reach.
    fn begin(&mut self, piece: &[u8]) {
        let mut octets = piece.iter().take(self.room);
        while let Begins::Name(length) = self.begins
            && let Some(octet) = octets.next()
        {
            self.begins = match octet {
                b':' if length > 0 => Begins::Header,
                b'\r' | b'\n' if length == 0 => Begins::Header,
                // `ftext` of RFC 5322 §3.6.8.
                b'!'..=b'9' | b';'..=b'~' => Begins::Name(length + 1),
                _ => Begins::Body,
            };
        }
        if self.is_missing() {
            self.at = At::End;
        }
    }

    /// Takes one octet, which is the last one read. True when it completes one Received field too many.
    fn step(&mut self, octet: u8) -> bool {
        match (self.at, octet) {
            (At::LineStart | At::EmptyCr, b'\n') => self.at = At::End,
            (At::LineStart, b'\r') => self.at = At::EmptyCr,
            (_, b'\n') => self.at = At::LineStart,
            (At::LineStart, b' ' | b'\t') | (At::EmptyCr | At::Line, _) => self.at = At::Line,
            (At::Name, b':') => {
                self.at = At::Line;
                return self.field();
            }
            // Obsolete syntax has spaces before the colon (RFC 5322 §4.5).
            (At::Name, b' ' | b'\t') => {}
            (At::LineStart, _) => {
                self.named = 0;
                self.letter(octet);
            }
            (At::Name, _) => self.letter(octet),
            (At::End, _) => {}
        }
        false
    }

    fn letter(&mut self, octet: u8) {
        self.at = At::Line;
        if self.named < LONGEST {
            self.name[self.named] = octet.to_ascii_lowercase();
            self.named += 1;
            self.at = At::Name;
        }
    }

    fn field(&mut self) -> bool {
        match &self.name[..self.named] {
            b"date" => self.seen.date = true,
            b"from" => self.seen.from = true,
            b"message-id" => self.seen.message_id = true,
            b"received" if self.seen.received == self.received_room => return true,
            b"received" => self.seen.received += 1,
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Date, From, Message-ID, number of Received fields, whether the section ended; or where it was refused.
    type Outcome = Result<(bool, bool, bool, usize, bool), (usize, HeaderFault)>;

    fn scan(message: &[u8], step: usize) -> Outcome {
        let mut scanner = HeaderScanner::new(100, 2);
        for (n, piece) in message.chunks(step).enumerate() {
            scanner.feed(piece).map_err(|(at, fault)| (n * step + at, fault))?;
        }
        let s = &scanner;
        Ok((s.has_date(), s.has_from(), s.has_message_id(), s.received(), s.is_complete()))
    }

    #[test]
    fn it_sees_the_same_however_the_message_is_cut() {
        let cases: [(&[u8], Outcome); 12] = [
            (b"Date: x\r\nFROM: y\r\nmessage-id: z\r\n\r\nReceived: a\r\n", Ok((true, true, true, 0, true))),
            (b"Received: a\r\n\tfrom:\r\nReceived : b\r\nX: date:\r\n", Ok((false, false, false, 2, false))),
            (b"Message-IDs: a\r\nDat: b\r\nDated: c\r\n: d\r\n\r\n", Ok((false, false, false, 0, true))),
            (b"\r\nDate: x\r\n", Ok((false, false, false, 0, true))),
            (b"X: y\r\nno field at all\r\nDate: x\r\n\r\n", Ok((true, false, false, 0, true))),
            (b"\rx\r\nDate: x", Ok((true, false, false, 0, false))),
            (b"Date: bare LF\n\nFrom: y", Ok((true, false, false, 0, true))),
            (b"", Ok((false, false, false, 0, false))),
            (b"received:\r\nreceived:\r\nreceived:\r\n\r\n", Err((30, HeaderFault::Loop))),
            (&[b'x'; 101], Err((100, HeaderFault::TooLong))),
            (&[&[b'x'; 101], &b" y"[..]].concat(), Err((100, HeaderFault::TooLong))),
            (b"\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", Ok((false, false, false, 0, true))),
        ];
        for (message, expected) in cases {
            for step in 1..=message.len().max(1) {
                assert_eq!(scan(message, step), expected, "{} by {step}", message.escape_ascii());
            }
        }
    }

    #[test]
    fn a_message_without_header_is_all_body() {
        let cases: [(&[u8], bool); 8] = [
            (b"Hello\r\nDate: x\r\n\r\n", true),
            (b"dear all: hello\r\n", true),
            (b": x\r\n", true),
            (b" folded\r\n", true),
            (b"X-Any_thing!: y\r\n", false),
            (b"\r\nHello\r\n", false),
            (b"Hel", false),
            (b"", false),
        ];
        for (message, missing) in cases {
            for step in 1..=message.len().max(1) {
                let mut scanner = HeaderScanner::new(100, 2);
                message.chunks(step).for_each(|piece| scanner.feed(piece).unwrap());
                assert_eq!(scanner.is_missing(), missing, "{} by {step}", message.escape_ascii());
                assert!(!scanner.has_date());
            }
        }
    }
}
