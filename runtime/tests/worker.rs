//! A worker by itself: the test is its machine and its runtime, and says when a socket is ready.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use common::{Deaf, Full, Script, Watch};
use pillarbox_core::dns::SocketId;
use pillarbox_core::node::{Closed, ConnId, NodeAction, NodeInput};
use pillarbox_core::ops::{QueueOp, StoreOp, Token};
use pillarbox_runtime::{Inbox, Ready, Setup, Source, Turn, Worker};

const CONN: ConnId = ConnId(7);
const IN: Ready = Ready { read: true, write: false };
const OUT: Ready = Ready { read: false, write: true };
const NEITHER: Ready = Ready { read: false, write: false };

/// A worker and everything around it.
struct Desk {
    worker: Worker,
    watch: Watch,
    script: Script,
}

impl Desk {
    fn new() -> Self {
        let script = Script::default();
        let follower = script.clone();
        let setup = Setup {
            machine: Box::new(move || follower.machine()),
            inbox: Arc::new(Inbox::default()),
            store: Arc::new(Full),
            events: Arc::new(Deaf),
        };
        Self { worker: Worker::new(setup, Waker::noop()), watch: Watch::default(), script }
    }

    /// A worker with a connection that is up, and its peer, who has heard nothing.
    fn connected() -> (Self, TcpStream) {
        let (mut desk, listener) = (Self::new(), TcpListener::bind("127.0.0.1:0").unwrap());
        desk.act(NodeAction::Dial { conn: CONN, to: listener.local_addr().unwrap() });
        assert_eq!(desk.want(), Some(OUT));
        let (peer, _) = listener.accept().unwrap();
        desk.serve();
        assert!(matches!(desk.heard()[..], [NodeInput::Dialed { conn: CONN, result: Ok(()) }]));
        (desk, peer)
    }

    fn act(&mut self, action: NodeAction) {
        self.script.say(action);
        assert_eq!(self.worker.turn(&mut self.watch), Turn::Wait(None));
    }

    /// The same, where there is a time to wait for.
    fn act_and_wait(&mut self, action: NodeAction) {
        self.script.say(action);
        assert!(matches!(self.worker.turn(&mut self.watch), Turn::Wait(Some(_))));
    }

    fn want(&self) -> Option<Ready> {
        self.worker.want(Source::Conn(CONN))
    }

    /// Waits until something is ready, and serves it.
    fn serve(&mut self) {
        let ready = self.watch.wait(&self.worker, None, Some(Duration::from_secs(60)));
        assert!(!ready.is_empty(), "nothing is ready");
        for (source, ready) in ready {
            self.worker.ready(source, ready);
        }
    }

    /// Is served whatever it is ready for; all that is heard until something is.
    fn serve_until_heard(&mut self) -> Vec<NodeInput> {
        loop {
            self.serve();
            self.worker.turn(&mut self.watch);
            let heard = self.heard();
            if !heard.is_empty() {
                return heard;
            }
        }
    }

    fn heard(&self) -> Vec<NodeInput> {
        self.script.heard()
    }
}

#[test]
fn a_dialed_socket_that_cannot_be_watched_has_failed() {
    let (mut desk, listener) = (Desk::new(), TcpListener::bind("127.0.0.1:0").unwrap());
    desk.watch.full = true;
    desk.act(NodeAction::Dial { conn: CONN, to: listener.local_addr().unwrap() });
    let heard = desk.heard();
    assert!(
        matches!(&heard[..], [NodeInput::Dialed { conn: CONN, result: Err(why) }] if why.contains("no place")),
        "{heard:?}"
    );
    assert_eq!(desk.want(), None);
}

#[test]
fn an_address_that_no_socket_reaches_is_told() {
    let mut desk = Desk::new();
    // Nobody can connect to port 0.
    desk.act(NodeAction::Dial { conn: CONN, to: SocketAddr::from(([127, 0, 0, 1], 0)) });
    if desk.want().is_some() {
        desk.serve();
    }
    assert!(matches!(desk.heard()[..], [NodeInput::Dialed { result: Err(_), .. }]));
}

#[test]
fn readiness_before_its_time_does_no_harm() {
    let (mut desk, mut peer) = Desk::connected();
    peer.write_all(b"early").unwrap();
    // Nobody wants to read or write.
    assert_eq!(desk.want(), Some(NEITHER));
    for ready in [IN, OUT, NEITHER] {
        desk.worker.ready(Source::Conn(CONN), ready);
    }
    assert!(desk.heard().is_empty() && desk.script.page().touched.is_empty());
    // Of a connection that nobody knows, even less.
    assert_eq!(desk.worker.want(Source::Conn(ConnId(99))), None);
    desk.worker.ready(Source::Conn(ConnId(99)), IN);
    desk.worker.ready(Source::Datagrams(SocketId(99)), IN);
    desk.act(NodeAction::Flush(ConnId(99)));
    desk.act(NodeAction::Interest { conn: ConnId(99), read: true });
    desk.act(NodeAction::Close { conn: ConnId(99), abort: false });
    desk.act(NodeAction::CloseSocket(SocketId(99)));
    assert!(desk.heard().is_empty());
}

