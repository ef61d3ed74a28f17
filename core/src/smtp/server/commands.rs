//! What each command does: the table of the module's page, row by row.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt::Write as _;

use bytes::{Bytes, BytesMut};
use zeroize::Zeroize as _;

use super::action::{Action, ClientInfo, Service, Transaction, TransactionId};
use super::body::Body;
use super::machine::{Asked, Chunk, Server, Slot, State};
use super::replies;
use crate::line::Scan;
use crate::mark;
use crate::outbox::Outbox;
use crate::pace::Pace;
use crate::sasl::{Exchange, Failure, Mechanism, Turn};
use crate::session::{End, Step};
use crate::smtp::address::{Address, Path};
use crate::smtp::command::{Command, CommandError, MailParameters};
use crate::smtp::{Extensions, Mechanisms, Reply, Size};
use crate::time::Now;

impl Server {
    /// Runs one command. `alone`: nothing stands behind its line in the buffer. All replies before it have left, unless
    /// it is RCPT.
    pub(super) fn run(
        &mut self,
        command: Result<Command<'_>, CommandError>,
        alone: bool,
        now: Now,
        tx: &mut Outbox,
    ) -> Option<Step<Action>> {
        let command = match command {
            Ok(command) => command,
            Err(error) => {
                self.bad_command(error);
                return None;
            }
        };
        self.speaks_smtp = true;
        match command {
            Command::Ehlo(name) => self.ehlo(name, tx),
            Command::Helo(name) => self.helo(name, tx),
            Command::Mail { path, parameters } => self.mail(path, parameters),
            Command::Rcpt { path } => return self.rcpt(path, now),
            Command::Data => self.begin_data(tx),
            Command::Bdat { size, last } => self.begin_chunk(size, last),
            Command::Rset => {
                self.abort();
                self.slot(replies::OK);
            }
            Command::Noop => self.slot(replies::OK),
            Command::Vrfy => self.slot(replies::CANNOT_VERIFY),
            Command::Help => self.slot(replies::HELP),
            Command::Quit => {
                self.slot(replies::BYE);
                self.ending = Some(End::Quit);
            }
            Command::StartTls => self.start_tls(alone, tx),
            Command::Auth { mechanism, initial } => return self.auth(mechanism, initial, now, tx),
        }
        None
    }

    /// A line that is none.
    pub(super) fn bad_line(&mut self, scan: Scan) {
        if !self.speaks_smtp && scan != Scan::Bad(crate::line::Fault::BareLf) {
            // The first thing it says is binary, or endless: a TLS handshake, a scanner.
            mark!(SmtpNotSmtp);
            self.slot(replies::NOT_SMTP);
            self.ending = Some(End::Refused);
            return;
        }
        self.bad(match scan {
            Scan::Bad(fault) => mark!(SmtpBadLine, replies::bad_line(fault)),
            Scan::TooLong | Scan::Whole(_) => mark!(SmtpLineTooLong, replies::LINE_TOO_LONG),
        });
    }

    fn bad_command(&mut self, error: CommandError) {
        match error {
            CommandError::WrongProtocol => mark!(SmtpWrongProtocol),
            CommandError::Unknown | CommandError::NotImplemented | CommandError::NotUtf8 => mark!(SmtpUnknownCommand),
            CommandError::Syntax(_) | CommandError::Name | CommandError::Parameter(_) => mark!(SmtpSyntax),
            CommandError::ReversePath(_) | CommandError::ForwardPath(_) => mark!(SmtpBadAddress),
            CommandError::UnknownParameter => mark!(SmtpUnknownParameter),
            CommandError::ChunkSize => mark!(SmtpBadChunkSize),
        }
        let fatal = match error {
            CommandError::WrongProtocol | CommandError::ChunkSize => true,
            CommandError::NotUtf8 => !self.speaks_smtp,
            _ => false,
        };
        if fatal {
            self.ending = Some(End::Refused);
        }
        self.bad(replies::bad_command(error));
    }

    /// Says `reply` to a command that makes no sense, unless there were too many of those.
    fn bad(&mut self, reply: Reply) {
        self.bad_commands += 1;
        let over = self.bad_commands >= self.config.limits.session.bad_commands && self.ending.is_none();
        if over {
            mark!(SmtpTooManyBad);
            self.ending = Some(End::Refused);
        }
        self.slot(if over { replies::TOO_MANY_BAD } else { reply });
    }

    fn ehlo(&mut self, name: &str, tx: &mut Outbox) {
        self.hello(name, true);
        let hostname = &self.config.hostname;
        let _ = write!(tx, "250-{hostname}\r\n");
        let mut lines = self.extensions().lines().peekable();
        while let Some(line) = lines.next() {
            let sign = if lines.peek().is_some() { '-' } else { ' ' };
            let _ = write!(tx, "250{sign}{line}\r\n");
        }
    }

    fn helo(&mut self, name: &str, tx: &mut Outbox) {
        self.hello(name, false);
        for part in ["250 ", &self.config.hostname, "\r\n"] {
            tx.put(part.as_bytes());
        }
    }

