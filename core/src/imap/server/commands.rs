//! Commands: which ones are taken in which state, and what each of them sets going.

use alloc::string::{String, ToString as _};

use super::append::Append;
use super::copy::Copying;
use super::criteria::Criteria;
use super::expunge::Expunging;
use super::fetch::Fetching;
use super::idle::Idle;
use super::mailboxes::{Changing, Listing, Query, Renamed, behind};
use super::reply::{self, Completion};
use super::search::Searching;
use super::select::Selecting;
use super::store::Storing;
use super::task::{Task, names};
use super::terms::{flags, stored, stored_use};
use super::view::View;
use super::{Doing, Reply, Server, Stage, State, Turn, capability};
use crate::imap::encode;
use crate::imap::reader::Exchange;
use crate::imap::types::{
    self, Code, Command, Enabled, Fetch, FetchItem, List, Search, Select, SequenceSet, SpecialUse, StatusItem, Store,
    Tag, Tagged, Transfer,
};
use crate::mailbox::{FlagChange, FlagMode, MailboxName, Request, UidSet};
use crate::mark;
use crate::outbox::Outbox;
use crate::sasl::{self, Credentials, Mechanism};
use crate::session::{End, Layer, Step};
use crate::time::Now;

/// A command that is over before it has begun.
type Refusal = Completion;

const LOG_IN_FIRST: Completion = Completion::bad("Log in first");
const LOGGED_IN: Completion = Completion::bad("Already logged in");
const SELECT_FIRST: Completion = Completion::bad("No mailbox selected");

impl Server {
    /// Begins a command.
    pub(super) fn begin(&mut self, now: Now, tagged: Tagged, behind: usize, tx: &mut Outbox) -> Turn {
        let Tagged { tag, command } = tagged;
        let name = command.name();
        self.active = now.mono;
        if let Some(view) = &mut self.view {
            view.retry();
        }
        let logged_in = matches!(self.state, State::LoggedIn);
        let append = matches!(command, Command::Append { .. });
        let task = match command {
            Command::Capability => {
                let announced = capability::announced(&self.config, self.standing());
                encode::capability(tx, announced.iter().map(types::Text::as_str));
                Ok(Task::Over(Completion::OK))
            }
            Command::Noop => Ok(self.noop()),
            Command::Logout => {
                reply::bye(reply::GOODBYE, tx);
                Completion::OK.say(&tag, name, tx);
                return self.end(End::Quit);
            }
            Command::Id(_) => {
                encode::id(tx, [("name", "Pillarbox")]);
                Ok(Task::Over(Completion::OK))
            }
            Command::StartTls if logged_in || self.tls => mark!(ImapTlsRefused, Err(Completion::bad("Not now"))),
            Command::StartTls if !self.config.starttls => {
                mark!(ImapTlsRefused, Err(Completion::bad("TLS is not offered")))
            }
            Command::StartTls if behind > 0 => {
                mark!(ImapTlsNotAlone, Err(Completion::bad("Nothing may follow STARTTLS before TLS is up")))
            }
            Command::StartTls => {
                Completion::OK.say(&tag, "STARTTLS", tx);
                self.state = State::Upgrading;
                return Turn::Say(Step::Upgrade(Layer::Tls));
            }
            Command::Login { .. } | Command::Authenticate { .. } if logged_in => mark!(ImapOutOfOrder, Err(LOGGED_IN)),
            Command::Login { .. } | Command::Authenticate { .. } if !self.takes_login() => {
                mark!(ImapNeedsTls, Err(Completion::no(Code::PrivacyRequired, reply::NEEDS_TLS)))
            }
            Command::Login { user, password } => match core::str::from_utf8(&user) {
                Ok(user) if !user.contains('\0') => {
                    let credentials = Credentials { authzid: String::new(), authcid: user.to_string(), password };
                    return self.authenticate(now, tag, name, Mechanism::Login, credentials);
                }
                _ => mark!(ImapRejected, Err(Completion::no(Code::AuthenticationFailed, reply::REJECTED))),
            },
            Command::Authenticate { mechanism, initial } => {
                let Some(Mechanism::Plain) = Mechanism::named(mechanism.as_bytes()) else {
                    mark!(ImapMechanism);
                    return self.over(now, tag, name, Completion::no(Code::Cannot, "Unrecognized mechanism"), tx);
                };
                let begun = sasl::Exchange::begin(Mechanism::Plain, initial.as_ref().map(|it| it.expose()));
                let (exchange, turn) = match begun {
                    Ok((exchange, turn)) => (Some(exchange), Ok(turn)),
                    Err(failure) => (None, Err(failure)),
                };
                return self.exchange(now, tag, exchange, turn, tx);
            }
            command if logged_in => self.logged_in(now, command, tx),
            _ => mark!(ImapOutOfOrder, Err(LOG_IN_FIRST)),
        };
        match task {
            Ok(task) => {
                self.doing = Some(Doing { tag, name, stage: Stage::Working(task) });
                Turn::On
            }
            Err(refusal) => {
                if append {
                    self.reader.refuse();
                }
                self.over(now, tag, name, refusal, tx)
            }
        }
    }

