//! Sockets, opened the way a mail server wants them, with errors that say what to do.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel holds for us until they are accepted.
pub(crate) const BACKLOG: i32 = 1024;

/// A listener on `address`, not blocking. Port 0 lets the kernel choose one. An IPv6 listener takes IPv6 only, so that
/// `[::]` and `0.0.0.0` can stand side by side and an address is always shown as what it is.
///
/// # Errors
/// [`SocketError`] names the address and what to do.
pub fn listen(address: SocketAddr) -> Result<TcpListener, SocketError> {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // A restart must not wait for the last run's connections to leave TIME_WAIT.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    open().map_err(|source| SocketError { address, source })
}

/// A datagram socket for asking `server`, not blocking, on a random port that the kernel picks (RFC 5452 §9.2). Open a
/// fresh one for each question.
///
/// # Errors
/// [`SocketError`] names the server.
pub fn datagram(server: SocketAddr) -> Result<UdpSocket, SocketError> {
    let any: SocketAddr =
        if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let open = || {
        let socket = UdpSocket::bind(any)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    open().map_err(|source| SocketError { address: server, source })
}

/// A socket could not be opened.
#[derive(Debug)]
pub struct SocketError {
    /// For which address.
    pub address: SocketAddr,
    /// What the operating system said.
    pub source: io::Error,
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, port) = (self.address, self.address.port());
        write!(f, "cannot open {address}: ")?;
        match self.source.kind() {
            io::ErrorKind::AddrInUse => {
                write!(
                    f,
                    "the port is in use: stop the program that has it (`ss -ltnp 'sport = :{port}'` shows it), or choose another"
                )
            }
            io::ErrorKind::PermissionDenied if port < 1024 => write!(
                f,
                "permission denied: ports below 1024 need root, the capability CAP_NET_BIND_SERVICE, \
                 or `sysctl net.ipv4.ip_unprivileged_port_start={port}`"
            ),
            io::ErrorKind::AddrNotAvailable => f.write_str(
                "this machine has no such address: `ip address` shows those it has; 0.0.0.0 and [::] mean all",
            ),
            _ if is_family_missing(&self.source) => f.write_str("this machine has no IPv6: use an IPv4 address"),
            _ if is_out_of_files(&self.source) => {
                f.write_str("too many open files: raise the limit (`ulimit -n`, or LimitNOFILE= of the service)")
            }
            _ => write!(f, "{}", self.source),
        }
    }
}

impl std::error::Error for SocketError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// The operating system knows no such family of addresses.
fn is_family_missing(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

/// No file descriptor is left, for us or in all: stop accepting for a while instead of asking again at once.
#[must_use]
pub fn is_out_of_files(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_zero_is_filled_in_and_taken() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        assert_ne!(address.port(), 0);
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let error = listen(address).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot open {address}: the port is in use")), "{error}");
    }

    #[test]
    fn an_address_of_nobody_is_told_in_words() {
        let error = listen("192.0.2.77:0".parse().unwrap()).unwrap_err().to_string();
        assert!(error.contains("no such address"), "{error}");
    }

    #[test]
    fn errors_say_what_to_do() {
        let said = |address: &str, errno: rustix::io::Errno| {
            let source = io::Error::from_raw_os_error(errno.raw_os_error());
            SocketError { address: address.parse().unwrap(), source }.to_string()
        };
        assert!(said("0.0.0.0:25", rustix::io::Errno::ACCESS).contains("ports below 1024 need root"));
        assert!(said("[::1]:2525", rustix::io::Errno::AFNOSUPPORT).contains("no IPv6"));
        assert!(said("0.0.0.0:2525", rustix::io::Errno::MFILE).contains("ulimit -n"));
    }

    #[test]
    fn each_question_has_its_own_port() {
        let server = "127.0.0.1:53".parse().unwrap();
        let ports: Vec<_> = (0..8).map(|_| datagram(server).unwrap()).collect();
        let mut ports: Vec<_> = ports.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 8);
    }
}
