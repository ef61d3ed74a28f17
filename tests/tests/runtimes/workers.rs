//! Several workers, one server.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

use bytes::BytesMut;
use pillarbox_core::node::{Accepted, ConnId, ConnIo, Event, Machine, NodeAction, NodeInput, NodeStep};
use pillarbox_core::{Now, Outbox};
use pillarbox_runtime::{Events, Gate, GateLimits, House, Listener, MakeMachine, Run, Workers, listen};
use pillarbox_store::{MemoryStore, Options};
use pillarbox_tests::theatre::PATIENCE;

use crate::names::Names;
use crate::provider::{Opening, until};
use crate::talk::Talk;

const MESSAGE: &[u8] = b"Subject: hello\r\n\r\nHello, world\r\n";

/// Connections spread, mail that comes in by one goes out by another, and a maildrop is locked on all.
pub(crate) fn two_workers(run: Run) {
    let birch = Opening::new("birch.example").workers(2).accounts(&["carol"]).on(run);
    let names = Names::serve([birch.zone("birch.example")]);
    let folder = tempfile::tempdir().unwrap();
    let amber = Opening::new("amber.example")
        .kept_in(folder.path())
        .workers(2)
        .delivers(names.address, birch.smtp.port())
        .accounts(&["alice", "bob"])
        .on(run);

    // Each goes to the worker that has fewer.
    let mut clients = [(); 4].map(|()| Talk::submission(amber.submission, "alice"));
    let workers = amber.heard.until("four sessions", |events| {
        let opened: Vec<_> = events.iter().filter(|(_, event)| matches!(event, Event::Opened { .. })).collect();
        (opened.len() >= 4).then(|| opened.iter().map(|(worker, _)| worker.clone()).collect::<Vec<_>>())
    });
    let one = workers.iter().filter(|worker| **worker == workers[0]).count();
    assert_eq!((one, workers.iter().collect::<BTreeSet<_>>().len()), (2, 2), "{workers:?}");

    for (number, client) in clients.iter_mut().enumerate() {
        client.give("alice@amber.example", "carol@birch.example", MESSAGE);
        client.give("alice@amber.example", "bob@amber.example", MESSAGE);
        birch.accepted(number + 1);
    }
    drop(clients);
    assert_eq!(birch.fetch("carol").len(), 4);

    // Whichever workers they are on: the second one of each pair is on the other.
    let (mut first, count) = Talk::maildrop(amber.pop3, "bob");
    assert_eq!(count, 4);
    for _ in 0..4 {
        let mut second = Talk::connect(amber.pop3);
        second.reply("+OK");
        second.say("USER bob", "+OK");
        second.say("PASS bob", "-ERR [IN-USE]");
    }
    first.say("QUIT", "+OK");
    first.ends();
    assert_eq!(amber.fetch("bob").len(), 4);
    amber.stop();
    birch.stop();
}

/// A server of many workers drains as one.
pub(crate) fn eight_workers_drain(run: Run) {
    let amber = Opening::new("amber.example").workers(8).on(run);
    let clients: Vec<_> = (0..16).map(|_| Talk::smtp(amber.smtp)).collect();
    amber.drain(std::time::Duration::from_secs(600));
    for mut client in clients {
        client.reply("421 4.3.2");
        client.ends();
    }
    amber.join();
}

/// A new configuration reaches all workers; sessions keep the one that they began with.
pub(crate) fn reload_reaches_all_workers(run: Run) {
    let amber = Opening::new("amber.example").workers(3).on(run);
    let old: Vec<_> = (0..3).map(|_| Talk::smtp(amber.smtp)).collect();
    amber.rename("new.amber.example");
    // Three at a time: one at each worker.
    until("new name at all workers", || {
        let mut talks = [(); 3].map(|()| Talk::connect(amber.smtp));
        let greetings = talks.each_mut().map(|talk| talk.reply("220 "));
        let news = greetings.iter().all(|greeting| greeting.starts_with("220 new.amber.example "));
        for mut talk in talks {
            talk.say("QUIT", "221 ");
            talk.ends();
        }
        news.then_some(())
    });
    for mut talk in old {
        talk.say("HELO client.example", "250 mx.amber.example");
        talk.say("QUIT", "221 ");
        talk.ends();
    }
    amber.stop();
}

/// A machine that breaks while a socket is served, and not in its own turn, ends the server as any other that breaks: who
/// knows in what state it is.
pub(crate) fn broken_machine_ends_the_server(run: Run) {
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let house = House {
        store: MemoryStore::new(Options::default()),
        events: Arc::new(Deaf),
        listeners: vec![Listener::Tcp(listener)],
        gate: Gate::new(GateLimits::default()),
    };
    let machines = (0..2).map(|_| Box::new(|| Box::<Brittle>::default() as Box<dyn Machine>) as MakeMachine);
    let workers = Workers::of(run, machines.collect(), house).unwrap();
    let mut other = TcpStream::connect(address).unwrap();
    TcpStream::connect(address).unwrap().write_all(b"and gone").unwrap();
    let (tell, hear) = channel();
    thread::spawn(move || tell.send(workers.join()));
    let ended = hear.recv_timeout(PATIENCE).expect("the server goes on with a broken machine");
    assert!(ended.unwrap_err().to_string().contains("panicked"));
    assert!(matches!(other.read(&mut [0]), Ok(0) | Err(_)));
}

/// Breaks when it hears that a peer has gone.
#[derive(Default)]
struct Brittle {
    conns: BTreeMap<ConnId, (BytesMut, Outbox)>,
    out: VecDeque<NodeAction>,
    draining: bool,
}

impl Machine for Brittle {
    fn accept(&mut self, _: Accepted) -> ConnId {
        let conn = ConnId(self.conns.len() as u64);
        self.conns.insert(conn, (BytesMut::new(), Outbox::new(1)));
        self.out.push_back(NodeAction::Interest { conn, read: true });
        conn
    }

    fn input(&mut self, _: Now, input: NodeInput) {
        assert!(!matches!(input, NodeInput::Closed { .. }), "as it was told");
        if matches!(input, NodeInput::Drain { .. }) {
            self.draining = true;
            self.out.push_back(NodeAction::Accepting(false));
        }
    }

    fn conn(&mut self, id: ConnId) -> Option<ConnIo<'_>> {
        let (rx, tx) = self.conns.get_mut(&id)?;
        Some(ConnIo { rx, tx })
    }

    fn touched(&mut self, _: ConnId) {}

    fn poll(&mut self, _: Now) -> NodeStep {
        match self.out.pop_front() {
            Some(action) => NodeStep::Act(action),
            None if self.draining => NodeStep::Done,
            None => NodeStep::Wait { until: None },
        }
    }
}

/// Hears no events.
struct Deaf;

impl Events for Deaf {
    fn event(&self, _: &Event) {}
}
