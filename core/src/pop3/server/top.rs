//! Where TOP stops: the header, the blank line, and so many lines of the body (RFC 1939 §7).

/// Counts the lines that pass, and finds the place to stop.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    /// Lines of the body that are still wanted.
    lines: u64,
    part: Part,
    line: LineSoFar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Header,
    Body,
    /// All that was wanted has passed.
    Over,
}

/// What the line that is passing holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineSoFar {
    Nothing,
    /// A CR: with an LF behind it the line is blank.
    Cr,
    Something,
}

impl Cut {
    /// The header and `lines` lines of the body.
    pub(super) fn new(lines: u64) -> Self {
        Self { lines, part: Part::Header, line: LineSoFar::Nothing }
    }

    /// All that was wanted has passed.
    pub(super) fn is_over(&self) -> bool {
        self.part == Part::Over
    }

    /// How many of the next octets are wanted.
    pub(super) fn wanted(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while self.part != Part::Over && at < bytes.len() {
            let rest = &bytes[at..];
            let Some(lf) = memchr::memchr(b'\n', rest) else {
                self.line = self.line.then(rest);
                return bytes.len();
            };
            let line = core::mem::replace(&mut self.line, LineSoFar::Nothing).then(&rest[..lf]);
            at += lf + 1;
            self.end_of_line(line != LineSoFar::Something);
        }
        at
    }

    fn end_of_line(&mut self, blank: bool) {
        match self.part {
            Part::Header if !blank => return,
            Part::Header => self.part = Part::Body,
            Part::Body => self.lines -= 1,
            Part::Over => return,
        }
        if self.lines == 0 {
            self.part = Part::Over;
        }
    }
}

impl LineSoFar {
    /// After more octets, none of them an LF.
    fn then(self, octets: &[u8]) -> Self {
        match (self, octets) {
            (_, []) => self,
            (Self::Nothing, b"\r") => Self::Cr,
            _ => Self::Something,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stops_at_the_same_place_however_the_message_comes() {
        let cases: [(&str, u64, &str); 9] = [
            ("A: 1\r\nB: 2\r\n\r\none\r\ntwo\r\n", 0, "A: 1\r\nB: 2\r\n\r\n"),
            ("A: 1\r\n\r\none\r\ntwo\r\n", 1, "A: 1\r\n\r\none\r\n"),
            ("A: 1\r\n\r\n\r\n\r\nx\r\n", 2, "A: 1\r\n\r\n\r\n\r\n"),
            ("A: 1\r\n\r\none\r\ntwo", 2, "A: 1\r\n\r\none\r\ntwo"),
            ("A: 1\r\n\r\none\r\n", u64::MAX, "A: 1\r\n\r\none\r\n"),
            ("A: 1\r\nno body\r\n", 0, "A: 1\r\nno body\r\n"),
            ("\r\nno header\r\nx\r\n", 1, "\r\nno header\r\n"),
            ("A: 1\r\r\n\r\nx\r\n", 0, "A: 1\r\r\n\r\n"),
            ("", 3, ""),
        ];
        for (message, lines, expected) in cases {
            for step in 1..=message.len().max(1) {
                let mut cut = Cut::new(lines);
                let passed: usize = message.as_bytes().chunks(step).map(|piece| cut.wanted(piece)).sum();
                assert_eq!(&message[..passed], expected, "by {step}");
            }
        }
    }
}
