//! Law 5, bounded: whatever the peer sends, and whatever it does not read, the machine keeps to its limits.
//!
//! That chunks, open questions, `tx` and unread lines stay within bounds is checked at every poll of every law (see
//! [`bench`](crate::bench)). Here the peer tries hard.

use proptest::prelude::*;

use super::replay::{Manner, Replay, Rest, Stop};
use crate::bench::{Bench, Breach, Seen};
use crate::dialogue::{Dialogue, Story, Upgrade};
use crate::subject::Subject;

/// Bytes of a flood that hardly costs anything: a line that never ends, a body.
const STREAM: usize = 2 * 1024 * 1024;

/// Polls after which a flood has lasted long enough: commands cost more than they bring.
const POLLS: usize = 3_000;

/// Bytes of a flood of commands.
const COMMANDS: usize = 64 * 1024;

/// Bytes fed at once: what a host's read buffer holds.
const READ: usize = 16 * 1024;

/// Floods the machine anywhere in its story.
///
/// # Errors
/// The first case that breaks the law.
pub fn check<S: Subject>(dialogue: &Dialogue, story: &Story) -> Result<(), String> {
    let strategy = (0..=story.turns.len(), 0..6_usize, any::<prop::sample::Index>(), any::<[bool; 2]>());
    super::property_of(dialogue, 5, 50, strategy, |(turn, flood, word, [deaf, mute])| {
        let manner = Manner { stop: Stop::Turn(turn), ..Manner::plain() };
        let mut replay = Replay::<S>::new(dialogue, story, manner);
        replay.tell()?;
        replay.go_on();
        if matches!(replay.settle()?, Rest::Upgrade) {
            replay.bench.upgrade(Upgrade::Up);
        }
        let words = S::vocabulary();
        let text = || ([b"x".repeat(70), b"\r\n".to_vec()].concat().repeat(READ / 72), STREAM);
        let (piece, total) = match flood {
            0 => (vec![b'A'; READ], STREAM),
            1 => text(),
            2 if !words.is_empty() => (format!("{}\r\n", word.get(words)).repeat(500).into_bytes(), COMMANDS),
            3 | 4 if !words.is_empty() => {
                replay.bench.feed(format!("{}\r\n", word.get(words)).as_bytes());
                text()
            }
            _ => (words.iter().flat_map(|word| [word.as_bytes(), b"\r\n"].concat()).collect(), COMMANDS),
        };
        Flood { bench: &mut replay.bench, piece: &piece, deaf, mute, polls: 0 }.run(total)
    })
}

struct Flood<'a, S: Subject> {
    bench: &'a mut Bench<S>,
    piece: &'a [u8],
    /// The peer does not read.
    deaf: bool,
    /// The host does not answer.
    mute: bool,
    polls: usize,
}

impl<S: Subject> Flood<'_, S> {
    fn run(&mut self, total: usize) -> Result<(), Breach> {
        self.bench.forget();
        let limits = &self.bench.bounds().session;
        let most = 2 * (limits.window + 2) * limits.chunk + 2 * limits.high_water + 8 * self.bench.bounds().line;
        let most = i64::try_from(most + 4 * self.piece.len() + 64 * 1024).unwrap_or(i64::MAX);
        let start = crate::alloc::live();
        let mut fed = 0;
        while self.settle()? && fed < total && self.polls < POLLS {
            self.bench.feed(self.piece);
            fed += self.piece.len();
            let live = crate::alloc::live() - start;
            if live > most {
                return Err(Breach::of(5, format!("after a flood of {fed} bytes it holds {live} bytes more")));
            }
        }
        if self.deaf {
            // The peer wakes up, and everything goes on.
            self.deaf = false;
            self.settle()?;
            if self.bench.waiting().1 > 0 {
                return Err(Breach::of(5, "the peer reads again, and tx does not empty"));
            }
        }
        Ok(())
    }

    /// Answers kindly until the machine rests; returns whether it wants more bytes.
    fn settle(&mut self) -> Result<bool, Breach> {
        let limits = self.bench.bounds().session.clone();
        // A command has a byte and its CRLF at least; a body may come by the chunk.
        let line = self.piece.split_inclusive(|&b| b == b'\n').map(<[u8]>::len).max().unwrap_or(1);
        let most = (limits.steps * line).max(limits.chunk).max(self.bench.bounds().line);
        // Whoever hangs up drops all there is; whoever goes on must not have swallowed so much.
        let mut gulp = 0;
        for _ in 0..1_000_000 {
            self.polls += 1;
            let before = self.bench.consumed();
            let seen = self.bench.poll()?;
            gulp = gulp.max(self.bench.consumed() - before);
            let flushed = if self.deaf { 0 } else { self.bench.flush(usize::MAX).len() };
            match seen {
                Seen::Act { question: Some(number), .. } if !self.mute => {
                    let open = self.bench.open().iter().find(|open| open.number == number);
                    let answer = open.map(|open| S::answers(open.question()).swap_remove(0)).unwrap_or_default();
                    self.bench.answer(number, &answer).map_err(|e| Breach::of(4, format!("{e:?}")))?;
                }
                Seen::Act { .. } | Seen::More => {}
                Seen::Upgrade(_) => self.bench.upgrade(Upgrade::Up),
                Seen::Wait(_) if flushed > 0 => {}
                Seen::Wait(_) if gulp > most as u64 => {
                    return Err(Breach::of(5, format!("one poll consumes {gulp} bytes")));
                }
                Seen::Wait(wait) => return Ok(wait.read),
                Seen::Done(_) => return Ok(false),
            }
        }
        Err(Breach::of(1, "the machine never comes to rest"))
    }
}
