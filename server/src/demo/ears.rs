//! What the play hears of its servers: their events, the dialogues between them, questions to the name server, Ctrl-C. All
//! of it in one stream, so that waiting never needs a clock but to give up.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pillarbox_core::node::{ConnId, Event, SessionKind, TapSink};
use pillarbox_core::session::{Direction, LayerInfo};
use pillarbox_runtime::Events;

use super::dialogue::{Dialogue, Who};
use super::names::Asked;
use crate::failure::Failure;

/// Something happened.
#[derive(Debug)]
pub(super) enum Heard {
    /// In this house.
    Event(&'static str, Event),
    /// This house brought mail to another server, and this is what they said.
    Relay(&'static str, Dialogue),
    /// At the name server.
    Asked(Asked),
    /// Ctrl-C.
    Interrupted,
}

/// The stream's near end.
pub(super) struct Ears {
    mouth: Mouth,
    receiver: Receiver<Heard>,
    /// Heard in this step, and not asked for yet.
    heard: RefCell<Vec<Heard>>,
}

/// Its far ends.
#[derive(Clone)]
pub(super) struct Mouth(Arc<Mutex<Sender<Heard>>>);

impl Ears {
    pub(super) fn new() -> Self {
        let (sender, receiver) = channel();
        Self { mouth: Mouth(Arc::new(Mutex::new(sender))), receiver, heard: RefCell::default() }
    }

    /// Where to tell.
    pub(super) fn mouth(&self) -> Mouth {
        self.mouth.clone()
    }

    /// What was heard so far is of no interest any more.
    pub(super) fn forget(&self) {
        let mut heard = self.heard.borrow_mut();
        heard.extend(self.receiver.try_iter());
        // An interruption is not forgotten.
        heard.retain(|heard| matches!(heard, Heard::Interrupted));
    }

    /// Waits for the first thing that `pick` takes, of those heard in this step and those to come.
    ///
    /// # Errors
    /// When it does not come before `until`; `what` says what was expected.
    pub(super) fn wait<T>(
        &self,
        until: Instant,
        what: &str,
        mut pick: impl FnMut(&Heard) -> Option<T>,
    ) -> Result<T, Failure> {
        let mut earlier = std::mem::take(&mut *self.heard.borrow_mut()).into_iter();
        let mut kept = Vec::new();
        let found = loop {
            let heard = match earlier.next() {
                Some(heard) => Ok(heard),
                None => self.receiver.recv_timeout(until.saturating_duration_since(Instant::now())),
            };
            match heard {
                Ok(Heard::Interrupted) => break Err(interrupted()),
                Ok(heard) => match pick(&heard) {
                    Some(found) => break Ok(found),
                    None => kept.push(heard),
                },
                Err(RecvTimeoutError::Timeout) => {
                    let seen: Vec<_> = kept.iter().filter_map(remark).collect();
                    let seen = if seen.is_empty() { "nothing".to_owned() } else { seen.join("; ") };
                    break Err(Failure::new(format!(
                        "expected {what}, and it did not come in time; there was: {seen}"
                    )));
                }
                Err(RecvTimeoutError::Disconnected) => break Err(Failure::new("the servers are gone")),
            }
        };
        kept.extend(earlier);
        self.heard.replace(kept);
        found
    }

    /// The questions to the name server that were heard in this step.
    pub(super) fn asked(&self) -> Vec<Asked> {
        let mut heard = self.heard.borrow_mut();
        heard.extend(self.receiver.try_iter());
        let asked = heard.extract_if(.., |heard| matches!(heard, Heard::Asked(_)));
        let asked = asked.filter_map(|heard| match heard {
            Heard::Asked(asked) => Some(asked),
            _ => None,
        });
        asked.collect()
    }

    /// The next thing, however long it takes; `None` on Ctrl-C.
    pub(super) fn next(&self) -> Option<Heard> {
        let earlier = (!self.heard.borrow().is_empty()).then(|| self.heard.borrow_mut().remove(0));
        match earlier.map_or_else(|| self.receiver.recv().ok(), Some) {
            None | Some(Heard::Interrupted) => None,
            heard => heard,
        }
    }
}

/// The user wants no more of it.
pub(super) fn interrupted() -> Failure {
    Failure::new("interrupted")
}

/// An event in a few words; `None` for one that is not worth them.
pub(super) fn remark(heard: &Heard) -> Option<String> {
    let Heard::Event(house, event) = heard else { return None };
    let said = match event {
        Event::Authenticated { login, .. } => format!("{login} logged in"),
        Event::NotAuthenticated { login, .. } => format!("wrong name or password for {login}"),
        Event::Refused { reply, .. } => format!("refused: {reply}"),
        Event::Accepted { reverse_path, delivered, queued, size, .. } => {
            let from = reverse_path.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("took {size} octets from <{from}>: {delivered} into mailboxes here, {queued} into the queue")
        }
        Event::Attempted { recipient, host, reply, .. } if reply.is_positive() => {
            format!("brought mail for {recipient} to {host}: {reply}")
        }
        Event::Attempted { recipient, reply, .. } => format!("could not bring mail for {recipient}: {reply}"),
        Event::Bounced { recipient, reply, .. } => format!("gave up on {recipient}: {reply}"),
        Event::Unreachable { host, why } => format!("cannot use {host}: {why}"),
        Event::Filed { messages, .. } => format!("{messages} put into a mailbox"),
        Event::Removed { messages, .. } => format!("{messages} removed from a mailbox"),
        Event::StoreTrouble { what } => format!("the store: {what}"),
        Event::Opened { .. } | Event::Ended { .. } => return None,
    };
    Some(format!("{house}: {said}"))
}

impl Mouth {
    /// Tells. When nobody listens any more, nobody needs to know.
    pub(super) fn tell(&self, heard: Heard) {
        let _ = lock(&self.0).send(heard);
    }

    /// An ear inside a house: for its events and its tap.
    pub(super) fn house(&self, name: &'static str, other: &'static str) -> Arc<House> {
        Arc::new(House { name, other, mouth: self.clone(), relays: Mutex::default() })
    }
}

/// Listens in a house, and tells.
pub(super) struct House {
    name: &'static str,
    /// Whom it brings mail to.
    other: &'static str,
    mouth: Mouth,
    /// Its connections to other servers that are open.
    relays: Mutex<BTreeMap<ConnId, Dialogue>>,
}

impl Events for House {
    fn event(&self, event: &Event) {
        match event {
            Event::Opened { conn, kind: SessionKind::Delivery, .. } => {
                lock(&self.relays).insert(*conn, Dialogue::new(self.name, self.other, true));
            }
            Event::Ended { conn, .. } => {
                if let Some(dialogue) = lock(&self.relays).remove(conn) {
                    self.mouth.tell(Heard::Relay(self.name, dialogue));
                }
            }
            _ => {}
        }
        self.mouth.tell(Heard::Event(self.name, event.clone()));
    }
}

impl TapSink for House {
    fn bytes(&self, conn: ConnId, direction: Direction, bytes: &[u8]) {
        if let Some(dialogue) = lock(&self.relays).get_mut(&conn) {
            let who = if direction == Direction::Out { Who::Client } else { Who::Server };
            dialogue.bytes(who, bytes);
        }
    }

    fn layer(&self, conn: ConnId, layer: &LayerInfo) {
        if let Some(dialogue) = lock(&self.relays).get_mut(&conn) {
            dialogue.layer(layer);
        }
    }
}

/// How long a step may take: far longer than it does, and longer for a large message.
pub(super) fn patience(octets: usize) -> Duration {
    Duration::from_secs(30) + Duration::from_millis(octets as u64 / 500)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    fn asked(heard: &Heard) -> Option<()> {
        matches!(heard, Heard::Asked(_)).then_some(())
    }

    #[test]
    fn an_interruption_is_never_forgotten() {
        let ears = Ears::new();
        ears.mouth().tell(Heard::Interrupted);
        assert!(ears.asked().is_empty());
        ears.forget();
        assert_eq!(ears.wait(soon(), "a question", asked), Err(interrupted()));
    }

    #[test]
    fn what_was_not_asked_for_yet_is_kept_and_what_does_not_come_is_said() {
        let ears = Ears::new();
        let trouble = Event::StoreTrouble { what: "full".into() };
        ears.mouth().tell(Heard::Event("amber", trouble));
        ears.mouth().tell(Heard::Asked(Asked { question: "MX b.example".into(), answers: Vec::new() }));
        assert_eq!(ears.wait(soon(), "a question", asked), Ok(()));
        let failure = ears.wait(soon(), "another question", asked).unwrap_err().to_string();
        assert!(
            failure.contains("expected another question") && failure.contains("amber: the store: full"),
            "{failure}"
        );
    }
}
