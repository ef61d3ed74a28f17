//! A socket's task: waits until it is ready for what is wanted of it.

use std::rc::Rc;

use pillarbox_runtime::{Ready, Socket, Source};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use crate::host::Host;

/// Watches until the socket is gone.
pub(crate) async fn watch(host: Rc<Host>, source: Source, socket: AsyncFd<Rc<Socket>>, changed: Rc<Notify>) {
    while let Some(want) = host.want(source) {
        let Some(interest) = interest(want) else {
            changed.notified().await;
            continue;
        };
        let mut guard = tokio::select! {
            () = changed.notified() => continue,
            guard = socket.ready(interest) => match guard {
                Ok(guard) => guard,
                // The executor is shutting down.
                Err(_) => return,
            },
        };
        let ready = Ready { read: guard.ready().is_readable(), write: guard.ready().is_writable() };
        let still = host.ready(source, ready);
        if ready.read && !still.read {
            guard.clear_ready_matching(tokio::io::Ready::READABLE);
        }
        if ready.write && !still.write {
            guard.clear_ready_matching(tokio::io::Ready::WRITABLE);
        }
        drop(guard);
        // The machine's turn comes before the next read.
        tokio::task::yield_now().await;
    }
}

fn interest(want: Ready) -> Option<Interest> {
    match (want.read, want.write) {
        (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
        (true, false) => Some(Interest::READABLE),
        (false, true) => Some(Interest::WRITABLE),
        (false, false) => None,
    }
}