#[test]
fn one_read_at_a_time_and_it_says_whether_there_may_be_more() {
    let (mut desk, mut peer) = Desk::connected();
    desk.act(NodeAction::Interest { conn: CONN, read: true });
    peer.write_all(&vec![b'x'; 100_000]).unwrap();
    let mut reads = 0;
    while desk.worker.ready(Source::Conn(CONN), IN).read {
        reads += 1;
        desk.worker.turn(&mut desk.watch);
    }
    assert!(reads >= 1, "the first read filled its buffer");
    assert!(desk.script.page().touched.iter().all(|conn| *conn == CONN));
    assert!(!desk.worker.ready(Source::Conn(CONN), IN).read, "it would block");
    assert!(desk.heard().is_empty());
}

#[test]
fn the_end_is_told_once_and_then_nothing_is_read() {
    let (mut desk, peer) = Desk::connected();
    desk.act(NodeAction::Interest { conn: CONN, read: true });
    assert_eq!(desk.want(), Some(IN));
    peer.shutdown(Shutdown::Write).unwrap();
    desk.serve();
    assert!(matches!(desk.heard()[..], [NodeInput::Closed { conn: CONN, how: Closed::Eof }]));
    assert_eq!(desk.want(), Some(NEITHER));
    desk.act(NodeAction::Interest { conn: CONN, read: true });
    assert_eq!(desk.want(), Some(NEITHER));
    // The peer has said all: there is nothing to wait for behind our last word.
    desk.act(NodeAction::Close { conn: CONN, abort: false });
    assert!(matches!(desk.heard()[..], [NodeInput::Closed { conn: CONN, how: Closed::Done }]));
    assert_eq!(desk.want(), None);
    assert_eq!(desk.watch.changed.last(), Some(&Source::Conn(CONN)));
}

#[test]
fn the_last_words_are_written_before_the_end() {
    let (mut desk, mut peer) = Desk::connected();
    desk.act_and_wait(NodeAction::Close { conn: CONN, abort: false });
    let mut heard = Vec::new();
    peer.read_to_end(&mut heard).unwrap();
    assert_eq!(heard, [b'w'; 1000]);
    // It listens still, but the machine hears nothing of what is said.
    assert_eq!(desk.want(), Some(IN));
    peer.write_all(b"but").unwrap();
    desk.serve();
    assert!(desk.heard().is_empty() && desk.want() == Some(IN));
    drop(peer);
    let heard = desk.serve_until_heard();
    assert!(matches!(heard[..], [NodeInput::Closed { conn: CONN, how: Closed::Done }]), "{heard:?}");
    assert_eq!(desk.want(), None);
}

#[test]
fn a_peer_that_talks_on_is_not_listened_to_forever() {
    let (mut desk, mut peer) = Desk::connected();
    desk.act_and_wait(NodeAction::Close { conn: CONN, abort: false });
    peer.set_nonblocking(true).unwrap();
    let (mut said, flood) = (0, vec![b'x'; 1 << 16]);
    while desk.want().is_some() {
        said += peer.write(&flood).unwrap_or(0);
        assert!(said < 64 << 20, "it listens still");
        desk.worker.ready(Source::Conn(CONN), IN);
    }
    assert!(matches!(desk.heard()[..], [NodeInput::Closed { conn: CONN, how: Closed::Done }]));
    assert!(said >= 1 << 20, "it did not listen for long: {said} bytes");
}

#[test]
fn an_error_behind_the_close_ends_it() {
    let (mut desk, peer) = Desk::connected();
    desk.act_and_wait(NodeAction::Close { conn: CONN, abort: false });
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    let heard = desk.serve_until_heard();
    assert!(matches!(heard[..], [NodeInput::Closed { conn: CONN, how: Closed::Done }]), "{heard:?}");
}

