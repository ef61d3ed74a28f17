//! What an input says of a session: its settings, and then what happens, one thing after another.
//!
//! The first line holds settings. Behind it every octet is said by the peer, but for those that UTF-8 never has: they begin
//! an instruction. So an input reads like a dialogue, and what a fuzzer learns of the protocol's words it may use anywhere.

use std::time::Duration;

use pillarbox_core::Close;
use pillarbox_tests::Settings;
use pillarbox_tests::dialogue::Upgrade;

use crate::choices::Choices;

/// The octets that begin an instruction.
pub(crate) mod mark {
    /// Answer the oldest open question: what follows, up to the next instruction, is the answer. A single octet is the
    /// number of one of the answers that the question can get.
    pub(crate) const OLDEST: u8 = 0xf8;
    /// Answer the newest.
    pub(crate) const NEWEST: u8 = 0xf9;
    /// Time passes; an octet says how much.
    pub(crate) const TIME: u8 = 0xfa;
    /// The connection ends; an octet says how.
    pub(crate) const CLOSE: u8 = 0xfb;
    /// The layer that was asked for is up, or not; an octet says what.
    pub(crate) const LAYER: u8 = 0xfc;
    /// From now on the peer reads so many octets a time; without any, he reads all.
    pub(crate) const READS: u8 = 0xfd;
    /// What the peer has said since the last instruction, once more for each power of two that the octet behind says.
    pub(crate) const AGAIN: u8 = 0xfe;
    /// Nothing but a pause: what stands before it arrives alone.
    pub(crate) const PAUSE: u8 = 0xff;
}

/// Octets that the peer says at most, when it says them again and again.
const SAID: usize = 64 * 1024;

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// The peer says this. It arrives at once.
    Say(Vec<u8>),
    /// A question is answered.
    Answer { oldest: bool, answer: &'a [u8] },
    /// Time passes; without an amount, up to the next deadline.
    Pass(Option<Duration>),
    /// The connection ends. Unread: what the peer said last has not been looked at.
    Close { why: Close, unread: bool },
    /// The layer is up, or not.
    Layer(Upgrade),
    /// The peer reads so many octets at a time.
    Reads(usize),
}

/// The settings, of which only these words are taken, and what happens.
pub(crate) fn script<'a>(input: &'a [u8], known: &[&str]) -> (Settings, Vec<Event<'a>>) {
    let mut choices = Choices::new(input);
    let line = choices.until(|octet| octet == b'\n');
    choices.octet();
    let mut settings = Settings::default();
    let words = std::str::from_utf8(line).unwrap_or_default().split(' ');
    for (key, value) in words.filter(|word| known.contains(word)).filter_map(|word| word.split_once('=')) {
        settings.set(key, value);
    }
    (settings, events(choices))
}

fn events(mut choices: Choices<'_>) -> Vec<Event<'_>> {
    const WAYS: [Close; 4] = [Close::Eof, Close::Error, Close::Layer, Close::Shutdown];
    let mut events = Vec::new();
    while !choices.is_empty() {
        let said = choices.until(|octet| octet >= mark::OLDEST);
        if !said.is_empty() {
            events.push(Event::Say(said.to_vec()));
        }
        if choices.is_empty() {
            break;
        }
        match choices.octet() {
            mark @ (mark::OLDEST | mark::NEWEST) => {
                let answer = choices.until(|octet| octet >= mark::OLDEST);
                events.push(Event::Answer { oldest: mark == mark::OLDEST, answer });
            }
            mark::TIME => {
                let amount = choices.octet();
                events.push(Event::Pass((amount > 0).then(|| Duration::from_millis(100 << (amount % 20)))));
            }
            mark::CLOSE => {
                let how = choices.octet();
                let why = WAYS[usize::from(how % 4)];
                events.push(Event::Close { why, unread: how & 8 != 0 && why != Close::Eof });
            }
            mark::LAYER => {
                events.push(Event::Layer([Upgrade::Up, Upgrade::Verified, Upgrade::Fails][choices.below(3)]));
            }
            mark::READS => events.push(Event::Reads(match usize::from(choices.octet()) {
                0 => usize::MAX,
                octets => octets * octets,
            })),
            mark::AGAIN => {
                let times = 1 << choices.below(13);
                if let Some(Event::Say(said)) = events.last_mut() {
                    let most = times.min(SAID / said.len());
                    *said = said.repeat(most.max(1));
                }
            }
            _ => {}
        }
    }
    events
}
