//! What is done to a store while its disk is recorded: changes of every kind, drawn from a seed, several at a time.

use bytes::Bytes;
use pillarbox_core::mailbox::*;
use pillarbox_core::ops::*;
use pillarbox_core::{Random, Secret, Seed, Wall};

use crate::common::*;
use crate::subject::Subject;

/// Changes that are asked for at a time, at most.
const AT_A_TIME: usize = 6;
/// The store is closed and opened again after so many rounds.
const REOPENED: usize = 45;
/// How often the store is left alone until it has tidied up, in one run.
const IDLE: usize = 3;
const NAMES: [&str; 6] = ["INBOX", "a", "a/b", "a/b/c", "kept", "Trash"];
pub(crate) const ACCOUNTS: [&str; 3] = ["alice@example.org", "bob@example.org", "carol@example.org"];

/// The store takes no more changes: its disk failed.
#[derive(Debug)]
pub(crate) struct Stopped;

/// Makes so many rounds of changes, unless the store stops before.
pub(crate) fn run(subject: &Subject, seed: u64, rounds: usize) -> Result<(), Stopped> {
    let mut run =
        Run { subject, random: Random::new(&Seed::number(seed)), bodies: 0, idle: 0, known: Known::default() };
    run.change(ACCOUNTS[..2].iter().map(|account| add_account(account)).collect())?;
    for round in 1..=rounds {
        if round % REOPENED == 0 {
            subject.reopen()?;
            run.known.lease = None;
        }
        subject.set_clock(round as i64 * 1_000);
        run.learn()?;
        match run.random.below(12) {
            _ if run.known.accounts.is_empty() => run.change(vec![add_account(ACCOUNTS[0])])?,
            0 => run.delete_by_pop3()?,
            1 => run.purge()?,
            _ => run.several()?,
        }
    }
    Ok(())
}

struct Run<'a> {
    subject: &'a Subject,
    random: Random,
    bodies: usize,
    /// How often the store was left alone.
    idle: usize,
    known: Known,
}

#[derive(Default)]
struct Known {
    accounts: Vec<AccountId>,
    mailboxes: Vec<(AccountId, MailboxId, Counters)>,
    rows: Vec<RowId>,
    lease: Option<LeaseEpoch>,
}

fn add_account(name: &str) -> StoreOp {
    StoreOp::Account(AccountOp::Add { address: address(name), password: Secret::from("pencil") })
}

