//! Law 4, one question, one answer: in any order, never another's, never too late to be harmless, and never a negative
//! reply for a change that nobody confirmed.

use pillarbox_core::{End, Misuse, SessionId, WaitingOn};

use super::Tape;
use super::replay::{Manner, Replay, Rest, Stop};
use crate::bench::Breach;
use crate::dialogue::{Dialogue, Story};
use crate::subject::{Kind, NotAnswered, Subject};

/// Deadlines after which an unanswered question must have met its timeout.
const PATIENCE: usize = 8;

/// Answers in every order; hands tickets to the wrong session; leaves every question unanswered once.
///
/// # Errors
/// The first case that breaks the law.
pub fn check<S: Subject>(dialogue: &Dialogue, story: &Story) -> Result<(), String> {
    let failed = |e: Breach| format!("{}: {e}", dialogue.path.display());
    let mut plain = Replay::<S>::new(dialogue, story, Manner::plain());
    plain.tell().map_err(failed)?;
    let record = plain.record();
    // A long story asks the same again and again: some fifty of its questions will do.
    for count in (0..plain.questions()).step_by(plain.questions().div_ceil(50).max(1)) {
        foreign::<S>(dialogue, story, count).map_err(failed)?;
        unanswered::<S>(dialogue, story, count).map_err(failed)?;
    }
    super::property(dialogue, 4, Tape::strategy(40), |tape| {
        let mut replay =
            Replay::<S>::new(dialogue, story, Manner { deferred: Some(tape), joined: true, ..Manner::plain() });
        replay.tell()?;
        let now = replay.record();
        if now.sent == record.sent && now.end == record.end {
            return Ok(());
        }
        let acts = record.acts.clone();
        let how = record.differs(&super::Record { acts, ..now }).unwrap_or_default();
        Err(Breach::of(4, format!("answered in another order: {how}")))
    })
}

/// The ticket of one session is handed to another.
fn foreign<S: Subject>(dialogue: &Dialogue, story: &Story, count: usize) -> Result<(), Breach> {
    let manner = Manner { stop: Stop::Question(count), ..Manner::plain() };
    let mut ours = Replay::<S>::new(dialogue, story, manner.clone());
    let mut theirs = Replay::<S>::named(dialogue, story, manner, SessionId(2));
    ours.tell()?;
    theirs.tell()?;
    let (Some(number), Some(other)) = (last(&ours), last(&theirs)) else { return Ok(()) };
    let text = theirs.answer_to(other);
    let Some(ticket) = theirs.take(other) else { return Ok(()) };
    match ours.bench.answer_with(ticket, &text) {
        Err(NotAnswered::Misuse(Misuse::ForeignTicket)) => {}
        other => return Err(Breach::of(4, format!("question {count} takes the ticket of another session: {other:?}"))),
    }
    // Its own ticket is as good as before.
    ours.go_on();
    ours.respond(number)?;
    ours.settle().map(drop)
}

/// Nobody answers, until it is too late.
fn unanswered<S: Subject>(dialogue: &Dialogue, story: &Story, count: usize) -> Result<(), Breach> {
    let manner = Manner { stop: Stop::Question(count), ..Manner::plain() };
    let mut replay = Replay::<S>::new(dialogue, story, manner);
    replay.tell()?;
    let Some(number) = last(&replay) else { return Ok(()) };
    let text = replay.answer_to(number);
    let Some(late) = replay.take(number) else { return Ok(()) };
    let kind = late.kind;
    if kind == Kind::Free {
        return Ok(());
    }
    let asked = format!("question {count}, {kind:?}, unanswered");
    let said = replay.bench.sent().len();
    replay.go_on();
    for _ in 0..PATIENCE {
        // Other questions may come; those are answered.
        let Rest::Wait(wait) = replay.settle()? else { break };
        let Some(until) = wait.until else {
            if wait.on == WaitingOn::Answer {
                return Err(Breach::of(4, format!("{asked}: it waits without an end: {wait:?}")));
            }
            break;
        };
        if kind != Kind::Change && wait.on != WaitingOn::Answer {
            break;
        }
        let now = replay.bench.now().mono;
        replay.bench.advance(now.until(until));
    }
    match replay.settle()? {
        Rest::Wait(wait) if wait.on == WaitingOn::Answer => {
            return Err(Breach::of(4, format!("{asked}: it still waits after {PATIENCE} deadlines: {wait:?}")));
        }
        Rest::Done(End::Unconfirmed) if kind == Kind::Change && replay.bench.sent().len() == said => {}
        rest if kind == Kind::Change => {
            let sent = crate::dialogue::text::escape(&replay.bench.sent()[said..]);
            return Err(Breach::of(4, format!("{asked}: it ends as {rest:?}, and said \"{sent}\"")));
        }
        _ => {}
    }
    let before = replay.record();
    let timed_out = replay.bench.now().mono - late.asked() >= replay.bench.bounds().session.answer_timeout;
    if let Err(e) = replay.bench.answer_with(late, &text) {
        return Err(Breach::of(4, format!("{asked}: a late answer brings {e:?}")));
    }
    replay.settle()?;
    let mut after = replay.record();
    if kind == Kind::Offer {
        after.acts.truncate(before.acts.len());
    }
    match before.differs(&after) {
        Some(how) if timed_out || before.end.is_some() => {
            Err(Breach::of(4, format!("{asked}: its late answer does something: {how}")))
        }
        _ => Ok(()),
    }
}

/// The newest question that is open.
fn last<S: Subject>(replay: &Replay<S>) -> Option<usize> {
    if replay.stopped() { replay.bench.open().last().map(|open| open.number) } else { None }
}