    fn hello(&mut self, name: &str, extended: bool) {
        self.abort();
        self.client.helo.clear();
        self.client.helo.push_str(name.strip_suffix('.').unwrap_or(name));
        self.extended = extended;
    }

    /// What is offered now. The list always has a line.
    fn extensions(&self) -> Extensions {
        Extensions {
            pipelining: true,
            size: Size::AtMost(self.config.message_size),
            eight_bit_mime: true,
            smtputf8: true,
            chunking: true,
            enhanced_status_codes: true,
            starttls: self.config.starttls && self.client.tls.is_none() && self.client.authenticated.is_none(),
            auth: if self.may_authenticate() { Mechanisms::all() } else { Mechanisms::default() },
            help: false,
        }
    }

    fn may_authenticate(&self) -> bool {
        let safe = self.client.tls.is_some() || self.config.cleartext_auth;
        self.config.service == Service::Submission && safe
    }

    fn start_tls(&mut self, alone: bool, tx: &mut Outbox) {
        let refused = if self.client.tls.is_some() {
            Some(replies::TLS_IS_UP)
        } else if !self.config.starttls {
            Some(replies::NO_STARTTLS)
        } else if self.client.authenticated.is_some() {
            Some(replies::TLS_AFTER_AUTH)
        } else if !alone {
            // Somebody on the way put it there, for us to take as said under TLS (CVE-2011-0411).
            Some(mark!(SmtpTlsNotAlone, replies::STARTTLS_NOT_ALONE))
        } else {
            None
        };
        if let Some(reply) = refused {
            mark!(SmtpTlsRefused);
            return self.bad(reply);
        }
        self.say(replies::READY_FOR_TLS, tx);
        self.state = State::Upgrading { told: false };
    }

    fn auth(&mut self, mechanism: &[u8], initial: Option<&[u8]>, now: Now, tx: &mut Outbox) -> Option<Step<Action>> {
        let refused = if self.config.service == Service::Transfer {
            Some(replies::NO_AUTH)
        } else if !self.extended {
            Some(replies::EHLO_FIRST)
        } else if self.client.authenticated.is_some() {
            Some(replies::IS_AUTHENTICATED)
        } else if self.transaction.is_some() {
            Some(replies::AUTH_IN_TRANSACTION)
        } else {
            None
        };
        if let Some(reply) = refused {
            mark!(SmtpAuthRefused);
            self.bad(reply);
            return None;
        }
        let Some(mechanism) = Mechanism::named(mechanism) else {
            self.bad(mark!(SmtpAuthMechanism, replies::NO_MECHANISM));
            return None;
        };
        if !self.may_authenticate() {
            self.bad(mark!(SmtpAuthNeedsTls, replies::TLS_REQUIRED));
            return None;
        }
        match Exchange::begin(mechanism, initial) {
            Ok((exchange, turn)) => self.auth_turn(Ok(turn), exchange, now, tx),
            Err(failure) => {
                self.auth_failed(failure);
                None
            }
        }
    }