impl Run<'_> {
    /// Asks for all of these, and waits for all answers.
    fn change(&mut self, ops: Vec<StoreOp>) -> Result<(), Stopped> {
        let tokens: Vec<_> = ops.into_iter().map(|op| self.subject.node.submit(self.subject, op)).collect();
        let replies: Vec<_> = tokens.into_iter().map(|token| self.subject.node.replies.wait(token)).collect();
        match replies.contains(&StoreReply::Failed(StoreError::Stopped)) {
            true => Err(Stopped),
            false => Ok(()),
        }
    }

    /// Nothing is asked for until the store has tidied up.
    fn idle(&mut self) -> Result<(), Stopped> {
        self.idle += 1;
        if self.idle <= IDLE {
            let before = self.subject.layer.syncs_of_database();
            // So that there is something to be written back, whatever came before.
            let (alias, targets) = (address("idle@example.org"), vec![address(&format!("{}@example.org", self.idle))]);
            self.change(vec![StoreOp::Account(AccountOp::SetAlias { alias, targets })])?;
            self.subject.wait_until_tidied(before);
        }
        Ok(())
    }

    fn ask(&self, op: StoreOp) -> StoreReply {
        self.subject.node.ask(self.subject, op)
    }

    fn request(&self, account: AccountId, ask: Request) -> Response {
        request(&self.subject.node, self.subject, account, ask)
    }

    /// Reads what there is, so that changes are of something.
    fn learn(&mut self) -> Result<(), Stopped> {
        let mut accounts = Vec::new();
        for account in ACCOUNTS {
            let op = StoreOp::Account(AccountOp::Resolve { address: address(account) });
            if let StoreReply::Account(AccountReply::Resolved(Resolution::Targets { accounts: found, .. })) =
                self.ask(op)
            {
                accounts.extend(found.into_iter().map(|(id, _)| id));
            }
        }
        let mut mailboxes = Vec::new();
        for account in &accounts {
            let Response::Mailboxes(listed) = self.request(*account, Request::List) else { panic!("no list") };
            mailboxes.extend(listed.iter().filter_map(|it| it.there).map(|(id, counters)| (*account, id, counters)));
        }
        let list = QueueOp::List { after: None, limit: usize::MAX };
        let StoreReply::Queue(QueueReply::Rows(rows)) = self.ask(StoreOp::Queue(list)) else { panic!("no rows") };
        let rows = rows.into_iter().map(|row| row.id).collect();
        let lease = match self.known.lease {
            Some(lease) => lease,
            None => self.lease()?,
        };
        self.known = Known { accounts, mailboxes, rows, lease: Some(lease) };
        Ok(())
    }

    fn lease(&mut self) -> Result<LeaseEpoch, Stopped> {
        let lease = QueueOp::Lease { buckets: 0..BUCKETS, epoch: None, until: Wall(i64::MAX) };
        match self.ask(StoreOp::Queue(lease)) {
            StoreReply::Queue(QueueReply::Leased(epoch)) => Ok(epoch),
            StoreReply::Failed(StoreError::Stopped) => Err(Stopped),
            other => panic!("{other:?}"),
        }
    }

    fn several(&mut self) -> Result<(), Stopped> {
        let ops = (0..=self.random.below(AT_A_TIME)).map(|_| self.draw()).collect();
        self.change(ops)
    }

    /// Opens a maildrop, and deletes most of what is in it: the rest keeps its segments half alive, until they are rewritten.
    fn delete_by_pop3(&mut self) -> Result<(), Stopped> {
        let account = self.account();
        let open = StoreOp::Maildrop(MaildropOp::Open { account });
        let StoreReply::Maildrop(MaildropReply::Opened { lock, entries }) = self.ask(open) else {
            // There was no room to commit what was deleted last time, and the lock is held still.
            return Ok(());
        };
        let deleted = entries.iter().filter(|_| self.random.below(4) > 0).map(|entry| entry.entry).collect();
        self.change(vec![StoreOp::Maildrop(MaildropOp::Commit { lock, deleted })])?;
        self.idle()
    }

    /// Empties most of a mailbox as a mail reader does, while mail comes in.
    fn purge(&mut self) -> Result<(), Stopped> {
        let (account, mailbox, counters) = self.mailbox();
        let uids = UidSet::run(1, counters.uid_next / 4 * 3 + 1);
        let change = FlagChange { mode: FlagMode::Add, flags: FlagSet::DELETED, keywords: vec![] };
        let flag = Request::Flag { mailbox, uids, change, unchanged_since: None };
        let expunge = Request::Expunge { mailbox, uids: None };
        let accept = self.accept();
        self.change(vec![asking(account, flag, vec![]), accept, asking(account, expunge, vec![])])?;
        self.idle()
    }

    /// A change.
    fn draw(&mut self) -> StoreOp {
        match self.random.below(100) {
            0..36 => self.accept(),
            36..48 => {
                let (to, count) = (self.name(), 1 + self.random.below(3));
                let bodies = (0..count).map(|_| self.inline()).collect();
                let flags = FlagSet(self.random.below(32) as u64);
                appending(self.account(), to.as_str(), flags, bodies)
            }
            48..62 => {
                let (account, mailbox, counters) = self.mailbox();
                let mode = [FlagMode::Add, FlagMode::Remove, FlagMode::Replace][self.random.below(3)];
                let keywords = (0..self.random.below(3)).map(|_| self.keyword()).collect();
                let change = FlagChange { mode, flags: FlagSet(self.random.below(32) as u64), keywords };
                let unchanged_since = (self.random.below(4) == 0).then_some(counters.highest_modseq / 2);
                let uids = self.uids(&counters);
                asking(account, Request::Flag { mailbox, uids, change, unchanged_since }, vec![])
            }
            62..68 => {
                let (account, mailbox, counters) = self.mailbox();
                let uids = (self.random.below(2) == 0).then(|| self.uids(&counters));
                asking(account, Request::Expunge { mailbox, uids }, vec![])
            }
            68..80 => {
                let (account, mailbox, counters) = self.mailbox();
                let (uids, to, remove) = (self.uids(&counters), self.name(), self.random.below(2) == 0);
                asking(account, Request::Copy { mailbox, uids, to, remove }, vec![])
            }
            80..90 => {
                let (name, other) = (self.name(), self.name());
                let request = match self.random.below(9) {
                    0..4 => {
                        Request::Create { name, special_use: (other.as_str() == "Trash").then_some(SpecialUse::Trash) }
                    }
                    4..6 => Request::Rename { from: name, to: other },
                    6..8 => Request::Delete { name },
                    _ => Request::Subscribe { name, subscribed: self.random.below(3) > 0 },
                };
                asking(self.account(), request, vec![])
            }
            90..95 => StoreOp::Queue(QueueOp::Settle(self.settle())),
            95 => StoreOp::Queue(QueueOp::Retry { rows: self.rows(), now: Wall(self.random.below(500) as i64) }),
            96 => StoreOp::Queue(QueueOp::Remove { rows: self.rows() }),
            97 => {
                let password = Secret::from(["pencil", "other"][self.random.below(2)]);
                StoreOp::Account(AccountOp::SetPassword { address: address(ACCOUNTS[0]), password })
            }
            98 => {
                let (alias, targets) =
                    (address("all@example.org"), ACCOUNTS[..2].iter().map(|it| address(it)).collect());
                StoreOp::Account(match self.random.below(2) {
                    0 => AccountOp::SetAlias { alias, targets },
                    _ => AccountOp::RemoveAlias { alias },
                })
            }
            _ => match self.random.below(3) {
                0 => StoreOp::Account(AccountOp::Remove { address: address(ACCOUNTS[2]) }),
                _ => add_account(ACCOUNTS[2]),
            },
        }
    }

    fn accept(&mut self) -> StoreOp {
        let body = match self.random.below(6) {
            0 => {
                let whole = self.body();
                self.stage(&whole).map_or(Body::Inline(vec![whole]), Body::Staged)
            }
            _ => self.inline(),
        };
        let mut accept = self.message(body);
        for _ in 0..[0, 0, 1, 2][self.random.below(4)] {
            let domain = ["birch.example", "oak.example"][self.random.below(2)];
            accept.rows.push(row(domain, self.random.below(500) as i64));
        }
        StoreOp::Accept(Box::new(accept))
    }

    /// A large body, unless the disk fails just now.
    fn stage(&mut self, whole: &Bytes) -> Option<StageId> {
        let StoreReply::Stage(StageReply::Opened(stage)) = self.ask(StoreOp::Stage(StageOp::Open { expected: None }))
        else {
            return None;
        };
        let (first, second) = (whole.slice(..whole.len() / 3), whole.slice(whole.len() / 3..));
        for bytes in [first, second] {
            if self.ask(StoreOp::Stage(StageOp::Append { stage, bytes })) != StoreReply::Stage(StageReply::Appended) {
                return None;
            }
        }
        Some(stage)
    }

    /// A message to somebody here.
    fn message(&mut self, body: Body) -> Accept {
        let (first, second) = (self.account(), self.account());
        let mut deliveries = vec![delivery(first)];
        if second != first {
            deliveries.push(delivery(second));
        }
        Accept { reverse_path: Some(address("x@elsewhere.example")), ..message(body, deliveries, vec![]) }
    }

    /// What became of some attempts: with bounces, and with a row that turned into a local delivery.
    fn settle(&mut self) -> Settle {
        let epoch = self.known.lease.expect("taken before anything is drawn");
        let rows = self.rows();
        let mut accepts = Vec::new();
        match (self.random.below(3), rows.first()) {
            (0, _) => {
                let bounce = self.inline();
                accepts.push(self.message(bounce));
            }
            (1, Some(row)) => accepts.push(self.message(Body::Row(*row))),
            _ => {}
        }
        let mut outcome = || match self.random.below(2) {
            0 => Attempted::Finished,
            _ => Attempted::Retry { due: Wall(self.random.below(5_000) as i64), reply: "450 not now".to_owned() },
        };
        Settle { epoch, rows: rows.into_iter().map(|row| (row, outcome())).collect(), accepts }
    }

    fn rows(&mut self) -> Vec<RowId> {
        let mut rows: Vec<RowId> = (0..self.random.below(4))
            .filter_map(|_| self.known.rows.get(self.random.below(self.known.rows.len())).copied())
            .collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    fn account(&mut self) -> AccountId {
        self.known.accounts[self.random.below(self.known.accounts.len())]
    }

    fn mailbox(&mut self) -> (AccountId, MailboxId, Counters) {
        self.known.mailboxes[self.random.below(self.known.mailboxes.len())]
    }

    fn name(&mut self) -> MailboxName {
        name(NAMES[self.random.below(NAMES.len())])
    }

    fn keyword(&mut self) -> Keyword {
        Keyword::new(["$Junk", "$Forwarded", "work"][self.random.below(3)]).expect("an atom")
    }

    fn uids(&mut self, counters: &Counters) -> UidSet {
        let first = 1 + self.random.below(counters.uid_next as usize) as u32;
        UidSet::run(first, first + self.random.below(8) as u32)
    }

    fn inline(&mut self) -> Body {
        inline(self.body())
    }

    /// The body of the next message: no two are equal.
    fn body(&mut self) -> Bytes {
        let n = self.bodies;
        self.bodies += 1;
        let mut body = format!("Subject: message {n}\r\n\r\n").into_bytes();
        let len = if n % 20 == 16 { 50_000 } else { 300 + n * 777 % 9_000 };
        body.resize(len, b'a' + (n % 26) as u8);
        body.into()
    }
}
