//! A socket's task: waits until it is ready for what is wanted of it.

use std::future::pending;
use std::rc::Rc;

use async_io::Async;
use pillarbox_runtime::{Ready, Socket, Source};
use smol::future::{or, yield_now};

use crate::bell::Bell;
use crate::host::Host;

/// Watches until the socket is gone.
pub(crate) async fn watch(host: Rc<Host>, source: Source, socket: Async<Rc<Socket>>, changed: Rc<Bell>) {
    while let Some(want) = host.want(source) {
        let told = async {
            changed.rung().await;
            Ready::default()
        };
        let readable = async {
            ready_if(want.read, socket.readable()).await;
            Ready { read: true, write: false }
        };
        let writable = async {
            ready_if(want.write, socket.writable()).await;
            Ready { read: false, write: true }
        };
        let ready = or(told, or(readable, writable)).await;
        if ready != Ready::default() {
            host.ready(source, ready);
            // The machine's turn comes before the next read.
            yield_now().await;
        }
    }
}

/// Waits for what is wanted. An error is readiness as well: the read or write that follows will meet it.
async fn ready_if<T>(wanted: bool, readiness: impl Future<Output = T>) {
    if !wanted {
        pending::<()>().await;
    }
    readiness.await;
}
