//! Two small machines that use all of the contract: a line server and a client with a script.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pillarbox_core::{
    Answer, Close, Direction, End, Layer, LayerInfo, Misuse, Mono, Now, Outbox, SecretSpan, Session, SessionId, Step,
    Ticket, Tickets, Wait, WaitingOn,
};

/// What a toy server asks or tells.
#[derive(Debug)]
pub(crate) enum Act {
    /// What to say to this line.
    Ask(String, Ticket<String>),
    /// A body, so far.
    Body(Bytes),
}

/// A line server. `STARTTLS`, `ASK x`, `PASS x`, `BIG n`, `SINK` (no more lines, all bytes are a body), `STALL` (reads
/// nothing more), `QUIT`; anything else is said back.
#[derive(Debug)]
pub(crate) struct Server {
    tickets: Tickets,
    asked: Option<u64>,
    answer: Option<String>,
    greeted: bool,
    upgrading: bool,
    sink: bool,
    stall: bool,
    big: usize,
    consumed: u64,
    /// Where `tx` was: its positions never go back.
    said: u64,
    secrets: Vec<SecretSpan>,
    idle: Option<Mono>,
    pub(crate) closed: Vec<Close>,
    pub(crate) layers: Vec<LayerInfo>,
    done: Option<End>,
}

pub(crate) const IDLE: Duration = Duration::from_secs(300);

impl Server {
    pub(crate) fn new() -> Self {
        Self {
            tickets: Tickets::new(SessionId(1)),
            asked: None,
            answer: None,
            greeted: false,
            upgrading: false,
            sink: false,
            stall: false,
            big: 0,
            consumed: 0,
            said: 0,
            secrets: Vec::new(),
            idle: None,
            closed: Vec::new(),
            layers: Vec::new(),
            done: None,
        }
    }

    fn end(&mut self, end: End) -> Step<Act> {
        self.done = Some(end);
        Step::Done(end)
    }

    fn line(&mut self, line: &str, behind: bool, tx: &mut Outbox) -> Option<Step<Act>> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "STARTTLS" if behind => tx.put(b"501 nothing may follow\r\n"),
            "STARTTLS" => {
                tx.put(b"220 go\r\n");
                self.upgrading = true;
                return Some(Step::Upgrade(Layer::Tls));
            }
            "ASK" => {
                let (ticket, serial) = self.tickets.issue();
                self.asked = Some(serial);
                return Some(Step::Act(Act::Ask(rest.into(), ticket)));
            }
            "PASS" => {
                let (start, end) = (self.consumed - rest.len() as u64 - 2, self.consumed - 2);
                self.secrets.push(SecretSpan { direction: Direction::In, start, end });
                tx.put(b"235 ok ");
                let start = tx.appended();
                tx.put(rest.as_bytes());
                self.secrets.push(SecretSpan { direction: Direction::Out, start, end: tx.appended() });
                tx.put(b"\r\n");
            }
            "BIG" => self.big = rest.parse().unwrap_or(0),
            "SINK" => self.sink = true,
            "STALL" => self.stall = true,
            "QUIT" => {
                tx.put(b"221 bye\r\n");
                return Some(self.end(End::Quit));
            }
            _ => tx.put(format!("250 {line}\r\n").as_bytes()),
        }
        None
    }
}

impl Session for Server {
    type Action = Act;

