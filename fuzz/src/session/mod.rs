//! Sessions: an input is a script of what the peer says, what the host answers, and how time passes; whatever it is, the
//! session keeps the laws. What happened is told again with other cuts, by a peer that reads slowly, and answered in
//! another order.

mod live;
pub(crate) mod script;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use pillarbox_core::SessionId;
use pillarbox_tests::bench::{Bench, Breach};
pub(crate) use pillarbox_tests::bindings::{
    ControlClient, ControlServer, DnsStream, ImapServer, Pop3Client, Pop3Server, SmtpClient, SmtpServer,
};
use pillarbox_tests::dialogue::{Asked, Dialogue, Key, Story, Turn};
use pillarbox_tests::laws::replay::{Act, Manner, Replay, Stop};
use pillarbox_tests::laws::{Record, Tape, deadline, split, total};
use pillarbox_tests::{Settings, Subject};

use crate::gauge::{Allowance, Steps, linear};
use crate::pieces::hash;
use live::Live;
use script::{Event, script};

/// Settings that a script may choose, as they stand in dialogues.
const SETTINGS: &[&str] = &[
    "cleartext=yes",
    "cleartext=no",
    "service=submission",
    "implicit=yes",
    "starttls=yes",
    "starttls=no",
    "stls=no",
    "asks=yes",
    "mail=1",
    "mail=3",
    "mail=6",
    "tls=opportunistic",
    "tls=required",
    "user=tim",
    "password=hunter2",
    "message_size=20",
    "message_size=100",
    "message_size=1000",
    "line=64",
    "line=100",
    "chunk=4",
    "chunk=10",
    "chunk=100",
    "window=1",
    "window=3",
    "received=2",
    "overrun=40",
    "bad_commands=3",
    "without=IMAP4rev2",
    "without=CONDSTORE,QRESYNC",
    "transactions=1",
    "timeout=5",
    "text=40",
    "steps=2",
    "reply=128",
    "recipients=1",
    "questions=2",
    "password=a\\r\\nDELE",
    "messages=3",
    "message=10",
    "high_water=300",
    "high_water=640",
    "header=20",
    "failed_logins=2",
    "at10=flag:2",
    "at20=deliver",
    "at30=flag:1",
    "at30=expunge:2",
    "at30=delete",
    "at40=expunge:1",
    "ask=accounts",
    "ask=rows",
    "ask=retry",
    "ask=aliases",
    "ask=add",
    "idle_timeout=60",
    "login_timeout=30",
];

/// Memory that a session may hold whatever it is told, and what it may cost to say nothing.
const BASE: u64 = 4 << 20;

pub(crate) fn smtp_server(input: &[u8]) {
    run::<SmtpServer>(input, "smtp-server", &[]);
}

pub(crate) fn smtp_client(input: &[u8]) {
    run::<SmtpClient>(input, "smtp-client", &[]);
}

pub(crate) fn pop3_server(input: &[u8]) {
    run::<Pop3Server>(input, "pop3-server", &[]);
}

pub(crate) fn pop3_client(input: &[u8]) {
    run::<Pop3Client>(input, "pop3-client", &[]);
}

/// One COPY takes a few messages: otherwise a mailbox doubles with every command.
pub(crate) fn imap_server(input: &[u8]) {
    run::<ImapServer>(input, "imap-server", &[("copied", "6")]);
}

pub(crate) fn control_server(input: &[u8]) {
    run::<ControlServer>(input, "control-server", &[]);
}

pub(crate) fn control_client(input: &[u8]) {
    run::<ControlClient>(input, "control-client", &[]);
}

pub(crate) fn dns_stream(input: &[u8]) {
    run::<DnsStream>(input, "dns-stream", &[]);
}

pub(crate) fn words<S: Subject>() -> &'static [&'static str] {
    S::vocabulary()
}

thread_local! {
    static KNOWN: RefCell<BTreeMap<&'static str, Rc<[&'static str]>>> = const { RefCell::new(BTreeMap::new()) };
}

/// The settings that this machine knows: those it takes.
fn known<S: Subject>(machine: &'static str) -> Rc<[&'static str]> {
    KNOWN.with_borrow_mut(|all| Rc::clone(all.entry(machine).or_insert_with(taken::<S>)))
}

fn taken<S: Subject>() -> Rc<[&'static str]> {
    let takes = |word: &&str| {
        let mut settings = Settings::default();
        word.split_once('=').into_iter().for_each(|(key, value)| settings.set(key, value));
        Bench::<S>::new(&settings, SessionId(1)).is_ok()
    };
    SETTINGS.iter().copied().filter(takes).collect()
}

