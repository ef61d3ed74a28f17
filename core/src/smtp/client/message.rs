//! One message on its way through the envelope: which command is next, whose reply is next, and what each recipient got.
//!
//! Two cursors run over the same row of commands, `RSET? MAIL RCPT… DATA`: one for what was written, one for what was
//! answered. With PIPELINING the first runs ahead; without, by one at most. (LMTP would put one more reply for each
//! accepted recipient behind the end of data.)

use alloc::vec::Vec;

use super::action::{Envelope, Outcome};
use super::extensions::Extensions;
use super::words;
use crate::mark;
use crate::smtp::{EnhancedStatus, Reply};

/// A message that was begun.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) envelope: Envelope,
    slots: Vec<Slot>,
    /// The next command to be written.
    written: Command,
    /// The next command to be answered.
    answered: Command,
    /// MAIL was refused: nothing else that is said of this message counts.
    mail_refused: bool,
    /// What MAIL or DATA was refused with.
    refusal: Option<Reply>,
    /// Recipients that the server took.
    accepted: usize,
}

/// The commands in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Command {
    /// Clears what an earlier message left behind.
    Rset,
    /// MAIL FROM.
    Mail,
    /// RCPT TO this recipient.
    Rcpt(usize),
    /// DATA.
    Data,
    /// Behind the last one.
    End,
}

/// What a recipient got so far.
#[derive(Clone, Debug)]
enum Slot {
    /// Nothing.
    Open,
    /// It is not even asked for.
    Unsent(Reply),
    /// A 2yz to RCPT.
    Accepted,
    /// Anything else.
    Refused(Reply),
}

/// Where a reply leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lead {
    /// On to the next command or reply.
    On,
    /// The message is settled.
    Settled,
    /// The body may be sent.
    Body,
    /// The server waits for a body that nobody is to get: the end of data must follow at once (RFC 2920 §3.1).
    LoneDot,
    /// It makes no sense.
    Astray,
}

impl Message {
    /// A message about to be sent to a server with these extensions; with `reset`, RSET goes first.
    pub(super) fn new(envelope: Envelope, offered: &Extensions, reset: bool) -> Self {
        let refusal = whole_refused(&envelope, offered);
        let slot = |ascii: bool| match &refusal {
            Some(reply) => Slot::Unsent(reply.clone()),
            None if !ascii && !offered.smtputf8 => Slot::Unsent(mark!(ClientNoSmtputf8, words::no_smtputf8())),
            None => Slot::Open,
        };
        let slots = envelope.recipients.iter().map(|recipient| slot(recipient.is_ascii())).collect();
        let first = if reset { Command::Rset } else { Command::Mail };
        Self { envelope, slots, written: first, answered: first, mail_refused: false, refusal: None, accepted: 0 }
    }

    /// Whether there is anybody to send it to.
    pub(super) fn has_recipient(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot, Slot::Open))
    }

    /// The next command to be written, if its time has come; it then counts as written.
    pub(super) fn write(&mut self, pipelining: bool) -> Option<Command> {
        if self.is_waiting() && !pipelining || self.is_finished() {
            return None;
        }
        let command = self.written;
        if command != Command::End {
            self.written = self.following(command);
        }
        Some(command).filter(|command| *command != Command::End)
    }

    /// Whether replies are still to come for what was written.
    pub(super) fn is_waiting(&self) -> bool {
        self.answered < self.written
    }

    /// The command whose reply is next.
    pub(super) fn awaited(&self) -> Command {
        self.answered
    }

    /// Takes the reply to the command whose reply is next. It must not be a 421.
    pub(super) fn answer(&mut self, code: u16, reply: impl FnOnce() -> Reply) -> Lead {
        let command = self.answered;
        self.answered = self.following(command);
        match (command, code / 100) {
            (Command::Rset | Command::Mail, 2) => {}
            (Command::Mail, 4 | 5) => {
                mark!(ClientMailRefused);
                (self.mail_refused, self.refusal) = (true, Some(reply()));
            }
            (Command::Rcpt(i), 2) => {
                self.slots[i] = Slot::Accepted;
                self.accepted += 1;
            }
            (Command::Rcpt(_), 4 | 5) if self.mail_refused => {}
            (Command::Rcpt(i), 4 | 5) => {
                mark!(ClientRecipientRefused);
                self.slots[i] = Slot::Refused(self.tempered(reply()));
            }
            (Command::Data, 4 | 5) => {
                mark!(ClientDataRefused);
                self.refusal.get_or_insert_with(reply);
            }
            (Command::Data, 3) if self.accepted == 0 => return Lead::LoneDot,
            // A recipient taken behind a MAIL refused: a dot now could deliver an empty message.
            (Command::Data, 3) if self.mail_refused => return Lead::Astray,
            (Command::Data, 3) => return Lead::Body,
            _ => return Lead::Astray,
        }
        if self.is_waiting() || !self.is_finished() { Lead::On } else { Lead::Settled }
    }

    /// Whether MAIL opened a transaction that the server may still hold.
    pub(super) fn leaves_transaction(&self) -> bool {
        !self.mail_refused && self.answered > Command::Mail
    }

    /// What became of it. `closing` is the reply for the recipients that were taken, or not yet answered.
    pub(super) fn outcome(self, closing: Option<Reply>) -> Outcome {
        let closing = self.refusal.or(closing).unwrap_or_else(words::unknown);
        let reply = |slot: Slot| match slot {
            Slot::Unsent(reply) | Slot::Refused(reply) => reply,
            Slot::Open | Slot::Accepted => closing.clone(),
        };
        Outcome { replies: self.slots.into_iter().map(reply).collect() }
    }

    /// No command is left to be written.
    fn is_finished(&self) -> bool {
        let nobody = self.written == Command::Data && self.answered == Command::Data && self.accepted == 0;
        self.mail_refused || nobody || self.written == Command::End
    }

    fn following(&self, command: Command) -> Command {
        let from = match command {
            Command::Rset => return Command::Mail,
            Command::Mail => 0,
            Command::Rcpt(i) => i + 1,
            Command::Data | Command::End => return Command::End,
        };
        let open = |slot: &Slot| !matches!(slot, Slot::Unsent(_));
        let next = self.slots.iter().skip(from).position(open);
        next.map_or(Command::Data, |n| Command::Rcpt(from + n))
    }

    /// A server that says 552 for "too many recipients", as RFC 821 had it, means 452 (RFC 5321 §4.5.3.1.10).
    fn tempered(&self, reply: Reply) -> Reply {
        let too_many = match reply.status() {
            Some(status) => status == EnhancedStatus(5, 5, 3),
            None => self.accepted > 0,
        };
        if reply.code() == 552 && too_many {
            mark!(ClientTooManyRecipients, reply.recoded(452, Some(EnhancedStatus(4, 5, 3))))
        } else {
            reply
        }
    }
}

/// Why no recipient can get this message from this server.
fn whole_refused(envelope: &Envelope, offered: &Extensions) -> Option<Reply> {
    let reverse_path_ascii = envelope.reverse_path.as_ref().is_none_or(|address| address.is_ascii());
    if !offered.smtputf8 && (envelope.smtputf8 || !reverse_path_ascii) {
        return Some(mark!(ClientNoSmtputf8, words::no_smtputf8()));
    }
    offered.refuses(envelope.size).map(|limit| mark!(ClientTooLarge, words::too_large(envelope.size, limit)))
}
