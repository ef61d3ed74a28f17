//! The body on its way out: asked for range by range, checked, dot-stuffed.

use bytes::Bytes;

use super::action::BodyAnswer;
use crate::line::Fault;
use crate::line::dot::Stuff;
use crate::outbox::Outbox;

/// A body of which some is sent.
#[derive(Debug)]
pub(super) struct Body {
    size: u64,
    /// Position of the next byte to be sent.
    offset: u64,
    /// The question under way: its ticket's serial, and how many bytes it asked for.
    asked: Option<(u64, usize)>,
    answer: Option<BodyAnswer>,
    stuff: Stuff,
    /// The last octet was a CR.
    cr: bool,
}

impl Body {
    pub(super) fn new(size: u64) -> Self {
        Self { size, offset: 0, asked: None, answer: None, stuff: Stuff::new(), cr: false }
    }

    /// The next range, of at most `chunk` bytes: offset and length. `None` when all of it is sent.
    pub(super) fn range(&self, chunk: usize) -> Option<(u64, usize)> {
        let left = usize::try_from(self.size - self.offset).unwrap_or(usize::MAX);
        (left > 0).then(|| (self.offset, left.min(chunk.max(1))))
    }

    /// The range was asked for.
    pub(super) fn ask(&mut self, serial: u64, len: usize) {
        self.asked = Some((serial, len));
    }

    /// Whether a question is under way.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Keeps the answer until the next poll, if it is to the question under way.
    pub(super) fn answer(&mut self, serial: u64, answer: BodyAnswer) {
        if self.asked.is_some_and(|(asked, _)| asked == serial) {
            self.answer = Some(answer);
        }
    }

    /// The bytes that came in answer, if any did; `Err` when there will be none.
    pub(super) fn take(&mut self) -> Option<Result<Bytes, Unreadable>> {
        let answer = self.answer.take()?;
        let (_, len) = self.asked.take()?;
        Some(match answer {
            BodyAnswer::Bytes(mut bytes) if !bytes.is_empty() => {
                bytes.truncate(len);
                Ok(bytes)
            }
            BodyAnswer::Bytes(_) | BodyAnswer::Unreadable => Err(Unreadable),
        })
    }

    /// Sends these bytes, the next ones.
    ///
    /// # Errors
    /// [`Fault`] when there is a bare CR or LF in them. Some of the message may have gone out, but never its end.
    pub(super) fn send(&mut self, bytes: Bytes, tx: &mut Outbox) -> Result<(), Fault> {
        self.check(&bytes)?;
        self.offset += bytes.len() as u64;
        self.stuff.push(bytes, tx);
        Ok(())
    }

    /// Sends the end of data. The body must not end with a CR.
    ///
    /// # Errors
    /// [`Fault`] when the body ends with a CR.
    pub(super) fn finish(&mut self, tx: &mut Outbox) -> Result<(), Fault> {
        if self.cr {
            return Err(Fault::BareCr);
        }
        self.stuff.finish(tx);
        Ok(())
    }

    /// Whether every CR has its LF and every LF its CR, over the borders of chunks too.
    fn check(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if !self.is_clean(bytes) {
            return self.find_fault(bytes);
        }
        self.cr = bytes.ends_with(b"\r");
        Ok(())
    }

    /// The quick way to a yes, which is what nearly every body gets: each LF has its CR, and there are no more CRs than
    /// that. Counting is much cheaper than stopping at each.
    fn is_clean(&self, bytes: &[u8]) -> bool {
        if self.cr && bytes.first() != Some(&b'\n') {
            return false;
        }
        let mut pairs = 0;
        for lf in memchr::memchr_iter(b'\n', bytes) {
            match lf.checked_sub(1) {
                Some(before) if bytes[before] == b'\r' => pairs += 1,
                None if self.cr => {}
                _ => return false,
            }
        }
        memchr::memchr_iter(b'\r', bytes).count() == pairs + usize::from(bytes.ends_with(b"\r"))
    }

    /// The first CR or LF that stands alone.
    fn find_fault(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut cr = self.cr;
        let mut next = 0;
        for at in memchr::memchr2_iter(b'\r', b'\n', bytes) {
            match (bytes[at], cr && at == next) {
                (b'\r', false) if !cr => (cr, next) = (true, at + 1),
                (b'\n', true) => cr = false,
                (b'\n', false) if !cr => return Err(Fault::BareLf),
                _ => return Err(Fault::BareCr),
            }
        }
        if cr && next < bytes.len() {
            return Err(Fault::BareCr);
        }
        self.cr = cr;
        Ok(())
    }
}

/// The message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn sent(body: &[u8], step: usize) -> Result<Vec<u8>, Fault> {
        let (mut machine, mut tx) = (Body::new(body.len() as u64), Outbox::new(1));
        for piece in body.chunks(step) {
            machine.send(Bytes::copy_from_slice(piece), &mut tx)?;
        }
        machine.finish(&mut tx)?;
        Ok(tx.slices().flatten().copied().collect())
    }

    #[test]
    fn only_whole_line_ends_are_sent() {
        type Sent = Result<&'static [u8], Fault>;
        let cases: [(&[u8], Sent); 11] = [
            (b"", Ok(b".\r\n")),
            (b"a", Ok(b"a\r\n.\r\n")),
            (b".a\r\n.\r\n", Ok(b"..a\r\n..\r\n.\r\n")),
            (b"\r\n\r\n", Ok(b"\r\n\r\n.\r\n")),
            (b"a\nb", Err(Fault::BareLf)),
            (b"\n", Err(Fault::BareLf)),
            (b"a\r\n\n", Err(Fault::BareLf)),
            (b"a\rb", Err(Fault::BareCr)),
            (b"a\r\r\n", Err(Fault::BareCr)),
            (b"a\rb\n", Err(Fault::BareCr)),
            (b"a\r", Err(Fault::BareCr)),
        ];
        for (body, expected) in cases {
            for step in 1..=body.len().max(1) {
                assert_eq!(sent(body, step).as_deref(), expected.as_deref(), "{} by {step}", body.escape_ascii());
            }
        }
    }

    #[test]
    fn ranges_cover_the_body() {
        let mut body = Body::new(5);
        assert_eq!(body.range(3), Some((0, 3)));
        body.ask(1, 3);
        body.answer(0, BodyAnswer::Unreadable);
        assert_eq!(body.take(), None);
        body.answer(1, BodyAnswer::Bytes(Bytes::from_static(b"abcdef")));
        assert_eq!(body.take(), Some(Ok(Bytes::from_static(b"abc"))));
        assert!(!body.is_asked());
        let mut tx = Outbox::new(1);
        assert_eq!(body.send(Bytes::from_static(b"abc"), &mut tx), Ok(()));
        assert_eq!(body.range(3), Some((3, 2)));
        assert_eq!(body.send(Bytes::from_static(b"de"), &mut tx), Ok(()));
        assert_eq!(body.range(3), None);
    }
}
