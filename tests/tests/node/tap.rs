//! What a node tells of a connection that it made: its beginning, its end, and in between the plaintext, layers named.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pillarbox_core::node::{Config, ConnId, Event, SessionKind, TapSink};
use pillarbox_core::session::{Direction, LayerInfo};
use pillarbox_tests::world::World;

use super::provider::{AMBER, BIRCH, config, names, store, submission, submit};

#[derive(Default)]
struct Recorder(Mutex<Vec<(ConnId, String)>>);

impl TapSink for Recorder {
    fn bytes(&self, conn: ConnId, direction: Direction, bytes: &[u8]) {
        let text = format!("{direction:?} {}", String::from_utf8_lossy(bytes));
        self.0.lock().unwrap().push((conn, text));
    }

    fn layer(&self, conn: ConnId, layer: &LayerInfo) {
        let LayerInfo::Tls(_) = layer;
        self.0.lock().unwrap().push((conn, "TLS".into()));
    }
}

#[test]
fn a_delivery_is_told_from_its_opening_to_its_end() {
    let recorder = Arc::new(Recorder::default());
    let mut world = World::new(9, names());
    let tapped = Config { tap: Some(Arc::clone(&recorder) as Arc<_>), ..config("amber.example") };
    world.machine(AMBER, &[25, 587, 110, 143], tapped, store("amber.example", &["alice"]));
    world.machine(BIRCH, &[25, 587, 110, 143], config("birch.example"), store("birch.example", &["carol"]));
    world.run();
    let alice = submission(&mut world, "alice");
    submit(&mut world, alice, "alice@amber.example", &["carol@birch.example"], "Subject: Hi\r\n\r\nHi\r\n");
    world.pass(Duration::from_secs(5));

    let events = &world.machines[0].events;
    let opened: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Opened { conn, kind: SessionKind::Delivery, peer } => Some((*conn, peer.to_string())),
            _ => None,
        })
        .collect();
    let [(conn, peer)] = opened.as_slice() else { panic!("{events:#?}") };
    assert_eq!(peer, &format!("{BIRCH}:25"));
    assert!(events.iter().any(|event| matches!(event, Event::Ended { conn: ended, .. } if ended == conn)));

    let said = recorder.0.lock().unwrap();
    let said: Vec<_> = said.iter().filter(|(of, _)| of == conn).map(|(_, text)| text.as_str()).collect();
    let tls = said.iter().position(|text| *text == "TLS").expect("the layer is told");
    assert!(said[..tls].iter().any(|text| text.starts_with("Out STARTTLS")), "{said:#?}");
    assert!(said[tls..].iter().any(|text| text.contains("RCPT TO:<carol@birch.example>")), "{said:#?}");
}