/// Lives through the script in `input`, with these settings on top of those it chooses.
///
/// # Panics
/// It breaks a law.
pub fn run<S: Subject>(input: &[u8], machine: &'static str, fixed: &[(&str, &str)]) {
    let (mut settings, events) = script(input, &known::<S>(machine));
    for (key, value) in fixed {
        settings.set(*key, *value);
    }
    // What fits alone may not fit together.
    let Ok(bench) = Bench::<S>::new(&settings, SessionId(1)) else { return };
    let dialogue = Dialogue {
        path: PathBuf::from(machine),
        machine: machine.into(),
        settings,
        secrets: Vec::new(),
        lines: Vec::new(),
    };
    let said: usize = events.iter().map(|event| if let Event::Say(said) = event { said.len() } else { 1 }).sum();
    check(input, &dialogue, bench, &events, said).unwrap_or_else(|breach| {
        panic!("{breach}\nset: {:?}\nscript: {:?}", dialogue.settings, shown(&events));
    });
}

fn check<S: Subject>(
    input: &[u8],
    dialogue: &Dialogue,
    bench: Bench<S>,
    events: &[Event<'_>],
    said: usize,
) -> Result<(), Breach> {
    let mut live = Live::new(bench, steps(said));
    live.run(events)?;
    S::check_output(live.bench.sent(), live.bench.done().is_some()).map_err(|what| Breach::of(7, what))?;
    let story = &live.story;
    weight::<S>(dialogue, events, said)?;

    let seed = hash(input);
    let tape = || Tape::of((0..32).map(|n| (seed.rotate_left(n) >> 7) as u32).collect());
    let mut plain = Replay::<S>::new(dialogue, story, Manner { insistent: true, ..Manner::plain() });
    plain.tell()?;
    let record = plain.record();
    if is_cut_free(story) {
        for (cuts, slow) in [(cuts(story, 1 + said / 256), None), (cuts(story, 1 + said / 5), Some(tape()))] {
            let now = split::tell::<S>(dialogue, story, Manner { cuts, slow, ..Manner::plain() })?;
            let same = words_aside(record.clone()) == words_aside(now.clone());
            record.differs(&now).filter(|_| !same).map_or(Ok(()), |how| Err(Breach::of(3, how)))?;
        }
    }
    let rests = plain.rests().max(1);
    total::die(&mut plain, &mut tape())?;
    S::check_output(plain.bench.sent(), true).map_err(|what| Breach::of(7, what))?;

    // When another device does something that nobody can see, its time comes all the same.
    if dialogue.settings.line().split(' ').any(|word| word.starts_with("at")) {
        return Ok(());
    }
    let stop = Stop::Rest(usize::try_from(seed % rests as u64).unwrap_or(0));
    let mut alone = Replay::<S>::new(dialogue, story, Manner { stop, ..Manner::plain() });
    alone.tell()?;
    if alone.stopped() {
        alone.go_on();
        deadline::wait_alone(&mut alone, seed)?;
    }
    Ok(())
}

/// The same life once more, and nothing is remembered of it but what it weighs.
fn weight<S: Subject>(dialogue: &Dialogue, events: &[Event<'_>], said: usize) -> Result<(), Breach> {
    let allowed = Allowance { peak: (600, BASE), total: (40_000, 16 * BASE), count: (400, 100_000) };
    linear(said, allowed, || {
        let mut bench = Bench::<S>::new(&dialogue.settings, SessionId(1)).map_err(|what| Breach::of(6, what))?;
        bench.forget();
        Live::new(bench, steps(said)).run(events)
    })
}

/// Polls that may be needed to live through so many octets and events.
fn steps(said: usize) -> Steps {
    Steps::of(said, 100, 20_000)
}

/// The host takes every piece of a body as soon as it comes. Else it matters in which pieces it came: a refusal may come
/// before what is wrong with the rest of it is known.
fn is_cut_free(story: &Story) -> bool {
    let taken = |asked: &Asked| asked.prompt && matches!(asked.answer.as_deref(), Some("taken" | "account"));
    story.asks.iter().all(|asked| !matches!(asked.key, Key::Chunk { .. }) || taken(asked))
}

/// Without the words of an outcome that is in doubt: whether a server that replies before it is asked is heard before or
/// after the last of the message has left, is told.
fn words_aside(mut record: Record) -> Record {
    let code = |reply: &str| if reply.starts_with("451 4.") { "451".to_owned() } else { reply.to_owned() };
    for act in &mut record.acts {
        if let Act::Text(text) = act
            && let Some(replies) = text.strip_prefix("outcome: ")
        {
            *text = replies.split(" | ").map(code).collect::<Vec<_>>().join(" | ");
        }
    }
    record
}

/// A cut behind every so many octets.
fn cuts(story: &Story, step: usize) -> Vec<usize> {
    let fed = story.turns.iter().map(|turn| if let Turn::Feed { bytes, .. } = turn { bytes.len() } else { 0 }).sum();
    (1..fed).step_by(step).collect()
}

fn shown(events: &[Event<'_>]) -> Vec<String> {
    let one = |event: &Event<'_>| match event {
        Event::Say(said) if said.len() > 300 => format!("says {} octets {}…", said.len(), said[..100].escape_ascii()),
        Event::Say(said) => format!("says {}", said.escape_ascii()),
        Event::Answer { oldest, answer } => {
            format!("answer {} {}", if *oldest { "oldest" } else { "newest" }, answer.escape_ascii())
        }
        other => format!("{other:?}"),
    };
    events.iter().map(one).collect()
}
