//! Somebody writes a letter and hands it to his provider. He may be gone at any moment.

use bytes::Bytes;
use pillarbox_core::Mono;

use super::{Deed, Lines, News, Person, base64, stuffed};
use crate::ledger::{Ledger, Outcome, UserId};
use crate::letter::Letter;
use crate::world::SUBMISSION;

/// How far he is: what the next reply answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Greeting,
    Ehlo,
    Auth,
    Mail,
    Rcpt(usize),
    Data,
    End,
    Quit,
}

/// The writer of one letter.
pub(crate) struct Mailer {
    user: UserId,
    host: usize,
    letter: Letter,
    to: Vec<String>,
    octets: usize,
    /// He is gone when he has heard so many replies.
    leaves_after: Option<usize>,
    replies: usize,
    at: At,
    taken: usize,
    lines: Lines,
}

impl Mailer {
    pub(crate) fn new(
        user: UserId,
        host: usize,
        letter: Letter,
        to: Vec<String>,
        octets: usize,
        leaves_after: Option<usize>,
    ) -> Self {
        let lines = Lines::default();
        Self { user, host, letter, to, octets, leaves_after, replies: 0, at: At::Greeting, taken: 0, lines }
    }

    fn reply(&mut self, reply: &str, ledger: &mut Ledger, deeds: &mut Vec<Deed>) {
        let positive = reply.starts_with(['2', '3']);
        let mut say = |line: String| deeds.push(Deed::Say(Bytes::from(line + "\r\n")));
        let next = match (self.at, positive) {
            (At::Greeting, true) => {
                say("EHLO device.example".into());
                At::Ehlo
            }
            (At::Ehlo, true) => {
                let address = ledger.address(self.user);
                let name = address.split('@').next().unwrap_or_default();
                say(format!("AUTH PLAIN {}", base64(&format!("\0{address}\0{name}"))));
                At::Auth
            }
            (At::Auth, true) => {
                say(format!("MAIL FROM:<{}>", ledger.address(self.user)));
                At::Mail
            }
            (At::Mail, true) => {
                say(format!("RCPT TO:<{}>", self.to[0]));
                At::Rcpt(0)
            }
            (At::Rcpt(n), _) => {
                if positive {
                    self.taken += 1;
                    ledger.addressed(self.letter, &self.to[n]);
                }
                if let Some(to) = self.to.get(n + 1) {
                    say(format!("RCPT TO:<{to}>"));
                    At::Rcpt(n + 1)
                } else if self.taken > 0 {
                    say("DATA".into());
                    At::Data
                } else {
                    self.quit(deeds)
                }
            }
            (At::Data, true) => {
                ledger.submitted(self.letter, Outcome::Unsent);
                deeds.push(Deed::Say(stuffed(&self.letter.text(self.octets))));
                At::End
            }
            (At::End, _) => {
                ledger.submitted(self.letter, if positive { Outcome::Accepted } else { Outcome::Refused });
                self.quit(deeds)
            }
            (At::Quit, _) => {
                deeds.push(Deed::Leave);
                return;
            }
            (_, false) => self.quit(deeds),
        };
        self.at = next;
    }

    #[allow(clippy::unused_self)]
    fn quit(&self, deeds: &mut Vec<Deed>) -> At {
        deeds.push(Deed::Say(Bytes::from_static(b"QUIT\r\n")));
        At::Quit
    }

    fn gone(&self, ledger: &mut Ledger, deeds: &mut Vec<Deed>) {
        if self.at == At::End {
            ledger.submitted(self.letter, Outcome::Unknown);
        }
        deeds.push(Deed::Leave);
    }
}

impl Person for Mailer {
    fn hear(&mut self, _: Mono, news: News<'_>, ledger: &mut Ledger, deeds: &mut Vec<Deed>) {
        match news {
            News::Begin => {
                ledger.wrote(self.letter, self.user, self.octets);
                deeds.push(Deed::Connect { host: self.host, port: SUBMISSION });
            }
            News::Heard(bytes) => {
                self.lines.push(bytes);
                while let Some(line) = self.lines.line() {
                    if line.as_bytes().get(3) == Some(&b'-') {
                        continue;
                    }
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
