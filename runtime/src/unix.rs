//! Sockets in the file system, for those who may read a folder.
//!
//! The name of such a socket ends at 107 bytes, and a folder's path may be longer. So the folder is opened, and the
//! socket is named through it: `/proc/self/fd/N/name`. Where there is no such thing the path must be short.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::sockets::BACKLOG;

/// A listener named `name` in `folder`, not blocking, open to its owner alone (0600).
///
/// What stands there from an earlier run is replaced: whoever calls this holds the folder's lock, so nobody listens on
/// it any more.
///
/// # Errors
/// The operating system's, with the socket's path.
pub fn listen_unix(folder: &Path, name: &str) -> io::Result<UnixListener> {
    let open = || {
        let way = Way::into(folder)?;
        match std::fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // Before it has a name, so that there is no moment in which others may connect.
        #[cfg(target_os = "linux")]
        rustix::fs::fchmod(&socket, Mode::from_raw_mode(0o600))?;
        socket.bind(&SockAddr::unix(way.to(name))?)?;
        #[cfg(not(target_os = "linux"))]
        rustix::fs::chmod(folder.join(name), Mode::from_raw_mode(0o600))?;
        socket.set_nonblocking(true)?;
        socket.listen(BACKLOG)?;
        Ok(OwnedFd::from(socket).into())
    };
    open().map_err(|error| named("listen on", folder, name, &error))
}

/// Connects to the socket named `name` in `folder`, blocking.
///
/// # Errors
/// The operating system's, with the socket's path. `NotFound` and `ConnectionRefused` mean that nobody listens.
pub fn connect_unix(folder: &Path, name: &str) -> io::Result<UnixStream> {
    let open = || UnixStream::connect(Way::into(folder)?.to(name));
    open().map_err(|error| named("connect to", folder, name, &error))
}

/// An open folder and the short name by which it is reached.
struct Way {
    short: PathBuf,
    /// Keeps the short name true.
    _folder: Option<OwnedFd>,
}

impl Way {
    fn into(folder: &Path) -> io::Result<Self> {
        let open = rustix::fs::open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let short = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
        if short.is_dir() {
            return Ok(Self { short, _folder: Some(open) });
        }
        Ok(Self { short: folder.to_path_buf(), _folder: None })
    }

    fn to(&self, name: &str) -> PathBuf {
        self.short.join(name)
    }
}

fn named(what: &str, folder: &Path, name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {what} {}: {error}", folder.join(name).display()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_long_path_is_no_obstacle_and_only_the_owner_gets_in() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        assert_eq!(connect_unix(&deep, "control").unwrap_err().kind(), io::ErrorKind::NotFound);
        let first = listen_unix(&deep, "control").unwrap();
        let mode = std::fs::metadata(deep.join("control")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(first);
        assert_eq!(connect_unix(&deep, "control").unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        // The socket of a run that was killed still lies there.
        let listener = listen_unix(&deep, "control").unwrap();
        let mut client = connect_unix(&deep, "control").unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"hello").unwrap();
        drop(client);
        let mut heard = String::new();
        server.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "hello");
    }

    #[test]
    fn an_error_names_the_path() {
        let error = listen_unix(Path::new("/nowhere/at/all"), "control").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().starts_with("cannot listen on /nowhere/at/all/control: "), "{error}");
    }
}