    /// The client's next line in an AUTH exchange.
    pub(super) fn auth_line(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Option<Step<Action>> {
        if self.shutdown {
            self.state = State::Command;
            return None;
        }
        let scan = match self.scan(rx) {
            Some(scan) => scan,
            None if self.eof => return self.end(End::Eof),
            None => return self.wait_for_peer(now, self.config.limits.command_timeout, tx),
        };
        self.patience = None;
        let State::Auth(mut exchange) = core::mem::replace(&mut self.state, State::Command) else {
            return None;
        };
        match scan {
            Scan::Whole(len) => {
                let start = self.lines.consumed();
                self.secret(start, start + len as u64);
                let turn = exchange.respond(&rx[..len]);
                rx[..len].zeroize();
                self.lines.pass(rx, len);
                self.auth_turn(turn, exchange, now, tx)
            }
            Scan::Bad(fault) => {
                self.bad(mark!(SmtpBadLine, replies::bad_line(fault)));
                None
            }
            Scan::TooLong => {
                self.bad(mark!(SmtpAuthLineTooLong, replies::AUTH_LINE_TOO_LONG));
                None
            }
        }
    }

    fn auth_turn(
        &mut self,
        turn: Result<Turn, Failure>,
        exchange: Exchange,
        now: Now,
        tx: &mut Outbox,
    ) -> Option<Step<Action>> {
        match turn {
            Ok(Turn::Challenge(challenge)) => {
                for part in ["334 ", challenge, "\r\n"] {
                    tx.put(part.as_bytes());
                }
                self.state = State::Auth(exchange);
                None
            }
            Ok(Turn::Credentials(mechanism, credentials)) => {
                let (ticket, serial) = self.tickets.issue();
                let name = if credentials.authzid.is_empty() { &credentials.authcid } else { &credentials.authzid };
                let (asked, name) = (Asked { serial, at: now.mono }, name.clone());
                self.state = State::Authenticating { asked, name };
                Some(Step::Act(Action::Authenticate { ticket, mechanism, credentials }))
            }
            Err(failure) => {
                self.auth_failed(failure);
                None
            }
        }
    }

    fn auth_failed(&mut self, failure: Failure) {
        match failure {
            Failure::Cancelled => self.slot(mark!(SmtpAuthCancelled, replies::AUTH_CANCELLED)),
            Failure::Base64 | Failure::Malformed => self.bad(mark!(SmtpAuthMalformed, replies::AUTH_MALFORMED)),
        }
    }

    fn mail(&mut self, path: Path, parameters: MailParameters) {
        let limits = &self.config.limits;
        if self.client.helo.is_empty() {
            return self.bad(mark!(SmtpOutOfOrder, replies::EHLO_FIRST));
        }
        if self.config.service == Service::Submission && self.client.authenticated.is_none() {
            return self.bad(mark!(SmtpAuthRequired, replies::AUTH_REQUIRED));
        }
        if self.transaction.is_some() {
            return self.bad(mark!(SmtpOutOfOrder, replies::NESTED_MAIL));
        }
        if self.transactions >= limits.transactions {
            self.ending = Some(End::Refused);
            return self.slot(mark!(SmtpTooManyMessages, replies::TOO_MANY_MESSAGES));
        }
        if parameters.size.is_some_and(|size| size > self.config.message_size) {
            return self.slot(mark!(SmtpSizeDeclaredTooBig, replies::TOO_BIG));
        }
        let reverse_path = match path {
            Path::Mailbox(address) => Some(address),
            Path::Null | Path::Postmaster => None,
        };
        if !parameters.smtputf8 && reverse_path.as_ref().is_some_and(|address| !address.is_ascii()) {
            return self.slot(mark!(SmtpNotAscii, replies::REVERSE_NOT_ASCII));
        }
        self.transactions += 1;
        self.body = Body::new(limits);
        self.transaction = Some(Box::new(Transaction {
            id: TransactionId { session: self.tickets.session(), serial: self.transactions },
            reverse_path,
            recipients: Vec::new(),
            smtputf8: parameters.smtputf8,
            eight_bit: parameters.eight_bit,
            size: 0,
            trace: Bytes::new(),
            client: ClientInfo::default(),
        }));
        self.slot(replies::SENDER_OK);
    }

    fn rcpt(&mut self, path: Path, now: Now) -> Option<Step<Action>> {
        let Some(transaction) = &self.transaction else {
            self.bad(mark!(SmtpOutOfOrder, replies::MAIL_FIRST));
            return None;
        };
        if self.body.chunked {
            self.bad(mark!(SmtpOutOfOrder, replies::BDAT_BEGUN));
            return None;
        }
        let waiting = self.slots.iter().filter(|slot| !matches!(slot, Slot::Said(_))).count();
        if transaction.recipients.len() + waiting >= self.config.limits.recipients {
            self.slot(mark!(SmtpTooManyRecipients, replies::TOO_MANY_RECIPIENTS));
            return None;
        }
        let recipient = match path {
            Path::Mailbox(address) => address,
            Path::Null | Path::Postmaster => Address::postmaster(&self.config.hostname),
        };
        if !transaction.smtputf8 && !recipient.is_ascii() {
            self.slot(mark!(SmtpNotAscii, replies::FORWARD_NOT_ASCII));
            return None;
        }
        let (id, reverse_path) = (transaction.id, transaction.reverse_path.clone());
        let (ticket, serial) = self.tickets.issue();
        self.slots.push_back(Slot::Asked(Asked { serial, at: now.mono }, recipient.clone()));
        Some(Step::Act(Action::Recipient { ticket, transaction: id, recipient, reverse_path }))
    }

    fn begin_data(&mut self, tx: &mut Outbox) {
        let Some(transaction) = &self.transaction else {
            return self.bad(mark!(SmtpOutOfOrder, replies::MAIL_FIRST));
        };
        if self.body.chunked {
            return self.bad(mark!(SmtpOutOfOrder, replies::BDAT_BEGUN));
        }
        if transaction.recipients.is_empty() {
            return self.slot(mark!(SmtpNoRecipients, replies::NO_RECIPIENTS));
        }
        tx.put(b"354 Start mail input; end with <CRLF>.<CRLF>\r\n");
        self.state = State::Data;
    }

    /// The octets come whatever we think of them (RFC 3030 §2); so a refusal is said once they are read.
    fn begin_chunk(&mut self, size: u64, last: bool) {
        let doomed = match &self.transaction {
            None => Some(mark!(SmtpOutOfOrder, replies::MAIL_FIRST)),
            Some(transaction) if transaction.recipients.is_empty() => {
                Some(mark!(SmtpNoRecipients, replies::NO_RECIPIENTS))
            }
            Some(transaction) if size > self.config.message_size - transaction.size => {
                Some(mark!(SmtpChunkTooBig, replies::TOO_BIG))
            }
            Some(_) => None,
        };
        if doomed.is_some() && self.body.chunked {
            mark!(SmtpChunkDoomed);
            // Whatever was begun cannot be completed any more.
            self.abort();
        }
        if !self.body.chunked {
            self.body.pace = Pace::default();
        }
        self.body.chunked |= doomed.is_none();
        self.state = State::Chunk(Chunk { size, left: size, last, doomed });
    }
}
