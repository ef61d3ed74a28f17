//! A server without much room on its disk.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use super::{On, Server, binary};

/// A server whose data folder is a small file system of its own, seen by the server alone.
pub(crate) fn cramped(on: On, megabytes: u32) -> Option<Server> {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED full-disk: only root may mount");
        return None;
    }
    let mount = format!(
        "cp -a \"$0/data\" \"$0/seed\" && mount -t tmpfs -o size={megabytes}m tmpfs \"$0/data\" && \
         cp -a \"$0/seed/.\" \"$0/data\""
    );
    let mut server = Server::make(on, "example.org", &["bob"]);
    let try_it = Command::new("unshare").args(["-m", "sh", "-c", &mount]).arg(server.dir()).output();
    match try_it {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            println!("SKIPPED full-disk: {}", String::from_utf8_lossy(&output.stderr).trim());
            return None;
        }
        Err(error) => {
            println!("SKIPPED full-disk: unshare: {error}");
            return None;
        }
    }
    fs::remove_dir_all(server.dir().join("seed")).unwrap();
    // The shell becomes the server: the process id stays.
    let mut shell = Command::new("unshare");
    shell.args(["-m", "sh", "-c", &format!("{mount} && exec \"$@\"")]).arg(server.dir());
    shell.arg(binary().get_program());
    server.serve_by(shell);
    Some(server)
}

/// Somebody else who writes to the same file system.
pub(crate) struct Glutton {
    path: PathBuf,
    file: File,
}

impl Glutton {
    pub(crate) fn at(server: &Server) -> Self {
        let path = server.seen_by_it(&server.data()).join("glutton");
        let file = File::create(&path).unwrap();
        Self { path, file }
    }

    /// Takes every block that is free now.
    pub(crate) fn eat(&mut self) {
        for piece in [64 * 1024, 1024] {
            let piece = vec![1; piece];
            while self.file.write_all(&piece).is_ok() {}
        }
    }

    /// Gives it all back.
    pub(crate) fn leave(self) {
        fs::remove_file(&self.path).unwrap();
    }
}
