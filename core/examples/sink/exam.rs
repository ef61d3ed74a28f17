//! What every sink must pass, whatever turns its crank: real clients over loopback, good ones and bad ones.
//!
//! The time limits in here are short only where a test waits for one to pass; none decides what comes out.

use std::io::{self, ErrorKind, Read as _, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{Message, SmtpTransport, Transport as _};
use pillarbox_core::End;
use pillarbox_core::smtp::server::Limits;

use super::Sink;

/// The tests, for a sink that serves one connection by the function `$serve`.
macro_rules! sit {
    ($serve:ident) => {
        $crate::sink::exam::sit! { $serve:
            takes_mail
            takes_mail_under_tls
            takes_a_large_message
            answers_all_that_was_sent_before_the_clients_end
            does_not_reset_who_says_too_much
            says_so_when_time_is_up
            gives_up_on_who_does_not_listen
        }
    };
    ($serve:ident: $($test:ident)*) => {
        $(#[test]
        fn $test() {
            $crate::sink::exam::$test($serve);
        })*
    };
}
pub(crate) use sit;

type Serve = fn(TcpStream, Arc<Sink>) -> io::Result<End>;

/// What the sink wrote out.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One connection between `client` and a sink with these limits: how it ended, what was written, what `client` says.
fn meet<T>(serve: Serve, limits: Limits, client: impl FnOnce(u16) -> T) -> (End, String, T) {
    meet_patiently(serve, limits, Duration::from_secs(60), client)
}

/// The same, by a sink that waits so long at the end.
fn meet_patiently<T>(
    serve: Serve,
    limits: Limits,
    farewell: Duration,
    client: impl FnOnce(u16) -> T,
) -> (End, String, T) {
    let paper = Paper::default();
    let mut sink = Sink::begin(paper.clone()).unwrap();
    Arc::make_mut(&mut sink.config).limits = limits;
    sink.farewell = farewell;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || serve(listener.accept().unwrap().0, Arc::new(sink)));
    let said = client(port);
    let end = server.join().unwrap().unwrap();
    let written = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
    (end, written, said)
}

fn letter(body: &str) -> Message {
    let builder = Message::builder().from("a@example.net".parse().unwrap()).to("b@example.org".parse().unwrap());
    builder.subject("Hello").body(body.to_owned()).unwrap()
}

fn send(port: u16, tls: Tls, letter: &Message) {
    let transport = SmtpTransport::builder_dangerous("127.0.0.1").port(port).tls(tls).build();
    let response = transport.send(letter).unwrap();
    assert!(response.first_line().unwrap().contains("taken as"), "{response:?}");
}

/// A client that says all this at once, and hears everything.
fn talk(port: u16, says: &[u8], then_closes: bool) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(says)?;
    if then_closes {
        stream.shutdown(Shutdown::Write)?;
    }
    let mut heard = String::new();
    stream.read_to_string(&mut heard)?;
    Ok(heard)
}

pub(crate) fn takes_mail(serve: Serve) {
    let (end, written, ()) = meet(serve, Limits::default(), |port| send(port, Tls::None, &letter(".\r\nto you\r\n")));
    assert_eq!(end, End::Quit);
    assert!(written.starts_with("Received: from ") && written.contains("\r\nSubject: Hello\r\n"), "{written}");
    assert!(written.contains("\r\n\r\n.\r\nto you\r\n"), "{written}");
}

pub(crate) fn takes_mail_under_tls(serve: Serve) {
    let tls = TlsParameters::builder("sink.example".into()).dangerous_accept_invalid_certs(true).build().unwrap();
    let (end, written, ()) = meet(serve, Limits::default(), |port| send(port, Tls::Required(tls), &letter("psst")));
    assert_eq!(end, End::Quit);
    assert!(written.contains("with ESMTPS") && written.contains("psst"), "{written}");
}

/// More than all the buffers on its way together.
pub(crate) fn takes_a_large_message(serve: Serve) {
    let body = "0123456789abcdef".repeat(4).as_str().to_owned() + "\r\n";
    let body = body.repeat(100_000);
    let (end, written, ()) = meet(serve, Limits::default(), |port| send(port, Tls::None, &letter(&body)));
    assert_eq!(end, End::Quit);
    assert!(written.contains(&body));
}

/// The client sends a message and closes its side: that is the end of what it says, and not of what it hears.
pub(crate) fn answers_all_that_was_sent_before_the_clients_end(serve: Serve) {
    let says = "EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nSubject: x\r\n\r\nlast words\r\n.\r\n";
    let (end, written, heard) = meet(serve, Limits::default(), |port| talk(port, says.as_bytes(), true));
    let heard = heard.unwrap();
    assert!(heard.lines().last().is_some_and(|line| line.starts_with("250 2.0.0 taken as")), "{heard}");
    assert_eq!(end, End::Eof);
    assert!(written.ends_with("last words\r\n"), "{written}");
}

/// What stands behind QUIT is never read; the goodbye arrives all the same.
pub(crate) fn does_not_reset_who_says_too_much(serve: Serve) {
    let says = format!("QUIT\r\n{}", "and another thing\r\n".repeat(4000));
    let (end, _, heard) = meet(serve, Limits::default(), |port| talk(port, says.as_bytes(), true));
    assert!(heard.as_ref().is_ok_and(|heard| heard.contains("\r\n221 ")), "{heard:?}");
    assert_eq!(end, End::Quit);
}

pub(crate) fn says_so_when_time_is_up(serve: Serve) {
    let limits = Limits { command_timeout: Duration::from_millis(50), ..Limits::default() };
    let (end, _, heard) = meet(serve, limits, |port| talk(port, b"EHL", false));
    let heard = heard.unwrap();
    assert!(heard.starts_with("220 ") && heard.contains("\r\n421 "), "{heard}");
    assert_eq!(end, End::Timeout);
}

/// A client that speaks and speaks, and never reads a reply. Who can read while it writes sees the replies pile up; who
/// cannot waits for the client, as it were, to say the next command.
pub(crate) fn gives_up_on_who_does_not_listen(serve: Serve) {
    let limit = Duration::from_millis(50);
    let limits = Limits { data_timeout: limit, command_timeout: limit, ..Limits::default() };
    let (end, _, error) = meet_patiently(serve, limits, limit, |port| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let says = b"HELP\r\n".repeat(10_000);
        loop {
            if let Err(error) = stream.write_all(&says) {
                return error;
            }
        }
    });
    assert_eq!(end, End::Timeout);
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
}
