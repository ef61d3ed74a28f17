//! Law 7, total: no input panics, after `Done` comes `Done`, and before it whatever is held outside is given back.

use std::time::Duration;

use pillarbox_core::{Close, WaitingOn};

use super::Tape;
use super::replay::{Manner, Replay, Rest};
use crate::bench::{Breach, Seen};
use crate::dialogue::{Dialogue, Story, Turn, Upgrade};
use crate::subject::Subject;

/// Polls at deadlines after which a closed machine must be done.
const PATIENCE: usize = 200;

/// Tells the story with mistakes, other answers, jumps of time and sudden ends.
///
/// # Errors
/// The first case that breaks the law.
pub fn check<S: Subject>(dialogue: &Dialogue, story: &Story) -> Result<(), String> {
    let strategy = (Tape::strategy(60), Tape::strategy(30));
    super::property_of(dialogue, 7, 400, strategy, |(mut tape, wild)| {
        let manner = Manner { wild: Some(wild), ..Manner::plain() };
        let mut replay = Replay::<S>::new(dialogue, story, manner);
        let result = live(&mut replay, story, &mut tape).and_then(|()| die(&mut replay, &mut tape));
        let sent = || crate::dialogue::text::escape(replay.bench.sent());
        result.map_err(|breach| Breach { what: format!("{}\nit had sent: {}", breach.what, sent()), ..breach })?;
        S::check_output(replay.bench.sent(), true).map_err(|e| Breach::of(7, format!("{e}\nit had sent: {}", sent())))
    })
}

fn live<S: Subject>(replay: &mut Replay<S>, story: &Story, tape: &mut Tape) -> Result<(), Breach> {
    rest(replay, tape)?;
    for turn in &story.turns {
        match tape.below(24) {
            0..=18 => {}
            19 => continue,
            20 => return Ok(()),
            21 => replay.bench.advance(Duration::from_secs(1 << tape.below(12))),
            22 => {
                for number in replay.unanswered() {
                    replay.respond(number)?;
                }
            }
            _ => {
                replay.bench.feed(&garbage::<S>(tape));
                rest(replay, tape)?;
            }
        }
        match turn {
            Turn::Feed { bytes, .. } => replay.bench.feed(&mutated::<S>(bytes, tape)),
            Turn::After(time) => replay.bench.advance(*time),
            Turn::Close(why) => replay.bench.close(*why),
            Turn::Upgrade(_) => {}
            Turn::Answer(_) => {
                for number in replay.unanswered() {
                    replay.respond(number)?;
                }
            }
        }
        rest(replay, tape)?;
    }
    Ok(())
}

/// The connection ends, one way or another: the machine comes to its end, gives back what it holds, and stays dead.
///
/// # Errors
/// It does not.
pub fn die<S: Subject>(replay: &mut Replay<S>, tape: &mut Tape) -> Result<(), Breach> {
    const WAYS: [Close; 4] = [Close::Eof, Close::Error, Close::Layer, Close::Shutdown];
    let mut why = WAYS[tape.below(4)];
    if replay.bench.done().is_none() {
        if tape.below(2) == 1 {
            replay.bench.feed(&garbage::<S>(tape));
        }
        replay.bench.close(why);
    }
    for round in 0..2 * PATIENCE {
        let Rest::Wait(wait) = rest(replay, tape)? else { break };
        if tape.rarely(8) {
            why = WAYS[tape.below(4)];
            replay.bench.close(why);
            continue;
        }
        let questions = replay.unanswered();
        // Nobody waits for a peer who has left.
        let patient = S::HEARS_OUT && why == Close::Shutdown;
        if wait.on == WaitingOn::Peer && questions.is_empty() && !patient {
            return Err(Breach::of(7, format!("after close({why:?}) it waits for the peer: {wait:?}")));
        }
        let now = replay.bench.now().mono;
        match (questions.is_empty(), wait.until) {
            // A host that gives a few octets a time would be asked for long; in the end it says nothing any more.
            (false, _) if round < PATIENCE && tape.below(3) < 2 => {
                for number in questions {
                    replay.respond(number)?;
                }
            }
            (_, Some(until)) => replay.bench.advance(now.until(until)),
            (false, None) => replay.respond(questions[0])?,
            (true, None) => {
                return Err(Breach::of(7, format!("after close({why:?}) it waits for ever: {wait:?}")));
            }
        }
    }
    let Some(_) = replay.bench.done() else {
        return Err(Breach::of(7, format!("close({why:?}), and {PATIENCE} deadlines later it is not done")));
    };
    // The dead are left in peace, and stay dead.
    for number in replay.unanswered() {
        replay.respond(number)?;
        replay.bench.poll()?;
    }
    for why in WAYS {
        replay.bench.feed(&garbage::<S>(tape));
        replay.bench.poll()?;
        replay.bench.close(why);
        replay.bench.advance(Duration::from_secs(3600));
        if !matches!(replay.bench.poll()?, Seen::Done(_)) {
            return Err(Breach::of(7, "after Done comes something else"));
        }
    }
    Ok(())
}

/// Settles, and gives the machine the layers it asks for, or not.
fn rest<S: Subject>(replay: &mut Replay<S>, tape: &mut Tape) -> Result<Rest, Breach> {
    for _ in 0..PATIENCE {
        match replay.settle()? {
            Rest::Upgrade => {
                let upgrade = [Upgrade::Up, Upgrade::Verified, Upgrade::Fails][tape.below(3)];
                replay.bench.upgrade(upgrade);
            }
            rest => return Ok(rest),
        }
    }
    Err(Breach::of(7, "it asks for layer upon layer"))
}

/// What the peer says, with up to three mistakes.
fn mutated<S: Subject>(bytes: &[u8], tape: &mut Tape) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..[0, 0, 1, 2, 3][tape.below(5)] {
        let at = tape.below(bytes.len() + 1);
        let to = (at + tape.below(40)).min(bytes.len());
        match tape.below(6) {
            0 => drop(bytes.drain(at..to)),
            1 => bytes.truncate(at),
            2 => {
                let again = bytes[at..to].to_vec();
                bytes.splice(at..at, again);
            }
            3 if at < bytes.len() => bytes[at] ^= 1 << tape.below(8),
            _ => drop(bytes.splice(at..at, garbage::<S>(tape))),
        }
    }
    bytes
}

/// Something that nobody asked for.
fn garbage<S: Subject>(tape: &mut Tape) -> Vec<u8> {
    const NASTY: [&[u8]; 18] = [
        b"\r\n",
        b"\r",
        b"\n",
        b"\0",
        b".\r\n",
        b"\r\n.\r\n",
        b"\n.\n",
        b"\r\r\n",
        b" ",
        b"\t",
        b"-1",
        b"\xff\xfe",
        b"<>",
        b"=",
        b"18446744073709551616",
        b"4294967296",
        b"*",
        "\u{e9}\u{1f4ec}".as_bytes(),
    ];
    let words = S::vocabulary();
    let mut bytes = Vec::new();
    for _ in 0..1 + tape.below(6) {
        match tape.below(6) {
            0 | 1 if !words.is_empty() => {
                bytes.extend_from_slice(words[tape.below(words.len())].as_bytes());
                bytes.extend_from_slice(b"\r\n");
            }
            2 => bytes.extend(std::iter::repeat_n(b'a' + tape.below(26) as u8, 1 << tape.below(15))),
            3 => bytes.push(tape.below(256) as u8),
            _ => bytes.extend_from_slice(NASTY[tape.below(NASTY.len())]),
        }
    }
    bytes
}
