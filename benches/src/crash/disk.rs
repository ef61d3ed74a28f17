//! A disk whose power can be cut: a file system in a file, mounted over a loop device.
//!
//! `EXT4_IOC_SHUTDOWN` and `XFS_IOC_GOINGDOWN` are one ioctl. Told not to flush the log, the file system forgets everything
//! that was not synced, as a machine does that loses its power; the next mount recovers from the log.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::ioctl::{Setter, ioctl};
use tempfile::TempDir;

/// Octets of the file; it is sparse, and XFS wants 300 MB at least.
const SIZE: u64 = 2 << 30;
/// `_IOR('X', 125, u32)`.
const SHUTDOWN: u32 = 0x8004_587d;
/// Do not flush the log.
const NOLOGFLUSH: u32 = 2;

/// A mounted disk; unmounted when dropped.
#[derive(Debug)]
pub struct Disk {
    folder: TempDir,
    mounted: bool,
}

impl Disk {
    /// Makes one with a file system of this kind, and mounts it.
    ///
    /// # Errors
    /// Where it cannot be made: no rights, no such file system, no loop devices.
    pub fn make(kind: &str) -> io::Result<Self> {
        let mut disk = Self { folder: tempfile::Builder::new().prefix("pillarbox-power-").tempdir()?, mounted: false };
        File::create(disk.image())?.set_len(SIZE)?;
        fs::create_dir(disk.path())?;
        said(Command::new(format!("mkfs.{kind}")).arg("-q").arg(disk.image()))?;
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    /// Writes all that it was given.
    ///
    /// # Errors
    /// When it cannot.
    pub fn sync(&self) -> io::Result<()> {
        said(Command::new("sync").arg("-f").arg(self.path()))
    }

    /// Cuts the power: from now on everything fails, and what was not synced is gone.
    ///
    /// # Errors
    /// When the file system does not know how.
    pub fn cut(&self) -> io::Result<()> {
        let folder = File::open(self.path())?;
        // SAFETY: both file systems take a pointer to these flags by this number, and read them only.
        Ok(unsafe { ioctl(folder, Setter::<SHUTDOWN, u32>::new(NOLOGFLUSH)) }?)
    }

    /// Unmounts it, and mounts it again, with what it has.
    ///
    /// # Errors
    /// When it is in use, or cannot be recovered.
    pub fn restore(&mut self) -> io::Result<()> {
        self.unmount()?;
        self.mount()
    }

    fn mount(&mut self) -> io::Result<()> {
        // The loop device goes with the mount.
        said(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(self.path()))?;
        self.mounted = true;
        Ok(())
    }

    fn unmount(&mut self) -> io::Result<()> {
        let mut tries = 0;
        // Files of a process that was killed may close a moment later.
        while let Err(error) = said(Command::new("umount").arg(self.path())) {
            tries += 1;
            if tries == 50 {
                return Err(error);
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.mounted = false;
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted && self.unmount().is_err() {
            let _ = said(Command::new("umount").arg("-l").arg(self.path()));
        }
    }
}

/// Why power cannot be cut here, if so.
#[must_use]
pub fn missing(kind: &str) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root can mount and shut down a file system".to_owned());
    }
    let tried = Disk::make(kind).and_then(|disk| disk.cut());
    tried.err().map(|error| format!("no {kind} to cut off: {error}"))
}

/// Runs a command to its end.
fn said(command: &mut Command) -> io::Result<()> {
    let name = Path::new(command.get_program()).display().to_string();
    let output = command.stdin(Stdio::null()).output().map_err(|error| io::Error::other(format!("{name}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let word = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{name}: {}", word.trim())))
}
