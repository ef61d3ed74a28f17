//! The name servers of the world: right answers, and everything that is wrong with answers.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pillarbox_core::Random;
use pillarbox_core::dns::responder::Responder;

/// What is wrong with the name service, in per cent of the answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fog {
    /// Never come.
    pub(crate) silent: usize,
    /// Come late: after seconds.
    pub(crate) slow: usize,
    /// Say SERVFAIL.
    pub(crate) failing: usize,
    /// Are cut off, so that they must be asked for over TCP.
    pub(crate) truncated: usize,
    /// Come after a forged one, from somebody who cannot see the question.
    pub(crate) forged: usize,
    /// Are garbage.
    pub(crate) garbage: usize,
    /// Over TCP: are cut short, or are another's, or do not come.
    pub(crate) streams: usize,
}

/// An answer on its way.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) after: Duration,
    pub(crate) from: SocketAddr,
    pub(crate) bytes: Bytes,
}

/// Octets of a DNS message's header.
const HEADER: usize = 12;

/// The name servers.
pub(crate) struct Names {
    pub(crate) responder: Responder,
    /// The same names, and every address in them a thief's: what forgers say.
    forged: Responder,
    pub(crate) fog: Fog,
}

impl Names {
    pub(crate) fn new(responder: Responder, forged: Responder) -> Self {
        Self { responder, forged, fog: Fog::default() }
    }

    /// What comes back for a datagram that was sent `to`.
    pub(crate) fn ask(&self, to: SocketAddr, query: &[u8], random: &mut Random) -> Vec<Answer> {
        let mut answers = Vec::new();
        let after = Duration::from_micros(200 + random.below(20_000) as u64);
        let mut happens = |percent: usize| percent > 0 && random.below(100) < percent;
        let (forged, silent, slow) = (happens(self.fog.forged), happens(self.fog.silent), happens(self.fog.slow));
        let (failing, truncated) = (happens(self.fog.failing), happens(self.fog.truncated));
        let garbage = happens(self.fog.garbage);
        // Some guess often.
        let lies = if !forged {
            0
        } else if random.below(8) == 0 {
            24
        } else {
            1
        };
        for _ in 0..lies {
            let Some(lie) = self.forged.answer(query, false) else { break };
            let mut lie = BytesMut::from(&lie[..]);
            // He guesses the number of the question, or speaks from elsewhere.
            let from = match random.below(2) {
                0 => {
                    lie[0] ^= 1 + random.below(255) as u8;
                    to
                }
                _ => SocketAddr::from(([203, 0, 113, 66], 53)),
            };
            answers.push(Answer { after: after / 2, from, bytes: lie.freeze() });
        }
        if silent {
            return answers;
        }
        let Some(answer) = self.responder.answer(query, false) else { return answers };
        let mut bytes = BytesMut::from(&answer[..]);
        if failing && bytes.len() > HEADER {
            bytes[3] = bytes[3] & 0xf0 | 2;
            bytes[6..HEADER].fill(0);
            bytes.truncate(question_end(&bytes));
        } else if truncated && bytes.len() > HEADER {
            bytes[2] |= 2;
            bytes[6..HEADER].fill(0);
            bytes.truncate(question_end(&bytes));
        } else if garbage {
            let keep = random.below(bytes.len() + 1);
            bytes.truncate(keep);
            if keep > 2 {
                let at = 2 + random.below(keep - 2);
                bytes[at] ^= 1 + random.below(255) as u8;
            }
        }
        let after = if slow { after + Duration::from_millis(500 + random.below(20_000) as u64) } else { after };
        answers.push(Answer { after, from: to, bytes: bytes.freeze() });
        answers
    }

    /// The answer to what was asked over TCP, framed; `None` while the question is not complete.
    pub(crate) fn ask_stream(&self, asked: &[u8], random: &mut Random) -> Option<StreamAnswer> {
        let (length, query) = asked.split_first_chunk()?;
        if query.len() < usize::from(u16::from_be_bytes(*length)) {
            return None;
        }
        let mut answer = BytesMut::from(&self.responder.answer(query, true).unwrap_or_default()[..]);
        let mut closes = false;
        let wrong = self.fog.streams > 0 && random.below(100) < self.fog.streams && answer.len() > HEADER;
        let framed = |answer: &[u8]| {
            let length = u16::try_from(answer.len()).unwrap_or(0).to_be_bytes();
            [&length[..], answer].concat()
        };
        let bytes = match if wrong { random.below(5) } else { usize::MAX } {
            0 => Vec::new(),
            1 => {
                closes = true;
                let whole = framed(&answer);
                whole[..whole.len() / 2].to_vec()
            }
            2 => framed(&answer[..HEADER / 2]),
            3 => {
                answer[0] ^= 1;
                framed(&answer)
            }
            4 => {
                answer[2] |= 2;
                framed(&answer)
            }
            _ => framed(&answer),
        };
        Some(StreamAnswer { bytes: bytes.into(), closes })
    }
}

/// What comes over TCP.
#[derive(Debug)]
pub(crate) struct StreamAnswer {
    pub(crate) bytes: Bytes,
    /// And nothing more comes.
    pub(crate) closes: bool,
}

/// Where the question of a message ends: a name, a type, a class.
fn question_end(message: &[u8]) -> usize {
    let mut at = HEADER;
    while let Some(label) = message.get(at).filter(|label| **label != 0) {
        at += 1 + usize::from(*label);
    }
    (at + 5).min(message.len())
}
