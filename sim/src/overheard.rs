//! One SMTP conversation, overheard: which letters a server offers to its next hop for whom, and which it hears are taken.

use std::collections::VecDeque;

use crate::letter::{Found, Letter, recognize};

/// What is learnt by listening.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Learnt {
    /// It has begun to send a letter for these recipients.
    Offered(Letter, Vec<String>),
    /// It was told that the letter is taken for them.
    Taken(Letter, Vec<String>),
}

/// A reply that is still to come, by what it answers.
enum Due {
    Recipient(String),
    /// DATA itself.
    Data,
    /// The end of a message.
    End,
    Other,
}

/// A conversation.
pub(crate) struct Overheard {
    said: Vec<u8>,
    replied: Vec<u8>,
    due: VecDeque<Due>,
    recipients: Vec<String>,
    letter: Option<Letter>,
    /// Lines of a message are being sent.
    in_data: bool,
    /// Octets of a chunk that are still to come, and whether it is the last.
    chunk: Option<(usize, bool)>,
    /// The head of the message, as far as it was sent.
    head: Vec<u8>,
}

impl Overheard {
    pub(crate) fn new() -> Self {
        Self {
            said: Vec::new(),
            replied: Vec::new(),
            due: VecDeque::from([Due::Other]),
            recipients: Vec::new(),
            letter: None,
            in_data: false,
            chunk: None,
            head: Vec::new(),
        }
    }

    /// The client says this.
    pub(crate) fn client(&mut self, bytes: &[u8], learnt: &mut Vec<Learnt>) {
        self.said.extend_from_slice(bytes);
        loop {
            if let Some((left, last)) = self.chunk {
                let now = left.min(self.said.len());
                let octets: Vec<u8> = self.said.drain(..now).collect();
                self.content(&octets, learnt);
                if now < left {
                    self.chunk = Some((left - now, last));
                    return;
                }
                self.chunk = None;
                continue;
            }
            let Some(end) = self.said.iter().position(|octet| *octet == b'\n') else { return };
            let line: Vec<u8> = self.said.drain(..=end).collect();
            match self.in_data {
                true if line == b".\r\n" => {
                    self.in_data = false;
                    self.due.push_back(Due::End);
                }
                true => self.content(&line, learnt),
                false => self.command(&String::from_utf8_lossy(&line)),
            }
        }
    }

    fn command(&mut self, line: &str) {
        let line = line.trim_end();
        let upper = line.to_ascii_uppercase();
        let due = if upper.starts_with("RCPT TO:<") {
            Due::Recipient(line["RCPT TO:<".len()..].split('>').next().unwrap_or_default().to_owned())
        } else if upper.starts_with("MAIL ") {
            self.recipients.clear();
            self.begin();
            Due::Other
        } else if upper == "DATA" {
            Due::Data
        } else if let Some(arguments) = upper.strip_prefix("BDAT ") {
            let mut words = arguments.split(' ');
            let octets = words.next().and_then(|octets| octets.parse().ok()).unwrap_or(0);
            let last = words.next() == Some("LAST");
            self.chunk = Some((octets, last));
            if last { Due::End } else { Due::Other }
        } else {
            Due::Other
        };
        self.due.push_back(due);
    }

    fn begin(&mut self) {
        self.letter = None;
        self.head.clear();
    }

    fn content(&mut self, octets: &[u8], learnt: &mut Vec<Learnt>) {
        if self.letter.is_some() || self.head.len() > 4096 {
            return;
        }
        self.head.extend_from_slice(octets);
        if let Found::Letter(letter, _) = recognize(&self.head) {
            self.letter = Some(letter);
            learnt.push(Learnt::Offered(letter, self.recipients.clone()));
        }
    }

    /// The client reads this reply.
    pub(crate) fn server(&mut self, bytes: &[u8], learnt: &mut Vec<Learnt>) {
        self.replied.extend_from_slice(bytes);
        while let Some(end) = self.replied.iter().position(|octet| *octet == b'\n') {
            let line: Vec<u8> = self.replied.drain(..=end).collect();
            if line.get(3) == Some(&b'-') {
                continue;
            }
            let positive = line.starts_with(b"2");
            match self.due.pop_front() {
                Some(Due::Recipient(recipient)) if positive => self.recipients.push(recipient),
                Some(Due::Data) => self.in_data = line.starts_with(b"354"),
                Some(Due::End) if positive => {
                    if let Some(letter) = self.letter {
                        learnt.push(Learnt::Taken(letter, self.recipients.clone()));
                    }
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(talk: &[(bool, &str)]) -> Vec<Learnt> {
        let (mut overheard, mut learnt) = (Overheard::new(), Vec::new());
        for (client, words) in talk {
            match client {
                true => overheard.client(words.as_bytes(), &mut learnt),
                false => overheard.server(words.as_bytes(), &mut learnt),
            }
        }
        learnt
    }

    #[test]
    fn a_letter_is_offered_and_taken() {
        let to = || vec!["b@x".to_owned()];
        let offered = Learnt::Offered(Letter(3), to());
        let taken = Learnt::Taken(Letter(3), to());
        let learnt = listen(&[
            (false, "220 x\r\n"),
            (true, "EHLO y\r\n"),
            (false, "250-x\r\n250 PIPELINING\r\n"),
            (true, "MAIL FROM:<a@y>\r\nRCPT TO:<b@x>\r\nRCPT TO:<c@x>\r\nDATA\r\n"),
            (false, "250 2.1.0 Ok\r\n250 Ok\r\n550 No\r\n354 Go\r\n"),
            (true, "Received: z\r\nMessage-ID: <3.sim@example>\r\n\r\n..\r\n.\r\n"),
            (false, "250 Ok\r\n"),
        ]);
        assert_eq!(learnt, [offered, taken]);
    }

    #[test]
    fn chunks_are_heard_as_well() {
        let learnt = listen(&[
            (false, "220 x\r\n"),
            (true, "MAIL FROM:<a@y>\r\nRCPT TO:<b@x>\r\n"),
            (false, "250 Ok\r\n250 Ok\r\n"),
            (true, "BDAT 31 LAST\r\nMessage-ID: <3.sim@example>\r\n\r\n"),
            (false, "452 No\r\n"),
        ]);
        assert_eq!(learnt, [Learnt::Offered(Letter(3), vec!["b@x".to_owned()])]);
    }
}