    /// A command once somebody has logged in.
    fn logged_in(&mut self, now: Now, command: Command, tx: &mut Outbox) -> Result<Task, Refusal> {
        match command {
            Command::Enable(asked) => Ok(self.enable(asked, tx)),
            Command::Namespace => {
                encode::namespace(tx, "", Some(MailboxName::DELIMITER));
                Ok(Task::Over(Completion::OK))
            }
            Command::Select(select) => self.select(select, tx),
            Command::Create { mailbox, uses, unknown_use } => create(&mailbox, &uses, unknown_use),
            Command::Delete(name) => {
                let request = Request::Delete { name: kept(&name)? };
                Ok(Task::Changing(Changing::called(&name, request)))
            }
            Command::Rename { from, to } => {
                let new = MailboxName::new(without_end(to.as_str())).map_err(|_| bad_name())?;
                let request = Request::Rename { from: kept(&from)?, to: new };
                Ok(Task::Changing(Changing::rename(&from, &to, request)))
            }
            Command::Subscribe(name) => Ok(change(Request::Subscribe { name: named(&name)?, subscribed: true })),
            Command::Unsubscribe(name) => match stored(&name) {
                Ok(name) => Ok(change(Request::Subscribe { name, subscribed: false })),
                // A name that no mailbox can have is not subscribed.
                Err(_) => Ok(Task::Over(Completion::OK)),
            },
            Command::List(list) => Ok(self.list(list, tx)),
            Command::Lsub { reference, pattern } => match behind(&reference, &[pattern]).pop() {
                Some(pattern) => Ok(Task::Listing(Listing::new(Query::Lsub(pattern)))),
                None => Ok(Task::Over(Completion::OK)),
            },
            Command::Status { mailbox, items } => {
                let name = kept(&mailbox)?;
                if items.contains(&StatusItem::HighestModseq) {
                    self.condstore(tx);
                }
                Ok(Task::Listing(Listing::new(Query::Status { name, items })))
            }
            Command::Append { mailbox, message } => {
                let to = named(&mailbox)?;
                Ok(Task::Append(Append::new(Renamed::of(&mailbox, &to), to, message)))
            }
            Command::Idle => Ok(Task::Idle(Idle::default())),
            Command::Check => self.selected().map(drop).map(|()| self.noop()),
            Command::Close => {
                // Of a mailbox that was only looked at nothing is removed.
                if self.selected()?.read_only {
                    self.unselect()
                } else {
                    Ok(Task::Expunging(Expunging::new(None, true)))
                }
            }
            Command::Unselect => self.unselect(),
            Command::Expunge(set) => {
                let view = self.writable()?;
                let uids = set.map(|set| view.resolve(&set, true)).map(Option::unwrap_or_default);
                Ok(Task::Expunging(Expunging::new(uids, false)))
            }
            Command::Fetch(fetch) => self.fetch(fetch, tx),
            Command::Store(store) => self.store(store, tx),
            Command::Search(search) => self.search(&search, now, tx),
            Command::Copy(transfer) => self.transfer(&transfer, false),
            Command::Move(transfer) => self.transfer(&transfer, true),
            _ => Err(Completion::bad("Not now")),
        }
    }

