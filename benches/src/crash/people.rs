//! Who uses the server while it dies: people who submit letters, and one who picks up and deletes by POP3. What each was
//! told, and what it does not know, is what the server is judged by.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::letters;
use crate::talk::Talk;

/// A letter that somebody sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// The server said 250.
    pub acknowledged: bool,
    /// How often it was sent: again when no reply came.
    pub tries: u32,
}

/// What the senders know, by the letters' names.
#[derive(Debug, Default)]
pub struct Outbox {
    letters: Mutex<BTreeMap<String, Sent>>,
    /// Letters with a 250.
    pub acknowledged: AtomicU64,
}

impl Outbox {
    /// All letters that are not settled yet.
    pub fn letters(&self) -> MutexGuard<'_, BTreeMap<String, Sent>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends letters of this sender until the server is gone, each to somebody here and to somebody elsewhere. Begins with
    /// `again`, which had no answer; what has no answer now is returned.
    pub fn submit(&self, mut talk: Talk, sender: &str, again: Option<(String, usize)>) -> Option<(String, usize)> {
        let fresh = (0..).map(|n| (format!("{sender}-{n}"), letters::size(n)));
        for (name, size) in again.into_iter().chain(fresh) {
            self.letters().entry(name.clone()).or_insert(Sent { acknowledged: false, tries: 0 }).tries += 1;
            if submit(&mut talk, &name, size).is_err() {
                return Some((name, size));
            }
            if let Some(letter) = self.letters().get_mut(&name) {
                letter.acknowledged = true;
            }
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        None
    }
}

/// Who in this domain a letter goes to.
#[must_use]
pub fn recipient(name: &str) -> &'static str {
    // One in four is picked up by POP3.
    if name.ends_with(['0', '4', '8']) { "carol" } else { "bob" }
}

/// One letter, up to its 250.
fn submit(talk: &mut Talk, name: &str, size: usize) -> io::Result<()> {
    let here = recipient(name);
    talk.say(
        format!(
            "MAIL FROM:<alice@example.org>\r\nRCPT TO:<{here}@example.org>\r\nRCPT TO:<{name}@remote.example>\r\nDATA\r\n"
        )
        .as_bytes(),
    )?;
    for code in ["250", "250", "250", "354"] {
        talk.smtp(code)?;
    }
    talk.say(&letters::stuffed(&letters::letter(name, size)))?;
    talk.smtp("250")
}

/// What somebody knows who reads by POP3 and deletes.
#[derive(Debug, Default)]
pub struct Reader {
    /// Unique-ids of what is deleted: QUIT's +OK was heard.
    pub removed: BTreeSet<String>,
    /// Names of what was read before it was deleted.
    pub read: Vec<String>,
    /// Unique-ids and names of what is deleted if the last QUIT, which had no answer, was obeyed.
    pub perhaps: Vec<(String, String)>,
    /// Letters that were not whole.
    pub torn: u64,
}

impl Reader {
    /// Picks up and deletes at most so many letters; how many are left.
    ///
    /// # Errors
    /// When the server is gone, or refuses.
    pub fn visit(&mut self, mut talk: Talk, most: usize) -> io::Result<usize> {
        talk.say(b"UIDL\r\n")?;
        let listed = String::from_utf8_lossy(&talk.pop3_body()?).into_owned();
        let listed: Vec<_> = listed.lines().filter_map(|line| line.split_once(' ')).collect();
        for (number, id) in listed.iter().take(most) {
            talk.say(format!("RETR {number}\r\n").as_bytes())?;
            let Some(name) = letters::name_of(&talk.pop3_body()?) else {
                self.torn += 1;
                continue;
            };
            talk.say(format!("DELE {number}\r\n").as_bytes())?;
            talk.expect("+OK")?;
            self.perhaps.push(((*id).to_owned(), name));
        }
        talk.say(b"QUIT\r\n")?;
        talk.expect("+OK")?;
        for (id, name) in self.perhaps.drain(..) {
            self.removed.insert(id);
            self.read.push(name);
        }
        Ok(listed.len().saturating_sub(most))
    }

    /// After a restart: what of the deleted is there again. What was in doubt is decided.
    ///
    /// # Errors
    /// When the server does not tell.
    pub fn judge(&mut self, talk: &mut Talk) -> io::Result<Vec<String>> {
        talk.say(b"UIDL\r\n")?;
        let listed = String::from_utf8_lossy(&talk.pop3_body()?).into_owned();
        let listed: BTreeSet<_> = listed.lines().filter_map(|line| line.split_once(' ')).map(|(_, id)| id).collect();
        let there: Vec<_> = self.perhaps.iter().filter(|(id, _)| listed.contains(id.as_str())).collect();
        let mut faults = Vec::new();
        // One QUIT is one change: all of it, or nothing.
        if !there.is_empty() && there.len() < self.perhaps.len() {
            faults.push(format!(
                "a QUIT deleted {} of {} letters",
                self.perhaps.len() - there.len(),
                self.perhaps.len()
            ));
        }
        let back = self.removed.iter().filter(|id| listed.contains(id.as_str()));
        faults.extend(back.map(|id| format!("{id} was deleted by POP3, and is back")));
        for (id, name) in std::mem::take(&mut self.perhaps) {
            if !listed.contains(id.as_str()) {
                self.removed.insert(id);
                self.read.push(name);
            }
        }
        Ok(faults)
    }
}
