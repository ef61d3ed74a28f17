//! Load for an SMTP server: sessions that send message after message, and how many were acknowledged.
//!
//! Every session is a thread that waits for each reply that ends something: what is counted is on the server's disk.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::talk::Talk;

/// Messages of one session.
const MESSAGES: u64 = 500;

/// What is to be sent, where to, and for how long.
#[derive(Clone, Debug)]
pub struct Load {
    /// The server.
    pub server: SocketAddr,
    /// A recipient that it takes mail for.
    pub recipient: String,
    /// Sessions at the same time.
    pub sessions: usize,
    /// How long they go on.
    pub time: Duration,
    /// Octets of a message's body.
    pub size: usize,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Messages that were acknowledged.
    pub messages: u64,
    /// From the first session's beginning to the last one's end.
    pub time: Duration,
}

impl Sent {
    /// Messages a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.messages as f64 / self.time.as_secs_f64()
    }
}

impl Load {
    /// Sends.
    ///
    /// # Errors
    /// When a session fails: it was refused something, or its connection broke.
    pub fn run(&self) -> io::Result<Sent> {
        let stop = Arc::new(AtomicBool::new(false));
        let load = Arc::new(self.clone());
        let begin = Instant::now();
        let sessions: Vec<_> = (0..self.sessions)
            .map(|_| {
                let mut session = Session::open(&load)?;
                let (stop, load) = (Arc::clone(&stop), Arc::clone(&load));
                Ok(thread::spawn(move || session.send_until(&load, &stop)))
            })
            .collect::<io::Result<_>>()?;
        thread::sleep(self.time);
        stop.store(true, Ordering::Relaxed);
        let mut messages = 0;
        for session in sessions {
            messages += session.join().map_err(|_| io::Error::other("a session panicked"))??;
        }
        Ok(Sent { messages, time: begin.elapsed() })
    }
}

struct Session {
    talk: Talk,
    envelope: String,
    message: String,
}

impl Session {
    fn open(load: &Load) -> io::Result<Self> {
        let line = format!("{}\r\n", "x".repeat(70));
        let message = format!("Subject: load\r\n\r\n{}.\r\n", line.repeat(load.size / line.len()));
        let envelope = format!("MAIL FROM:<load@load.example>\r\nRCPT TO:<{}>\r\nDATA\r\n", load.recipient);
        let mut talk = Talk::connect(load.server)?;
        talk.smtp("220")?;
        talk.say(b"EHLO load.example\r\n")?;
        talk.smtp("250")?;
        Ok(Self { talk, envelope, message })
    }

    /// Sends until told to stop; how many were acknowledged. Servers end a session after so many messages, so it is
    /// opened again now and then.
    fn send_until(&mut self, load: &Load, stop: &AtomicBool) -> io::Result<u64> {
        let mut sent = 0;
        while !stop.load(Ordering::Relaxed) {
            if sent > 0 && sent % MESSAGES == 0 {
                *self = Self::open(load)?;
            }
            self.talk.say(self.envelope.as_bytes())?;
            for expected in ["250", "250", "354"] {
                self.talk.smtp(expected)?;
            }
            self.talk.say(self.message.as_bytes())?;
            self.talk.smtp("250")?;
            sent += 1;
        }
        Ok(sent)
    }
}