    fn selected(&mut self) -> Result<&mut View, Refusal> {
        self.view.as_mut().ok_or_else(|| mark!(ImapNothingSelected, SELECT_FIRST))
    }

    fn unselect(&mut self) -> Result<Task, Refusal> {
        let mailbox = self.selected()?.mailbox;
        self.actions.push_back(super::Action::Unwatch { mailbox });
        self.view = None;
        Ok(Task::Over(Completion::OK))
    }

    fn writable(&mut self) -> Result<&mut View, Refusal> {
        let view = self.selected()?;
        if view.read_only {
            mark!(ImapReadOnly, Err(Completion::no(Code::ReadOnly, "The mailbox is open for reading only")))
        } else {
            Ok(view)
        }
    }

    fn noop(&mut self) -> Task {
        if let Some(view) = &mut self.view {
            view.look_again();
        }
        Task::Over(Completion::OK)
    }

    fn enable(&mut self, asked: Enabled, tx: &mut Outbox) -> Task {
        let offered =
            |name| capability::CAPABILITIES.iter().any(|(it, _)| *it == name) && capability::offers(&self.config, name);
        let asked = Enabled {
            condstore: asked.condstore && offered("CONDSTORE"),
            qresync: asked.qresync && offered("QRESYNC") && offered("CONDSTORE"),
            utf8_accept: asked.utf8_accept && offered("UTF8=ACCEPT"),
            imap4rev2: asked.imap4rev2 && offered("IMAP4rev2"),
        };
        if asked.condstore || asked.qresync {
            self.condstore(tx);
        }
        self.enabled.qresync |= asked.qresync;
        self.enabled.utf8_accept |= asked.utf8_accept;
        self.enabled.imap4rev2 |= asked.imap4rev2;
        self.reader.set_names(names(self.enabled));
        encode::enabled(tx, asked.names());
        Task::Over(Completion::OK)
    }

    /// The client knows of mod-sequences from here on (RFC 7162 §3.1).
    fn condstore(&mut self, tx: &mut Outbox) {
        if core::mem::replace(&mut self.enabled.condstore, true) {
            return;
        }
        if let Some(view) = &self.view {
            reply::highest(view.told, tx);
        }
    }

    fn select(&mut self, select: Select, tx: &mut Outbox) -> Result<Task, Refusal> {
        if select.qresync.is_some() && !self.enabled.qresync {
            return mark!(ImapNotEnabled, Err(Completion::bad("ENABLE QRESYNC first")));
        }
        let stored = kept(&select.mailbox);
        if select.condstore {
            // What the mailbox is at is told when it is open.
            self.enabled.condstore = true;
        }
        let Ok(stored) = stored else {
            // A SELECT that fails leaves nothing selected (RFC 9051 §6.3.2).
            if let Some(view) = self.view.take() {
                self.actions.push_back(super::Action::Unwatch { mailbox: view.mailbox });
                super::select::closed(tx);
            }
            return Err(Completion::nonexistent());
        };
        Ok(Task::Selecting(Selecting::new(select.mailbox, stored, select.read_only, select.qresync)))
    }

    fn list(&mut self, list: List, tx: &mut Outbox) -> Task {
        let List { reference, mut patterns, select, returns, extended } = list;
        if !extended && patterns.first().is_some_and(|pattern| pattern.as_str().is_empty()) {
            encode::list_root(tx, Some(MailboxName::DELIMITER), b"");
            return Task::Over(Completion::OK);
        }
        // In the extended syntax they mean nothing (RFC 9051 §6.3.9).
        patterns.retain(|pattern| !pattern.as_str().is_empty());
        if returns.status.contains(&StatusItem::HighestModseq) {
            self.condstore(tx);
        }
        Task::Listing(Listing::new(Query::List { patterns: behind(&reference, &patterns), select, returns }))
    }

