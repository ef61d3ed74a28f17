//! Tells systemd how we are, if it asked to be told (`Type=notify`; sd_notify(3)).

use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Says it. Where nobody asked nothing is said, and where nobody listens nothing is lost.
pub(crate) fn state(text: &str) {
    let Ok(path) = std::env::var("NOTIFY_SOCKET") else { return };
    let address = match path.strip_prefix('@') {
        #[cfg(target_os = "linux")]
        Some(name) => {
            use std::os::linux::net::SocketAddrExt as _;
            SocketAddr::from_abstract_name(name)
        }
        _ => SocketAddr::from_pathname(&path),
    };
    let (Ok(address), Ok(socket)) = (address, UnixDatagram::unbound()) else { return };
    let _ = socket.send_to_addr(text.as_bytes(), &address);
}
