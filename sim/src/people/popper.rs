//! Somebody collects his mail by POP3: reads it, deletes some of it, and says QUIT, or is gone without.

use bytes::Bytes;
use pillarbox_core::Mono;

use super::{Deed, Lines, News, Person};
use crate::ledger::{Ledger, Read, UserId};
use crate::world::POP3;

/// How he deals with what he finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Deletes what he has read.
    Empties,
    /// Deletes every other one.
    Picks,
    /// Leaves it there.
    Looks,
}

/// What the next reply answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Greeting,
    User,
    Pass,
    Stat,
    Retr(usize),
    Text(usize),
    Dele(usize),
    Quit,
}

/// One visit.
pub(crate) struct Popper {
    user: UserId,
    host: usize,
    habit: Habit,
    /// He is gone when he has heard so many replies.
    leaves_after: Option<usize>,
    replies: usize,
    at: At,
    count: usize,
    /// What he asked to be deleted.
    deleted: Vec<Read>,
    current: Option<Read>,
    /// Nothing goes wrong any more: he must find his mailbox open.
    last: bool,
    lines: Lines,
}

impl Popper {
    pub(crate) fn new(user: UserId, host: usize, habit: Habit, leaves_after: Option<usize>) -> Self {
        Self {
            user,
            host,
            habit,
            leaves_after,
            replies: 0,
            at: At::Greeting,
            count: 0,
            deleted: Vec::new(),
            current: None,
            last: false,
            lines: Lines::default(),
        }
    }

    /// It is the last visit, when all is well: what is refused now is refused for ever.
    pub(crate) fn last(self) -> Self {
        Self { last: true, ..self }
    }

    fn reply(&mut self, line: &str, ledger: &mut Ledger, deeds: &mut Vec<Deed>) {
        let positive = line.starts_with("+OK");
        if self.last && !positive {
            ledger.violated(format!("{} is told {line:?} at rest", ledger.address(self.user)));
        }
        let mut say = |line: String| deeds.push(Deed::Say(Bytes::from(line + "\r\n")));
        self.at = match self.at {
            At::Quit => {
                for message in self.deleted.drain(..) {
                    // When it says that it could not, nothing is deleted, or some of it.
                    ledger.removed(self.user, message, positive);
                }
                deeds.push(Deed::Leave);
                return;
            }
            _ if !positive => {
                say("QUIT".into());
                At::Quit
            }
            At::Greeting => {
                say(format!("USER {}", ledger.address(self.user)));
                At::User
            }
            At::User => {
                say(format!("PASS {}", ledger.address(self.user).split('@').next().unwrap_or_default()));
                At::Pass
            }
            At::Pass => {
                say("STAT".into());
                At::Stat
            }
            At::Stat => {
                self.count = line.split(' ').nth(1).and_then(|count| count.parse().ok()).unwrap_or(0);
                self.retrieve(1, deeds)
            }
            At::Retr(n) => At::Text(n),
            At::Dele(n) => {
                self.deleted.extend(self.current);
                self.retrieve(n + 1, deeds)
            }
            At::Text(_) => self.at,
        };
    }

    /// He has read message `n`.
    fn text(&mut self, n: usize, text: &[u8], ledger: &mut Ledger, deeds: &mut Vec<Deed>) {
        self.current = ledger.read(self.user, text);
        let deletes = match self.habit {
            Habit::Empties => true,
            Habit::Picks => n.is_multiple_of(2),
            Habit::Looks => false,
        };
        self.at = if deletes {
            deeds.push(Deed::Say(Bytes::from(format!("DELE {n}\r\n"))));
            At::Dele(n)
        } else {
            self.retrieve(n + 1, deeds)
        };
    }

    fn retrieve(&self, n: usize, deeds: &mut Vec<Deed>) -> At {
        let (line, at) =
            if n <= self.count { (format!("RETR {n}\r\n"), At::Retr(n)) } else { ("QUIT\r\n".to_owned(), At::Quit) };
        deeds.push(Deed::Say(Bytes::from(line)));
        at
    }

    fn gone(&mut self, ledger: &mut Ledger, deeds: &mut Vec<Deed>) {
        if self.last {
            ledger.violated(format!("{} is cut off at rest", ledger.address(self.user)));
        }
        // Without QUIT nothing is deleted; after it, who knows.
        if self.at == At::Quit {
            for message in self.deleted.drain(..) {
                ledger.removed(self.user, message, false);
            }
        }
        deeds.push(Deed::Leave);
    }
}

impl Person for Popper {
    fn hear(&mut self, _: Mono, news: News<'_>, ledger: &mut Ledger, deeds: &mut Vec<Deed>) {
        match news {
            News::Begin => deeds.push(Deed::Connect { host: self.host, port: POP3 }),
            News::Heard(bytes) => {
                self.lines.push(bytes);
                loop {
                    if let At::Text(n) = self.at {
                        let Some(text) = self.lines.text() else { return };
                        self.text(n, &text, ledger, deeds);
                        continue;
                    }
                    let Some(line) = self.lines.line() else { return };
                    self.reply(&line, ledger, deeds);
                    self.replies += 1;
                    if Some(self.replies) == self.leaves_after {
                        deeds.push(Deed::BreakOff);
                        return self.gone(ledger, deeds);
                    }
                }
            }
            News::Time => {}
            News::Over => self.gone(ledger, deeds),
        }
    }
}
