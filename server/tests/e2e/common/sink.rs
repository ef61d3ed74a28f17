//! A next hop that takes every message and keeps it: another server, without any of our code.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What it took: recipient and message, in order.
type Taken = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Listens until the test ends.
pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    taken: Taken,
}

impl Sink {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sink = Self { address: listener.local_addr().unwrap(), taken: Taken::default() };
        let taken = Arc::clone(&sink.taken);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let taken = Arc::clone(&taken);
                thread::spawn(move || session(&stream, &taken));
            }
        });
        sink
    }

    /// What it took so far.
    pub(crate) fn taken(&self) -> Vec<(String, Vec<u8>)> {
        self.taken.lock().unwrap().clone()
    }
}

/// `None` when the client has gone.
fn session(stream: &TcpStream, taken: &Taken) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut say = stream;
    let mut recipients: Vec<String> = Vec::new();
    say.write_all(b"220 sink.example\r\n").ok()?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let verb = line.get(..4)?.to_ascii_uppercase();
        let reply: &[u8] = match verb.as_str() {
            "EHLO" => b"250-sink.example\r\n250-8BITMIME\r\n250 PIPELINING\r\n",
            "RCPT" => {
                recipients.push(line.split(['<', '>']).nth(1)?.to_owned());
                b"250 ok\r\n"
            }
            "DATA" => {
                say.write_all(b"354 go on\r\n").ok()?;
                let message = body(&mut reader)?;
                let mut taken = taken.lock().unwrap();
                taken.extend(recipients.drain(..).map(|recipient| (recipient, message.clone())));
                b"250 taken\r\n"
            }
            "QUIT" => {
                say.write_all(b"221 bye\r\n").ok()?;
                return None;
            }
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
