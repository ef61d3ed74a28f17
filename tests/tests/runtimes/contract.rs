//! What a runtime owes to any machine, one connection at a time: what it reads, writes, closes, and tells. The puppet
//! notes meanwhile whatever is told twice, told of the dead, or read unasked.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};

use pillarbox_runtime::Run;
use pillarbox_tests::theatre::{Cut, Seat, Theatre};
use socket2::{Domain, Socket, Type};

use crate::provider::{address, until};

/// More than all buffers between two sockets on loopback.
const MUCH: usize = 16 << 20;

fn played(run: Run, play: impl Fn(&Theatre) -> Result<(), String>) {
    let theatre = Theatre::open(run);
    let played = play(&theatre);
    played.and(theatre.close()).unwrap();
}

/// Once with a connection that came in, once with one that went out.
fn both_ways(run: Run, play: impl Fn(Seat) -> Result<(), String>) {
    played(run, |theatre| {
        play(theatre.connected(Cut::Whole)?)?;
        play(theatre.dialed(Cut::Whole)?)
    });
}

/// Nothing is read from who is not to be read; TCP pushes back, and nothing is lost.
pub(crate) fn unread_bytes_push_back(run: Run) {
    both_ways(run, |mut seat| {
        let written = fill(seat.peer()?);
        assert!(written < MUCH, "nobody pushed back");
        let mut all = Vec::new();
        while all.len() < written {
            // On and off, so that nobody relies on being told of the same bytes again.
            seat.reads(true);
            all.extend(seat.receives(1)?);
            seat.reads(false);
        }
        assert!(all == pattern(written), "other bytes came than were said");
        seat.aborts()
    });
}

/// What the peer does not take at once is written as it takes it.
pub(crate) fn slow_reader_gets_all(run: Run) {
    both_ways(run, |seat| {
        seat.writes(pattern(MUCH));
        let mut peer = seat.peer()?;
        let (mut first, mut rest) = (vec![0; 1000], Vec::new());
        peer.read_exact(&mut first).unwrap();
        seat.closes(b"bye".as_slice());
        peer.read_to_end(&mut rest).unwrap();
        first.extend(rest);
        assert!(first.strip_suffix(b"bye") == Some(&pattern(MUCH)), "{} bytes", first.len());
        let mut seat = seat;
        seat.hangs_up();
        seat.sees_done()
    });
}

/// The end comes behind the bytes, also where both were there before anybody looked.
pub(crate) fn end_comes_behind_the_bytes(run: Run) {
    both_ways(run, |mut seat| {
        let bytes = pattern(100_000);
        seat.peer()?.write_all(&bytes).unwrap();
        seat.peer()?.shutdown(Shutdown::Write).unwrap();
        seat.reads(true);
        assert!(seat.receives(bytes.len())? == bytes);
        seat.sees_eof()?;
        // That was one direction; the other is still open.
        seat.writes(b"still here".as_slice());
        seat.hears(b"still here")?;
        seat.closes(b"bye".as_slice());
        seat.hears(b"bye")?;
        seat.sees_done()
    });
}

/// A reset is told to who reads, and to who writes.
pub(crate) fn reset_is_told(run: Run) {
    both_ways(run, |mut seat| {
        seat.reads(true);
        seat.vanishes()?;
        seat.sees_error()?;
        seat.aborts()
    });
    both_ways(run, |mut seat| {
        seat.vanishes()?;
        // It may be on its way, so that a first word is still taken.
        until("reset", || {
            seat.writes(b"hello".as_slice());
            seat.is_broken().then_some(())
        });
        seat.aborts()
    });
}

/// A reset while the last words are being written: it is over, and that is all.
pub(crate) fn reset_behind_a_close(run: Run) {
    both_ways(run, |mut seat| {
        seat.closes(pattern(MUCH));
        seat.peer()?.read_exact(&mut [0]).unwrap();
        seat.vanishes()?;
        seat.sees_done()
    });
}

/// After an abort the peer hears the end at once, and the machine nothing at all.
pub(crate) fn abort_is_at_once(run: Run) {
    both_ways(run, |mut seat| {
        seat.reads(true);
        seat.writes(pattern(MUCH));
        seat.peer()?.read_exact(&mut [0]).unwrap();
        seat.aborts()?;
        let mut rest = Vec::new();
        match seat.peer()?.read_to_end(&mut rest) {
            Ok(_) => assert!(rest.len() < MUCH - 1),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        Ok(())
    });
}

/// A peer that does not close is not waited for forever, nor is one that never stops talking.
pub(crate) fn farewell_has_an_end(run: Run) {
    played(run, |theatre| {
        let silent = [theatre.connected(Cut::Whole)?, theatre.dialed(Cut::Whole)?];
        let chatty = [theatre.connected(Cut::Whole)?, theatre.dialed(Cut::Whole)?];
        for seat in silent.iter().chain(&chatty) {
            seat.closes(b"bye".as_slice());
            seat.hears(b"bye")?;
        }
        for seat in chatty {
            let flood = vec![b'x'; 1 << 16];
            while seat.peer()?.write_all(&flood).is_ok() {}
            seat.sees_done()?;
        }
        silent.iter().try_for_each(Seat::sees_done)
    });
}

/// Nobody listens there.
pub(crate) fn refused_dial_is_told(run: Run) {
    played(run, |theatre| {
        let refused = theatre.dials(SocketAddr::from((address(), 25))).outcome()?;
        assert!(refused.as_ref().is_err_and(|why| why.contains("refused")), "{refused:?}");
        Ok(())
    });
}

/// A dial that takes too long for the machine.
pub(crate) fn dial_is_given_up(run: Run) {
    played(run, |theatre| {
        let (_listener, full) = full_listener();
        let _in_the_row: Vec<_> = full.1;
        theatre.dials(full.0).close(true);
        let dialing = theatre.dials(full.0);
        dialing.close(false);
        dialing.sees_done()
    });
}

/// Many at once, each with its own bytes.
pub(crate) fn many_connections(run: Run) {
    played(run, |theatre| {
        let mut seats: Vec<_> = (0..300).map(|_| theatre.connected(Cut::Whole)).collect::<Result<_, _>>()?;
        for (number, seat) in seats.iter_mut().enumerate() {
            seat.reads(true);
            seat.peer()?.write_all(&number.to_be_bytes()).unwrap();
        }
        for (number, seat) in seats.iter().enumerate() {
            assert_eq!(seat.receives(8)?, number.to_be_bytes());
            seat.writes(number.to_be_bytes());
        }
        for (number, seat) in seats.iter().enumerate() {
            seat.hears(&number.to_be_bytes())?;
        }
        Ok(())
    });
}

/// Writes until the other side's buffers are full; how much that was.
fn fill(mut peer: &TcpStream) -> usize {
    let bytes = pattern(MUCH);
    let mut written = 0;
    peer.set_nonblocking(true).unwrap();
    while written < MUCH {
        match peer.write(&bytes[written..]) {
            Ok(more) => written += more,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                break;
            }
        }
    }
    peer.set_nonblocking(false).unwrap();
    written
}

/// Bytes of which no two parts near each other are alike.
fn pattern(len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&bytes.len().wrapping_mul(0x9e37_79b9).to_be_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// A listener whose row is full, so that a connection to it does not come up, and who stands in the row.
fn full_listener() -> (TcpListener, (SocketAddr, Vec<Socket>)) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let listener: TcpListener = socket.into();
    let here = listener.local_addr().unwrap();
    let row = (0..4).map(|_| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _under_way = socket.connect(&here.into());
        socket
    });
    let row = row.collect();
    (listener, (here, row))
}
