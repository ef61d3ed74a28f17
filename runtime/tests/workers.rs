//! Several workers behind one acceptor, on a runtime that is nothing but `poll(2)`.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Barrier};
use std::task::{Wake, Waker};
use std::time::Duration;

use common::{Deaf, Echo, Full, run};
use pillarbox_core::node::Machine;
use pillarbox_runtime::{
    Gate, GateLimits, House, Listener, MakeMachine, Run, Setup, Worker, Workers, connect_unix, listen, listen_unix,
};

fn echo(name: &str) -> MakeMachine {
    let name = name.to_owned();
    Box::new(move || Box::new(Echo::new(name)) as Box<dyn Machine>)
}

fn start(run: Run, names: &[&str], listeners: Vec<Listener>) -> Workers {
    let gate = Gate::new(GateLimits::default());
    let house = House { store: Arc::new(Full), events: Arc::new(Deaf), listeners, gate };
    Workers::of(run, names.iter().map(|name| echo(name)).collect(), house).unwrap()
}

fn listener() -> (Listener, SocketAddr) {
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    (Listener::Tcp(listener), address)
}

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// Who answers.
fn who(stream: &mut TcpStream) -> String {
    stream.write_all(b".").unwrap();
    let mut name = String::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        match byte {
            [b'.'] => return name,
            [byte] => name.push(char::from(byte)),
        }
    }
}

/// Whoever is at the other end has gone.
fn is_gone(mut stream: TcpStream) -> bool {
    match stream.read(&mut [0]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[test]
fn who_has_the_fewest_gets_the_next() {
    let (listener, address) = listener();
    let workers = start(run, &["a", "b", "c"], vec![listener]);
    let mut by_name: BTreeMap<String, Vec<TcpStream>> = BTreeMap::new();
    for _ in 0..9 {
        let mut stream = connect(address);
        by_name.entry(who(&mut stream)).or_default().push(stream);
    }
    assert_eq!(by_name.values().map(Vec::len).collect::<Vec<_>>(), [3, 3, 3]);
    // Those of b go; when it has noticed, the next three are its own.
    drop(by_name.remove("b"));
    for streams in by_name.values_mut() {
        streams.iter_mut().for_each(|stream| drop(who(stream)));
    }
    let mut tries = 0;
    let mut kept = Vec::new();
    while kept.len() < 3 {
        let mut stream = connect(address);
        if who(&mut stream) == "b" {
            kept.push(stream);
        }
        tries += 1;
        assert!(tries < 10_000, "b gets none");
    }
    workers.handle().drain(Duration::ZERO);
    workers.join().unwrap();
    assert!(by_name.into_values().flatten().chain(kept).all(is_gone));
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_worker_that_panics_takes_the_server_down_in_order() {
    let (listener, address) = listener();
    let workers = start(run, &["a", "b"], vec![listener]);
    let (mut one, mut other) = (connect(address), connect(address));
    assert_ne!(who(&mut one), who(&mut other));
    one.write_all(b"boom").unwrap();
    assert!(is_gone(one) && is_gone(other));
    let error = workers.join().unwrap_err().to_string();
    assert!(error.contains("panicked"), "{error}");
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_worker_that_fails_is_told_of() {
    fn fails(_: Setup) -> io::Result<()> {
        Err(io::Error::other("no loop"))
    }
    let (listener, address) = listener();
    let workers = start(fails, &["a", "b"], vec![listener]);
    assert_eq!(workers.join().unwrap_err().to_string(), "no loop");
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn whoever_was_let_in_by_a_worker_that_is_gone_is_not_left_hanging() {
    // The connection comes when the worker is there.
    static THERE: Barrier = Barrier::new(2);

    // It goes without having taken what was handed to it.
    fn goes(setup: Setup) -> io::Result<()> {
        let (bell, rung) = channel();
        let worker = Worker::new(setup, &Waker::from(Arc::new(Bell(bell))));
        // Once for what may have been there before it, once for the connection.
        rung.recv().unwrap();
        THERE.wait();
        rung.recv().unwrap();
        drop(worker);
        Ok(())
    }
    let (listener, address) = listener();
    let workers = start(goes, &["a"], vec![listener]);
    let handle = workers.handle().clone();
    THERE.wait();
    let stream = connect(address);
    workers.join().unwrap();
    assert!(is_gone(stream));
    drop(handle);
}

struct Bell(Sender<()>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let _gone = self.0.send(());
    }
}

#[test]
fn a_socket_in_a_folder_is_a_listener_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let (tcp, address) = listener();
    let unix = Listener::Unix(listen_unix(folder.path(), "control").unwrap());
    let workers = start(run, &["a"], vec![tcp, unix]);
    let mut stream: UnixStream = connect_unix(folder.path(), "control").unwrap();
    stream.write_all(b"hello").unwrap();
    let mut heard = [0; 6];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"ahello");
    assert_eq!(who(&mut connect(address)), "a");
    workers.handle().drain(Duration::ZERO);
    workers.join().unwrap();
    assert_eq!(stream.read(&mut heard).unwrap(), 0);
}
