//! The commands, and what each of them does in AUTHORIZATION and TRANSACTION.

use alloc::string::{String, ToString as _};

use bytes::BytesMut;
use zeroize::Zeroize as _;

use super::reply::Column;
use super::top::Cut;
use super::{Action, Closing, End, Layer, Message, Now, Outbox, Server, State, Step, Turn, reply};
use crate::line::Scan;
use crate::mark;
use crate::pop3::command::{self, Command, Number};
use crate::sasl::{self, Credentials, Exchange, Mechanism};
use crate::secret::Secret;
use crate::session::{Direction, SecretSpan};

impl Server {
    /// Takes the next line, if it is there: a command, or a response in a SASL exchange.
    pub(super) fn command(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Turn {
        if self.closing == Closing::Shutdown {
            mark!(Pop3Shutdown);
            tx.put(reply::SHUTDOWN);
            return self.end(End::Shutdown);
        }
        if !matches!(self.state, State::Transaction) && self.login_until() <= now.mono {
            mark!(Pop3SlowLogin);
            return self.end(End::Timeout);
        }
        if tx.is_full() {
            return self.wait_for_room(now, rx, tx);
        }
        let start = self.lines.consumed();
        let scan = self.lines.scan(rx);
        let swallowed = self.lines.consumed() - start;
        if swallowed > 0 {
            // What a refused line held, nobody knows.
            self.conceal(start, 0, swallowed);
        }
        match scan {
            None if self.closing == Closing::Eof => mark!(Pop3Eof, self.end(End::Eof)),
            None => self.wait_for_peer(now, rx),
            Some(Scan::TooLong) => mark!(Pop3LineTooLong, self.bad(now, reply::LINE_TOO_LONG, tx)),
            Some(Scan::Bad(fault)) => mark!(Pop3BadLine, self.bad(now, reply::fault(fault), tx)),
            Some(Scan::Whole(len)) => {
                // Zero when nothing stands behind the line's CRLF.
                let behind = rx.len() - len - 2;
                let turn = self.line(now, &rx[..len], behind, tx);
                if !self.secrets.is_empty() {
                    // It may hold a password, and the buffer goes on to other connections.
                    rx[..len].zeroize();
                }
                self.lines.pass(rx, len);
                turn
            }
        }
    }

    fn line(&mut self, now: Now, line: &[u8], behind: usize, tx: &mut Outbox) -> Turn {
        self.active = now.mono;
        if let State::Sasl(exchange) = &mut self.state {
            let turn = exchange.respond(line);
            if line != b"*" {
                self.conceal(self.lines.consumed(), 0, line.len() as u64);
            }
            return self.exchange(now, turn, tx);
        }
        if let Some(secret) = command::secret(line) {
            self.conceal(self.lines.consumed(), secret.start as u64, secret.end as u64);
        }
        let user = match &mut self.state {
            State::Authorization { user } => Some(user.take()),
            _ => None,
        };
        match (Command::parse(line), user) {
            (Err(error), _) => mark!(Pop3Syntax, self.bad(now, reply::syntax(error), tx)),
            (Ok(command), Some(user)) => self.authorization(now, command, user, behind, tx),
            (Ok(command), None) => self.transaction(now, command, tx),
        }
    }

    /// A command in AUTHORIZATION. `user` is the name given by USER with the command before.
    fn authorization(
        &mut self,
        now: Now,
        command: Command<'_>,
        user: Option<String>,
        behind: usize,
        tx: &mut Outbox,
    ) -> Turn {
        match command {
            Command::Capa => self.capabilities(now, tx),
            Command::Quit => {
                reply::goodbye(&self.config, tx);
                self.end(End::Quit)
            }
            Command::Stls if self.tls => mark!(Pop3TlsRefused, self.bad(now, reply::TLS_ACTIVE, tx)),
            Command::Stls if !self.config.stls => mark!(Pop3TlsRefused, self.bad(now, reply::NO_TLS, tx)),
            Command::Stls if behind > 0 => mark!(Pop3TlsNotAlone, self.bad(now, reply::BEHIND_STLS, tx)),
            Command::Stls => {
                tx.put(reply::BEGIN_TLS);
                self.state = State::Upgrading;
                Turn::Say(Step::Upgrade(Layer::Tls))
            }
            Command::User(_) | Command::Pass(_) | Command::Auth { .. } if !self.offers_login() => {
                mark!(Pop3NeedsTls, self.bad(now, reply::NEEDS_TLS, tx))
            }
            Command::User(name) => {
                // Whether there is such a user, nobody learns from USER.
                tx.put(reply::USER_TAKEN);
                self.ready(now, State::Authorization { user: Some(name.to_string()) })
            }
            Command::Pass(password) => {
                let Some(authcid) = user else {
                    return mark!(Pop3OutOfOrder, self.bad(now, reply::USER_FIRST, tx));
                };
                let password = Secret::new(password.to_vec());
                let credentials = Credentials { authzid: String::new(), authcid, password };
                self.authenticate(now, Mechanism::Login, credentials)
            }
            Command::Auth { mechanism, initial } => {
                if Mechanism::named(mechanism.as_bytes()) != Some(Mechanism::Plain) {
                    return mark!(Pop3Mechanism, self.bad(now, reply::MECHANISM, tx));
                }
                let turn = match Exchange::begin(Mechanism::Plain, initial) {
                    Ok((exchange, turn)) => {
                        self.state = State::Sasl(exchange);
                        Ok(turn)
                    }
                    Err(failure) => Err(failure),
                };
                self.exchange(now, turn, tx)
            }
            _ => mark!(Pop3OutOfOrder, self.bad(now, reply::LOGIN_FIRST, tx)),
        }
    }

    /// A command in TRANSACTION.
    fn transaction(&mut self, now: Now, command: Command<'_>, tx: &mut Outbox) -> Turn {
        match command {
            Command::Capa => return self.capabilities(now, tx),
            Command::Noop => tx.put(reply::OK),
            Command::Stat => reply::stat(&self.maildrop, tx),
            Command::List(None) => {
                reply::holds(&self.maildrop, tx);
                return self.ready(now, State::Listing { column: Column::Size, next: 0 });
            }
            Command::Uidl(None) => {
                tx.put(reply::UNIQUE_IDS_FOLLOW);
                return self.ready(now, State::Listing { column: Column::Unique, next: 0 });
            }
            Command::List(Some(number)) => self.show(number, Column::Size, tx),
            Command::Uidl(Some(number)) => self.show(number, Column::Unique, tx),
            Command::Retr(number) => return self.retrieve(now, number, None, tx),
            Command::Top { message, lines } => return self.retrieve(now, message, Some(Cut::new(lines)), tx),
            Command::Dele(number) => {
                if let Some((index, _)) = self.find(number, tx) {
                    self.maildrop.mark(index);
                    reply::deleted(number, tx);
                }
            }
            Command::Rset => {
                self.maildrop.reset();
                reply::holds(&self.maildrop, tx);
            }
            Command::Quit => {
                let (ticket, question) = self.ask(now);
                self.state = State::Committing(question);
                self.holding = false;
                return Turn::Say(Step::Act(Action::Commit { ticket, deleted: self.maildrop.marked() }));
            }
            Command::User(_) | Command::Pass(_) | Command::Auth { .. } | Command::Stls => {
                return mark!(Pop3OutOfOrder, self.bad(now, reply::LOGGED_IN, tx));
            }
        }
        self.ready(now, State::Transaction)
    }

    fn capabilities(&mut self, now: Now, tx: &mut Outbox) -> Turn {
        let authorization = !matches!(self.state, State::Transaction);
        let stls = authorization && self.config.stls && !self.tls;
        reply::capabilities(&reply::Offer { login: self.offers_login(), stls }, tx);
        self.active = now.mono;
        Turn::On
    }

    fn show(&mut self, number: Number, column: Column, tx: &mut Outbox) {
        if let Some((_, message)) = self.find(number, tx) {
            reply::row(b"+OK ", number.0.into(), message, column, tx);
        }
    }

    fn retrieve(&mut self, now: Now, number: Number, cut: Option<Cut>, tx: &mut Outbox) -> Turn {
        let Some((index, message)) = self.find(number, tx) else {
            return self.ready(now, State::Transaction);
        };
        self.transfer.begin(index, message.size, cut);
        self.ready(now, State::Sending)
    }

    /// The message that `number` names, or a reply that says there is none.
    fn find(&self, number: Number, tx: &mut Outbox) -> Option<(usize, Message)> {
        let missing = |why| mark!(Pop3NoSuchMessage, reply::no_such(why, number, &self.maildrop, tx));
        self.maildrop.find(number).map_err(missing).ok()
    }

    /// What came of a line in a SASL exchange.
    fn exchange(&mut self, now: Now, turn: Result<sasl::Turn, sasl::Failure>, tx: &mut Outbox) -> Turn {
        match turn {
            Ok(sasl::Turn::Challenge(challenge)) => {
                reply::challenge(challenge, tx);
                Turn::On
            }
            Ok(sasl::Turn::Credentials(mechanism, credentials)) => self.authenticate(now, mechanism, credentials),
            Err(failure) => mark!(Pop3BadExchange, self.bad(now, reply::exchange(failure), tx)),
        }
    }

    fn authenticate(&mut self, now: Now, mechanism: Mechanism, credentials: Credentials) -> Turn {
        let (ticket, question) = self.ask(now);
        self.state = State::Authenticating(question);
        Turn::Say(Step::Act(Action::Authenticate { ticket, mechanism, credentials }))
    }

    /// Refuses a line, and hangs up when there were too many such lines. A SASL exchange ends by it.
    fn bad(&mut self, now: Now, reply: &[u8], tx: &mut Outbox) -> Turn {
        self.bad_commands += 1;
        if self.bad_commands >= self.config.limits.session.bad_commands {
            mark!(Pop3TooManyBad);
            tx.put(reply::TOO_MANY);
            return self.end(End::Refused);
        }
        tx.put(reply);
        let transaction = matches!(self.state, State::Transaction);
        self.ready(now, if transaction { State::Transaction } else { State::Authorization { user: None } })
    }

    /// Whether a password may cross.
    fn offers_login(&self) -> bool {
        self.tls || self.config.cleartext_auth
    }

    /// Marks a part of the line that begins at `line`.
    fn conceal(&mut self, line: u64, start: u64, end: u64) {
        self.secrets.push(SecretSpan { direction: Direction::In, start: line + start, end: line + end });
    }
}
