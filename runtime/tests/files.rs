//! No file is left for another connection. A process of its own, since the limit is the whole process's.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::Duration;

use common::{Deaf, Echo, Full, run};
use pillarbox_runtime::{Gate, GateLimits, House, Listener, Workers, listen};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

#[test]
fn whoever_finds_no_file_left_is_closed_and_those_inside_are_served() {
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let gate = Gate::new(GateLimits::default());
    let listeners = vec![Listener::Tcp(listener)];
    let house = House { store: Arc::new(Full), events: Arc::new(Deaf), listeners, gate };
    let workers = Workers::of(run, vec![Box::new(|| Box::new(Echo::new("")))], house).unwrap();

    let sockets = [(); 4].map(|()| Socket::new(Domain::IPV4, Type::STREAM, None).unwrap());
    let [inside, outside, another, later] = sockets;
    let mut inside = connected(inside, address);
    echoes(&mut inside);

    // Not one descriptor more than are open now: whatever is above the lowest free one is closed to us.
    let free = File::open("/dev/null").unwrap().as_raw_fd();
    let before = getrlimit(Resource::Nofile);
    let current = Some(u64::try_from(free).unwrap());
    setrlimit(Resource::Nofile, Rlimit { current, maximum: before.maximum }).unwrap();
    for stranger in [outside, another] {
        let mut stranger = connected(stranger, address);
        match stranger.read(&mut [0]) {
            Ok(read) => assert_eq!(read, 0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        echoes(&mut inside);
        // It keeps its own descriptor, so that none is free.
        std::mem::forget(stranger);
    }

    setrlimit(Resource::Nofile, before).unwrap();
    echoes(&mut connected(later, address));
    workers.handle().drain(Duration::ZERO);
    workers.join().unwrap();
}

fn connected(socket: Socket, to: SocketAddr) -> TcpStream {
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

fn echoes(stream: &mut TcpStream) {
    stream.write_all(b"hello").unwrap();
    let mut heard = [0; 5];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
}