    fn fetch(&mut self, fetch: Fetch, tx: &mut Outbox) -> Result<Task, Refusal> {
        let qresync = self.enabled.qresync;
        let view = self.selected()?;
        let Fetch { uid, set, mut items, changed_since, vanished } = fetch;
        if vanished && !qresync {
            return mark!(ImapNotEnabled, Err(Completion::bad("ENABLE QRESYNC first")));
        }
        let uids = view.resolve(&set, uid).ok_or_else(no_such_number)?;
        let writable = !view.read_only;
        if uid && !items.contains(&FetchItem::Uid) {
            items.insert(0, FetchItem::Uid);
        }
        let known = match &set {
            _ if !vanished => None,
            SequenceSet::Saved => Some(uids.clone()),
            set => super::vanished::asked(set, view.uids.last().unwrap_or(0)),
        };
        if changed_since.is_some() && !items.contains(&FetchItem::Modseq) {
            items.push(FetchItem::Modseq);
        }
        if items.contains(&FetchItem::Modseq) {
            self.condstore(tx);
        }
        let since = changed_since.map(types::Modseq::value);
        Ok(Task::Fetching(Fetching::new(items, uids, since, known, writable).into()))
    }

    fn store(&mut self, store: Store, tx: &mut Outbox) -> Result<Task, Refusal> {
        let view = self.writable()?;
        let uids = view.resolve(&store.set, store.uid).ok_or_else(no_such_number)?;
        let Some((flags, keywords)) = flags(&store.flags) else {
            return mark!(ImapKeywordTooLong, Err(Completion::too_many("A keyword is too long")));
        };
        let mode = match store.change {
            types::FlagChange::Replace => FlagMode::Replace,
            types::FlagChange::Add => FlagMode::Add,
            types::FlagChange::Remove => FlagMode::Remove,
        };
        if store.unchanged_since.is_some() {
            self.condstore(tx);
        }
        let change = FlagChange { mode, flags, keywords };
        let since = store.unchanged_since.map(types::Modseq::value);
        Ok(Task::Storing(Storing::new(store.uid, uids, change, since, store.silent)))
    }

    fn search(&mut self, search: &Search, now: Now, tx: &mut Outbox) -> Result<Task, Refusal> {
        let enabled = self.enabled;
        let view = self.selected()?;
        let criteria = Criteria::new(search, view, enabled, now.wall).inspect_err(|refusal| {
            if !refusal.is_bad() && search.returns.is_some_and(|returns| returns.save) {
                // Nothing was found, and that is saved (RFC 5182 §2.1).
                view.saved = UidSet::default();
            }
        })?;
        let modseq = criteria.modseq;
        let searching = Searching::new(search.uid, search.returns, criteria, view);
        if modseq {
            self.condstore(tx);
        }
        Ok(Task::Searching(searching.into()))
    }

    fn transfer(&mut self, transfer: &Transfer, remove: bool) -> Result<Task, Refusal> {
        let view = if remove { self.writable()? } else { self.selected()? };
        let uids = view.resolve(&transfer.set, transfer.uid).ok_or_else(no_such_number)?;
        let to = stored(&transfer.mailbox).map_err(|_| bad_name())?;
        Ok(Task::Copying(Copying::new(uids, to, remove)))
    }

