//! Octets whose number is known, as BDAT and literals have them, checked for what no message may hold.

use super::{BLOCK, Fault, is_clean};

/// Checks a message that comes in pieces of known length.
#[derive(Clone, Debug, Default)]
pub struct Strict {
    /// The last octet was a CR.
    cr: bool,
    /// The last octets were CR LF, or there were none.
    in_line: bool,
}

impl Strict {
    /// At the start of a message.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at the next piece.
    ///
    /// # Errors
    /// How many octets of `piece` were good, and what is wrong behind them: an LF without a CR, a NUL, or not the LF
    /// that the CR before it wants.
    pub fn check(&mut self, piece: &[u8]) -> Result<(), (usize, Fault)> {
        let mut read = 0;
        while let Some(&octet) = piece.get(read) {
            if self.cr && octet != b'\n' {
                return Err((read, Fault::BareCr));
            }
            if self.cr {
                (self.cr, self.in_line, read) = (false, false, read + 1);
                continue;
            }
            let block = &piece[read..piece.len().min(read + BLOCK)];
            let whole = block.strip_suffix(b"\r").unwrap_or(block);
            if !whole.is_empty() && is_clean(whole) {
                self.in_line = !whole.ends_with(b"\r\n");
                read += whole.len();
                continue;
            }
            let n = memchr::memchr3(b'\r', b'\n', 0, &piece[read..]).unwrap_or(piece.len() - read);
            self.in_line |= n > 0;
            read += n;
            match piece.get(read) {
                None => {}
                Some(b'\r') => (self.cr, self.in_line, read) = (true, true, read + 1),
                Some(b'\n') => return Err((read, Fault::BareLf)),
                Some(_) => return Err((read, Fault::Nul)),
            }
        }
        Ok(())
    }

    /// The message is over. True when its last line has no CRLF.
    ///
    /// # Errors
    /// It ends with a CR.
    pub fn finish(&self) -> Result<bool, Fault> {
        if self.cr { Err(Fault::BareCr) } else { Ok(self.in_line) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_found_at_the_same_place_however_it_is_cut() {
        type Outcome = Result<bool, (usize, Fault)>;
        let cases: [(&[u8], Outcome); 9] = [
            (b"", Ok(false)),
            (b"a\r\n.\r\n\r\n", Ok(false)),
            (b"\r\n", Ok(false)),
            (b"a", Ok(true)),
            (b"a\r\nb", Ok(true)),
            (b"ab\ncd", Err((2, Fault::BareLf))),
            (b"ab\rcd", Err((3, Fault::BareCr))),
            (b"ab\r\r\n", Err((3, Fault::BareCr))),
            (b"a\0", Err((1, Fault::Nul))),
        ];
        for (message, expected) in cases {
            for step in 1..=message.len().max(1) {
                let mut strict = Strict::new();
                let mut pieces = message.chunks(step).enumerate();
                let checked =
                    pieces.try_for_each(|(n, piece)| strict.check(piece).map_err(|(at, fault)| (n * step + at, fault)));
                let outcome = checked.and_then(|()| strict.finish().map_err(|fault| (message.len(), fault)));
                assert_eq!(outcome, expected, "{} by {step}", message.escape_ascii());
            }
        }
        let mut strict = Strict::new();
        assert_eq!((strict.check(b"a\r"), strict.finish()), (Ok(()), Err(Fault::BareCr)));
    }
}
