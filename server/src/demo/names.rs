//! A small name server on loopback: the responder of the core behind a datagram socket and a listener.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use pillarbox_core::dns::responder::{Responder, Zone};

use crate::failure::Failure;

/// Ports that are tried: the same one must be free for datagrams and for TCP.
const TRIES: usize = 50;
/// How long a client may take over TCP.
const PATIENCE: Duration = Duration::from_secs(5);
/// The types that mail asks for.
const TYPES: [(u16, &str); 3] = [(1, "A"), (15, "MX"), (28, "AAAA")];

/// What the name server knows.
#[derive(Default)]
pub(super) struct Records {
    zones: Vec<Zone>,
    /// The same for people: name, type, what it says.
    shown: Vec<(String, &'static str, String)>,
}

/// Somebody asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// As `dig` takes it: `MX birch.example`.
    pub(super) question: String,
    /// What the answer says; none when there is no such record.
    pub(super) answers: Vec<String>,
}

impl Records {
    /// Mail for `domain` goes to `mx.domain`, which is at `address`.
    pub(super) fn provider(mut self, domain: &str, address: Ipv4Addr) -> Self {
        let host = format!("mx.{domain}");
        self.zones.push(Zone::new(domain).mx(domain, 10, &host).a(&host, address));
        self.shown.push((domain.to_owned(), "MX", format!("10 {host}")));
        self.shown.push((host, "A", address.to_string()));
        self
    }

    /// Serves them for as long as this process lives, on 127.0.0.1; `heard` is told of each question. Returns where.
    ///
    /// # Errors
    /// When no port or thread can be had.
    pub(super) fn serve(self, heard: impl Fn(Asked) + Send + Sync + 'static) -> Result<SocketAddr, Failure> {
        let failed = |error: io::Error| Failure::new(format!("cannot start a name server on loopback: {error}"));
        let (datagrams, streams, address) = sockets().map_err(failed)?;
        // The root: of every other name it is certain that there is none, and mail for it comes back at once.
        let zones = self.zones.into_iter().chain([Zone::new(".")]);
        let server = Arc::new(Server { responder: Responder::new(zones), shown: self.shown, heard });
        let other = Arc::clone(&server);
        let thread = |name: &str| thread::Builder::new().name(name.to_owned());
        thread("names").spawn(move || server.datagrams(&datagrams)).map_err(failed)?;
        thread("names-tcp").spawn(move || other.streams(&streams)).map_err(failed)?;
        Ok(address)
    }
}

struct Server<F> {
    responder: Responder,
    shown: Vec<(String, &'static str, String)>,
    heard: F,
}

impl<F: Fn(Asked)> Server<F> {
    fn datagrams(&self, socket: &UdpSocket) {
        let mut query = [0; 4096];
        loop {
            // An error here is about a datagram sent before, to a client that is gone.
            let Ok((len, from)) = socket.recv_from(&mut query) else { continue };
            if let Some(answer) = self.responder.answer(&query[..len], false) {
                self.tell(&query[..len]);
                let _ = socket.send_to(&answer, from);
            }
        }
    }

    fn streams(&self, listener: &TcpListener) {
        for stream in listener.incoming().flatten() {
            // Who breaks off has only spoiled his own question.
            let _ = self.stream(&stream);
        }
    }

    fn stream(&self, mut stream: &TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut query)?;
        let Some(answer) = self.responder.answer(&query, true) else { return Ok(()) };
        self.tell(&query);
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        stream.write_all(&length.to_be_bytes())?;
        stream.write_all(&answer)
    }

    fn tell(&self, query: &[u8]) {
        let Some((name, number)) = question(query) else { return };
        let kind = TYPES.iter().find(|(other, _)| *other == number).map_or("?", |(_, kind)| *kind);
        let at = self.shown.iter().filter(|(owner, of, _)| *owner == name && *of == kind);
        let answers = at.map(|(_, _, says)| says.clone()).collect();
        (self.heard)(Asked { question: format!("{kind} {name}"), answers });
    }
}

/// Name and type of the first question (RFC 1035 §4.1.2).
fn question(query: &[u8]) -> Option<(String, u16)> {
    let mut rest = query.get(12..)?;
    let mut name = String::new();
    loop {
        let (&length, behind) = rest.split_first()?;
        if length == 0 {
            rest = behind;
            break;
        }
        // A question has no pointers.
        let (label, behind) = behind.split_at_checked(usize::from(length))?;
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(&String::from_utf8_lossy(label).to_ascii_lowercase());
        rest = behind;
    }
    Some((name, u16::from_be_bytes(*rest.first_chunk()?)))
}

fn sockets() -> io::Result<(UdpSocket, TcpListener, SocketAddr)> {
    let mut failed = None;
    for _ in 0..TRIES {
        let datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = datagrams.local_addr()?;
        match TcpListener::bind(address) {
            Ok(streams) => return Ok((datagrams, streams, address)),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read_and_rubbish_is_none() {
        let mut query = vec![0; 12];
        query.extend_from_slice(b"\x05Birch\x07example\0\0\x0f\0\x01");
        assert_eq!(question(&query), Some(("birch.example".into(), 15)));
        for len in 0..query.len() - 2 {
            assert_eq!(question(&query[..len]), None, "{len}");
        }
    }

    #[test]
    fn an_answer_comes_over_tcp_as_well() {
        let records = Records::default().provider("birch.example", Ipv4Addr::LOCALHOST);
        let (sender, asked) = std::sync::mpsc::channel();
        let address = records.serve(move |one| sender.send(one).unwrap()).unwrap();
        let mut query = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0".to_vec();
        query.extend_from_slice(b"\x05birch\x07example\0\0\x0f\0\x01");
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&u16::try_from(query.len()).unwrap().to_be_bytes()).unwrap();
        stream.write_all(&query).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(answer[2..4], query[..2]);
        let told = asked.recv().unwrap();
        assert_eq!(told, Asked { question: "MX birch.example".into(), answers: vec!["10 mx.birch.example".into()] });
    }
}