    /// What came of a line in a SASL exchange.
    pub(super) fn exchange(
        &mut self,
        now: Now,
        tag: Tag,
        exchange: Option<sasl::Exchange>,
        turn: Result<sasl::Turn, sasl::Failure>,
        tx: &mut Outbox,
    ) -> Turn {
        const NAME: &str = "AUTHENTICATE";
        match (turn, exchange) {
            (Ok(sasl::Turn::Credentials(mechanism, credentials)), _) => {
                self.authenticate(now, tag, NAME, mechanism, credentials)
            }
            (Ok(sasl::Turn::Challenge(challenge)), Some(exchange)) => {
                encode::continuation(tx, challenge);
                self.reader.exchange(Exchange::Authenticate);
                self.doing = Some(Doing { tag, name: NAME, stage: Stage::Working(Task::Sasl(exchange)) });
                Turn::On
            }
            (Err(sasl::Failure::Base64), _) => {
                mark!(ImapBadExchange, self.over(now, tag, NAME, Completion::bad("Not base64"), tx))
            }
            (Err(sasl::Failure::Cancelled), _) => {
                mark!(ImapExchangeCancelled, self.over(now, tag, NAME, Completion::bad("Cancelled"), tx))
            }
            _ => {
                let malformed = Completion::bad("Not a response of this mechanism");
                mark!(ImapBadExchange, self.over(now, tag, NAME, malformed, tx))
            }
        }
    }

    fn authenticate(
        &mut self,
        now: Now,
        tag: Tag,
        name: &'static str,
        mechanism: Mechanism,
        credentials: Credentials,
    ) -> Turn {
        let (ticket, serial) = self.tickets.issue();
        self.asked(now, serial, false);
        self.doing = Some(Doing { tag, name, stage: Stage::Working(Task::Login) });
        Turn::Say(Step::Act(super::Action::Authenticate { ticket, mechanism, credentials }))
    }

    /// The host has said whether credentials are good.
    pub(super) fn authenticated(&mut self, now: Now, doing: Doing, answer: Option<Reply>, tx: &mut Outbox) -> Turn {
        use super::AuthenticateAnswer;
        let Doing { tag, name, .. } = doing;
        match answer {
            Some(Reply::Login(AuthenticateAnswer::Accepted)) => {
                self.state = State::LoggedIn;
                let code = Code::Capability(capability::announced(&self.config, self.standing()));
                self.over(now, tag, name, Completion::ok(code), tx)
            }
            Some(Reply::Login(AuthenticateAnswer::Rejected)) => {
                mark!(ImapRejected);
                self.failed_logins += 1;
                let turn = self.over(now, tag, name, Completion::no(Code::AuthenticationFailed, reply::REJECTED), tx);
                if self.failed_logins < self.config.limits.session.failed_logins {
                    return turn;
                }
                mark!(ImapTooManyLogins);
                reply::bye(reply::TOO_MANY_LOGINS, tx);
                self.end(End::Refused)
            }
            _ => self.over(now, tag, name, Completion::unavailable(false), tx),
        }
    }
}

fn change(request: Request) -> Task {
    Task::Changing(Changing::new(request))
}

fn create(mailbox: &types::MailboxName, uses: &[SpecialUse], unknown: bool) -> Result<Task, Refusal> {
    let no_use = || mark!(ImapNoSuchUse, Completion::no(Code::UseAttr, "No mailbox can be for that"));
    let name = MailboxName::new(without_end(mailbox.as_str())).map_err(|_| bad_name())?;
    let special_use = match uses {
        _ if unknown => return Err(no_use()),
        [] => None,
        [one] => Some(stored_use(*one).ok_or_else(no_use)?),
        _ => return Err(no_use()),
    };
    Ok(Task::Changing(Changing::called(mailbox, Request::Create { name, special_use })))
}

pub(super) fn no_such_number() -> Completion {
    mark!(ImapNoSuchNumber, Completion::bad("There is no message with that number"))
}

/// A delimiter at the end says that there will be mailboxes below (RFC 9051 §6.3.4); here there may always be.
fn without_end(name: &str) -> &str {
    name.strip_suffix(MailboxName::DELIMITER).unwrap_or(name)
}

fn bad_name() -> Completion {
    mark!(ImapBadName, Completion::no(Code::Cannot, "That is no name for a mailbox here"))
}

/// The name of a mailbox that should be there.
fn kept(name: &types::MailboxName) -> Result<MailboxName, Refusal> {
    stored(name).map_err(|_| Completion::nonexistent())
}

/// A name that may be there or not.
fn named(name: &types::MailboxName) -> Result<MailboxName, Refusal> {
    stored(name).map_err(|_| bad_name())
}
