//! A server without much room on its disk.

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
    std::fs::remove_dir_all(server.dir().join("seed")).unwrap();
    // The shell becomes the server: the process id stays.
    let mut shell = Command::new("unshare");
    shell.args(["-m", "sh", "-c", &format!("{mount} && exec \"$@\"")]).arg(server.dir());
    shell.arg(binary().get_program());
    server.serve_by(shell);
    Some(server)
}