    fn poll(&mut self, now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Step<Act> {
        self.secrets.clear();
        assert!(tx.appended() >= self.said, "another outbox");
        self.said = tx.appended();
        if let Some(end) = self.done {
            return Step::Done(end);
        }
        match self.closed.last() {
            Some(Close::Error | Close::Layer) => return self.end(End::Broken),
            Some(Close::Shutdown) => {
                tx.put(b"421 later\r\n");
                return self.end(End::Shutdown);
            }
            _ => {}
        }
        assert!(!self.upgrading, "polled while the layer was on its way");
        if !self.greeted {
            self.greeted = true;
            tx.put(b"220 toy\r\n");
        }
        let idle = *self.idle.get_or_insert(now.mono.after(IDLE));
        if now.mono >= idle {
            return self.end(End::Timeout);
        }
        let wait = |read, on| Step::Wait(Wait { read, until: Some(idle), on });
        for _ in 0..8 {
            while self.big > 0 {
                if tx.is_full() {
                    return wait(false, WaitingOn::Flush);
                }
                let n = self.big.min(3000);
                tx.push(Bytes::from(vec![b'B'; n]));
                self.big -= n;
            }
            if self.stall {
                return wait(false, WaitingOn::Answer);
            }
            if self.asked.is_some() {
                let Some(answer) = self.answer.take() else { return wait(false, WaitingOn::Answer) };
                self.asked = None;
                tx.put(format!("250 {answer}\r\n").as_bytes());
            }
            if tx.is_full() {
                return wait(false, WaitingOn::Flush);
            }
            if self.sink && !rx.is_empty() {
                self.consumed += rx.len() as u64;
                return Step::Act(Act::Body(rx.split().freeze()));
            }
            let Some(lf) = rx.iter().position(|&b| b == b'\n') else {
                if self.closed.contains(&Close::Eof) {
                    return self.end(End::Eof);
                }
                return wait(true, WaitingOn::Peer);
            };
            let line = rx.split_to(lf + 1);
            self.consumed += line.len() as u64;
            let text = String::from_utf8_lossy(&line).trim_end().to_string();
            if let Some(step) = self.line(&text, !rx.is_empty(), tx) {
                return step;
            }
        }
        Step::More
    }

    fn close(&mut self, why: Close) {
        self.closed.push(why);
    }

    fn upgraded(&mut self, layer: LayerInfo) {
        self.said = 0;
        self.upgrading = false;
        self.layers.push(layer);
    }

    fn secrets(&self) -> &[SecretSpan] {
        &self.secrets
    }
}

impl Answer<String> for Server {
    fn answer(&mut self, ticket: Ticket<String>, answer: String) -> Result<(), Misuse> {
        if self.asked == Some(self.tickets.redeem(ticket)?) {
            self.answer = Some(answer);
        }
        Ok(())
    }
}

/// A client that waits for the greeting, then says each line of its script at once up to a STARTTLS, and reads for
/// ever. It is done when it has seen `221`.
#[derive(Debug)]
pub(crate) struct Client {
    script: VecDeque<Vec<u8>>,
    greeted: bool,
    starting: bool,
    upgrading: bool,
    /// Everything the server said.
    pub(crate) heard: Vec<u8>,
    pub(crate) closed: Vec<Close>,
    pub(crate) layers: Vec<LayerInfo>,
    /// It does not end at the peer's end.
    pub(crate) deaf: bool,
    done: Option<End>,
}

impl Client {
    pub(crate) fn new<I: IntoIterator<Item: AsRef<[u8]>>>(script: I) -> Self {
        Self {
            script: script.into_iter().map(|line| line.as_ref().to_vec()).collect(),
            greeted: false,
            starting: false,
            upgrading: false,
            heard: Vec::new(),
            closed: Vec::new(),
            layers: Vec::new(),
            deaf: false,
            done: None,
        }
    }

    /// One line more to say.
    pub(crate) fn say(&mut self, line: &str) {
        self.script.push_back(line.into());
    }

    /// Lines it has not come to.
    pub(crate) fn unsaid(&self) -> usize {
        self.script.len()
    }
}

impl Session for Client {
    type Action = Act;

    fn poll(&mut self, _now: Now, rx: &mut BytesMut, tx: &mut Outbox) -> Step<Act> {
        if let Some(end) = self.done {
            return Step::Done(end);
        }
        if matches!(self.closed.last(), Some(Close::Error | Close::Layer)) {
            self.done = Some(End::Broken);
            return Step::Done(End::Broken);
        }
        assert!(!self.upgrading, "polled while the layer was on its way");
        // Line by line up to the go-ahead, which is the last that may be plaintext.
        while let Some(lf) = rx.iter().position(|&b| b == b'\n') {
            let line = rx.split_to(lf + 1);
            self.heard.extend_from_slice(&line);
            self.greeted = true;
            if self.starting && &line[..] == b"220 go\r\n" {
                (self.starting, self.upgrading) = (false, true);
                return Step::Upgrade(Layer::Tls);
            }
            if line.starts_with(b"221") {
                self.done = Some(End::Quit);
                return Step::Done(End::Quit);
            }
        }
        if self.greeted && !self.starting {
            self.heard.extend_from_slice(&rx.split());
        }
        while self.greeted && !self.starting && !tx.is_full() {
            let Some(line) = self.script.pop_front() else { break };
            self.starting = line == b"STARTTLS\r\n";
            tx.push(Bytes::from(line));
        }
        if self.closed.contains(&Close::Eof) && !self.deaf {
            self.done = Some(End::Eof);
            return Step::Done(End::Eof);
        }
        let on = if tx.is_full() { WaitingOn::Flush } else { WaitingOn::Peer };
        Step::Wait(Wait { read: true, until: None, on })
    }

    fn close(&mut self, why: Close) {
        self.closed.push(why);
    }

    fn upgraded(&mut self, layer: LayerInfo) {
        self.upgrading = false;
        self.layers.push(layer);
    }
}
