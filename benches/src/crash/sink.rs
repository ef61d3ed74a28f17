//! A next hop that takes every letter and remembers which: without any of our code, and it never crashes.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::letters;

/// What came.
#[derive(Debug, Default)]
pub struct Taken {
    /// How often each letter came, by name.
    pub letters: BTreeMap<String, u32>,
    /// Letters that were not whole, or went to another's address.
    pub torn: u64,
}

/// Listens until the program ends.
#[derive(Debug)]
pub struct Sink {
    /// Where.
    pub address: SocketAddr,
    taken: Arc<Mutex<Taken>>,
}

impl Sink {
    /// Begins to listen on any free port.
    ///
    /// # Errors
    /// When there is none.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let sink = Self { address: listener.local_addr()?, taken: Arc::default() };
        let taken = Arc::clone(&sink.taken);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let taken = Arc::clone(&taken);
                thread::spawn(move || session(&stream, &taken));
            }
        });
        Ok(sink)
    }

    /// What came so far.
    pub fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `None` when the client has gone.
fn session(stream: &TcpStream, taken: &Mutex<Taken>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut say = stream;
    let mut recipients: Vec<String> = Vec::new();
    say.write_all(b"220 sink.example\r\n").ok()?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let reply: &[u8] = match line.get(..4)?.to_ascii_uppercase().as_str() {
            "EHLO" => b"250-sink.example\r\n250-8BITMIME\r\n250 PIPELINING\r\n",
            "RCPT" => {
                recipients.push(line.split(['<', '>']).nth(1)?.to_owned());
                b"250 ok\r\n"
            }
            "DATA" => {
                say.write_all(b"354 go on\r\n").ok()?;
                let letter = letters::name_of(&body(&mut reader)?);
                let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
                for recipient in recipients.drain(..) {
                    match &letter {
                        Some(name) if recipient.split('@').next() == Some(name) => {
                            *taken.letters.entry(name.clone()).or_default() += 1;
                        }
                        _ => taken.torn += 1,
                    }
                }
                b"250 taken\r\n"
            }
            "QUIT" => return say.write_all(b"221 bye\r\n").ok(),
            _ => {
                recipients.clear();
                b"250 ok\r\n"
            }
        };
        say.write_all(reply).ok()?;
    }
}

fn body(reader: &mut BufReader<&TcpStream>) -> Option<Vec<u8>> {
    let (mut all, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        reader.read_until(b'\n', &mut line).ok().filter(|read| *read > 0)?;
        match line.as_slice() {
            b".\r\n" => return Some(all),
            [b'.', rest @ ..] => all.extend_from_slice(rest),
            line => all.extend_from_slice(line),
        }
    }
}
