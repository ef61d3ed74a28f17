//! Somebody who does not mean well, or does not know better: he says what no decent device says, and waits too long, or
//! not at all. What he may say stands in tables of scripts.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use pillarbox_core::tls::fake::FakeClient;
use pillarbox_core::tls::{TlsEngine, TlsFactory as _};
use pillarbox_core::{Mono, Outbox, Wall};

use super::{Deed, News, Person, base64, scripts};
use crate::ledger::{Ledger, UserId};

/// When he has heard nothing for so long, he goes on.
const BREATH: Duration = Duration::from_secs(2);

/// What he does next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// Says these lines, in one go, with CRLF behind each. `{me}` is the address of a user, `{word}` his password,
    /// `{plain}` both as PLAIN wants them, and `{here}` the domain; `{long}` is a long word, `{words}` are many, and
    /// `{texts}` are many keys of a search.
    Say(&'static str),
    /// Says these octets, as they are, under no TLS either.
    Raw(&'static [u8]),
    /// Says this line so often, in one go.
    Times(usize, &'static str),
    /// Says a line that begins so, and goes on with so many letters.
    Long(&'static str, usize),
    /// Waits for so many seconds, whatever he hears.
    Wait(u64),
    /// Begins TLS, and goes on under it.
    Tls,
    /// Reads nothing from here on.
    Deaf,
    /// Is gone without a word.
    Gone,
}

/// A visit of his.
pub(crate) struct Stranger {
    user: UserId,
    host: usize,
    port: u16,
    acts: &'static [Act],
    /// How far he is.
    next: usize,
    /// Nothing makes him go on before that.
    until: Mono,
    tls: Option<Box<dyn TlsEngine>>,
}

impl Stranger {
    /// With the script of this number, which says what port it is for.
    pub(crate) fn new(user: UserId, host: usize, script: usize) -> Self {
        let script = &scripts::ALL[script % scripts::ALL.len()];
        Self { user, host, port: script.port, acts: script.acts, next: 0, until: Mono(0), tls: None }
    }

    fn go_on(&mut self, now: Mono, ledger: &Ledger, deeds: &mut Vec<Deed>) {
        let Some(act) = self.acts.get(self.next) else { return deeds.push(Deed::Leave) };
        self.next += 1;
        match *act {
            Act::Say(lines) => self.say(&self.lines(lines, ledger), 1, deeds),
            Act::Raw(octets) => deeds.push(Deed::Say(Bytes::from_static(octets))),
            Act::Times(times, line) => self.say(&self.lines(line, ledger), times, deeds),
            Act::Long(begin, more) => {
                let line = self.lines(begin, ledger);
                let begin = &line[..line.len() - 2];
                self.say(&[begin, &b"x".repeat(more)[..], b"\r\n"].concat(), 1, deeds);
            }
            Act::Wait(seconds) => self.until = now + Duration::from_secs(seconds),
            Act::Tls => {
                self.tls = FakeClient.engine(None).ok();
                self.hear_records(&[], deeds);
            }
            Act::Deaf => deeds.push(Deed::Deaf),
            Act::Gone => deeds.extend([Deed::BreakOff, Deed::Leave]),
        }
        if !matches!(act, Act::Gone) {
            self.wait(now, deeds);
        }
    }

    /// Says it so often, in one go; under TLS a record each.
    fn say(&mut self, what: &[u8], times: usize, deeds: &mut Vec<Deed>) {
        let Some(tls) = &mut self.tls else { return deeds.push(Deed::Say(what.repeat(times).into())) };
        let mut records = Outbox::new(usize::MAX);
        for _ in 0..times {
            let mut plain = Outbox::new(usize::MAX);
            plain.put(what);
            if tls.encrypt(&mut plain, &mut records).is_err() {
                return deeds.push(Deed::Leave);
            }
        }
        deeds.push(Deed::Say(records.copy_to_bytes(records.remaining())));
    }

    /// What comes under TLS does not matter, but for the handshake.
    fn hear_records(&mut self, bytes: &[u8], deeds: &mut Vec<Deed>) {
        let Some(tls) = &mut self.tls else { return };
        let (mut records, mut plain, mut said) = (BytesMut::from(bytes), BytesMut::new(), Outbox::new(usize::MAX));
        // It stops at the end of a handshake, and goes on when asked again.
        for _ in 0..2 {
            if tls.decrypt(Wall(0), &mut records, &mut plain, usize::MAX, &mut said).is_err() {
                return deeds.push(Deed::Leave);
            }
        }
        if said.has_remaining() {
            deeds.push(Deed::Say(said.copy_to_bytes(said.remaining())));
        }
    }

    fn wait(&self, now: Mono, deeds: &mut Vec<Deed>) {
        let left = Duration::from_nanos(self.until.0.saturating_sub(now.0));
        deeds.push(Deed::Wait(left.max(BREATH)));
    }

    fn lines(&self, lines: &str, ledger: &Ledger) -> Bytes {
        let me = ledger.address(self.user);
        let (word, here) = me.split_once('@').unwrap_or_default();
        let plain = base64(&format!("\0{me}\0{word}"));
        let many =
            |word: &str, count: usize| (0..count).map(|number| format!("{word}{number}")).collect::<Vec<_>>().join(" ");
        let lines = lines.replace("{long}", &"k".repeat(120)).replace("{words}", &many("k", 60));
        let lines = lines.replace("{texts}", &many("TEXT t", 270));
        let said = lines.replace("{me}", me).replace("{word}", word).replace("{plain}", &plain).replace("{here}", here);
        (said.replace('\n', "\r\n") + "\r\n").into()
    }
}

impl Person for Stranger {
    fn hear(&mut self, now: Mono, news: News<'_>, ledger: &mut Ledger, deeds: &mut Vec<Deed>) {
        match news {
            News::Begin => deeds.push(Deed::Connect { host: self.host, port: self.port }),
            News::Heard(bytes) => {
                self.hear_records(bytes, deeds);
                self.wait(now, deeds);
            }
            News::Time => self.go_on(now, ledger, deeds),
            News::Over => deeds.push(Deed::Leave),
        }
    }
}
