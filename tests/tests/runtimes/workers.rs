//! Several workers, one server.

use std::collections::BTreeSet;

use pillarbox_core::node::Event;
use pillarbox_runtime::Run;

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
