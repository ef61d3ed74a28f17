//! Much mail and little room: whoever is slow holds the others up, and not our memory.

use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::time::Duration;

use pillarbox_runtime::{Run, connect_unix};

use crate::provider::Opening;
use crate::talk::Talk;

/// More than all buffers on the way hold.
const MUCH: usize = 24 << 20;

/// A store that takes its time: the client is not read meanwhile, and nothing is lost.
pub(crate) fn slow_store(run: Run) {
    let folder = tempfile::tempdir().unwrap();
    let opening = Opening::new("amber.example").kept_in(folder.path()).accounts(&["bob"]);
    let (opening, store) = opening.slow();
    let amber = opening.on(run);
    let mut message = b"Subject: large\r\n\r\n".to_vec();
    while message.len() < MUCH {
        message.extend_from_slice(format!("{:0998}\r\n", message.len()).as_bytes());
    }

    let mut talk = Talk::smtp(amber.smtp);
    talk.say("MAIL FROM:<x@client.example>", "250 ");
    talk.say("RCPT TO:<bob@amber.example>", "250 ");
    talk.say("DATA", "354 ");
    store.hold();
    let (mut stream, mut written) = (talk.stream(), 0);
    let patience = stream.write_timeout().unwrap();
    // A write that waits in vain: nobody takes any more.
    stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    while written < message.len() {
        match stream.write(&message[written..]) {
            Ok(more) => written += more,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                break;
            }
        }
    }
    assert!(written < message.len(), "nobody pushed back");
    // Others go on.
    Talk::smtp(amber.smtp).say("QUIT", "221 ");
    assert!(store.release() > 0);
    stream.set_write_timeout(patience).unwrap();
    talk.send(&message[written..]);
    talk.say(".", "250 ");
    talk.say("QUIT", "221 ");
    talk.ends();

    // And out again, to somebody who takes little at a time.
    let (mut talk, count) = Talk::narrow(amber.pop3).opens("bob");
    assert_eq!(count, 1);
    let mail = talk.multiline("RETR 1");
    assert!(mail.ends_with(&message), "{} bytes", mail.len());
    talk.say("QUIT", "+OK");
    talk.ends();
    amber.stop();
}

/// The control socket is a connection like any other.
pub(crate) fn control_socket(run: Run) {
    let folder = tempfile::tempdir().unwrap();
    let amber = Opening::new("amber.example").control(folder.path()).accounts(&["alice", "bob"]).on(run);
    let mut stream = connect_unix(folder.path(), "control").unwrap();
    stream.write_all(b"account-list\r\n").unwrap();
    let lines = BufReader::new(&stream).lines().map(Result::unwrap).take_while(|line| line.starts_with("account "));
    assert_eq!(lines.collect::<Vec<_>>(), ["account alice@amber.example", "account bob@amber.example"]);
    drop(stream);
    amber.stop();
}