#[test]
fn an_error_is_told_once_and_the_close_answers_it() {
    let (mut desk, peer) = Desk::connected();
    desk.act(NodeAction::Interest { conn: CONN, read: true });
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    desk.serve();
    assert!(matches!(desk.heard()[..], [NodeInput::Closed { conn: CONN, how: Closed::Error }]));
    assert_eq!(desk.want(), Some(NEITHER));
    desk.act(NodeAction::Flush(CONN));
    desk.worker.ready(Source::Conn(CONN), Ready { read: true, write: true });
    assert!(desk.heard().is_empty(), "it was told already");
    desk.act(NodeAction::Close { conn: CONN, abort: false });
    assert!(matches!(desk.heard()[..], [NodeInput::Closed { conn: CONN, how: Closed::Done }]));
    assert_eq!(desk.want(), None);
}

#[test]
fn a_flood_without_a_pause_costs_a_turn_no_more_for_each_read() {
    let (mut desk, mut peer) = Desk::connected();
    desk.act(NodeAction::Interest { conn: CONN, read: true });
    desk.script.page().more = true;
    for _ in 0..100 {
        peer.write_all(b"more than the machine takes").unwrap();
        desk.serve();
        desk.script.page().lent = 0;
        assert_eq!(desk.worker.turn(&mut desk.watch), Turn::More);
    }
    assert_eq!(desk.script.page().lent, 1);
}

#[test]
fn what_is_aborted_is_forgotten() {
    let (mut desk, mut peer) = Desk::connected();
    desk.act(NodeAction::Close { conn: CONN, abort: true });
    assert_eq!(desk.want(), None);
    desk.watch.wait(&desk.worker, None, Some(Duration::ZERO));
    assert_eq!(peer.read(&mut [0; 10]).unwrap(), 0, "the last words were not said");
    assert!(desk.heard().is_empty());
    // Also while it is dialed.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    desk.act(NodeAction::Dial { conn: CONN, to: listener.local_addr().unwrap() });
    desk.act(NodeAction::Close { conn: CONN, abort: true });
    assert_eq!(desk.want(), None);
    desk.worker.ready(Source::Conn(CONN), OUT);
    assert!(desk.heard().is_empty());
}

#[test]
fn a_full_store_hands_the_op_back() {
    let mut desk = Desk::new();
    let op = StoreOp::Queue(QueueOp::Show { rows: Vec::new() });
    desk.act(NodeAction::Store { token: Token(3), op: op.clone() });
    let heard = desk.heard();
    assert!(matches!(&heard[..], [NodeInput::Busy { token: Token(3), op: back }] if *back == op), "{heard:?}");
}

#[test]
fn each_datagram_socket_has_its_own_port_and_others_have_their_turn() {
    let (mut desk, server) = (Desk::new(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let to = server.local_addr().unwrap();
    let ask = |socket| NodeAction::Datagram { socket: SocketId(socket), to, bytes: b"who?".as_slice().into() };
    for socket in [1, 2, 1] {
        desk.act(ask(socket));
    }
    let mut buffer = [0; 16];
    let [first, second, third] = [(); 3].map(|()| server.recv_from(&mut buffer).unwrap().1);
    assert!(first != second && first == third);
    let source = Source::Datagrams(SocketId(1));
    assert_eq!(desk.worker.want(source), Some(IN));

    for number in 0..40_u8 {
        server.send_to(&[number], first).unwrap();
    }
    let mut turns = 0;
    while desk.worker.ready(source, IN).read {
        turns += 1;
    }
    assert_eq!(turns, 2, "16, 16, and 8");
    let heard: Vec<_> = desk.heard();
    assert!(heard.iter().zip(0..).all(|(input, number)| {
        matches!(input, NodeInput::Datagram { socket: SocketId(1), from, bytes } if *from == to && bytes[..] == [number])
    }));
    assert_eq!(heard.len(), 40);

    desk.act(NodeAction::CloseSocket(SocketId(1)));
    assert_eq!((desk.worker.want(source), desk.watch.changed.last()), (None, Some(&source)));
    assert_eq!(desk.worker.want(Source::Datagrams(SocketId(2))), Some(IN));
}

#[test]
fn a_datagram_that_cannot_be_sent_is_lost() {
    let mut desk = Desk::new();
    let to = SocketAddr::from(([127, 0, 0, 1], 0));
    desk.act(NodeAction::Datagram { socket: SocketId(1), to, bytes: b"who?".as_slice().into() });
    desk.watch.full = true;
    desk.act(NodeAction::Datagram { socket: SocketId(2), to, bytes: b"who?".as_slice().into() });
    assert_eq!(desk.worker.want(Source::Datagrams(SocketId(2))), None);
    assert!(desk.heard().is_empty());
}

#[test]
fn a_machine_that_is_done_ends_the_run() {
    let mut desk = Desk::new();
    desk.script.page().done = true;
    assert_eq!(desk.worker.turn(&mut desk.watch), Turn::Done);
}
