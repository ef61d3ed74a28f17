//! One message stays one, in by SMTP, out by SMTP, and out by POP3, whatever stands in it.

use std::time::Duration;

use super::provider::{fetch, submission, two_providers};

const INSIDE: &str = "Subject: one\r\n\r\nfirst\r\n.\r\nMAIL FROM:<forged@amber.example>\r\nRCPT TO:<carol@birch.example>\r\n\
                      DATA\r\nSubject: two\r\n\r\nsmuggled\r\n.\r\n.QUIT\r\n..\r\n";

#[test]
fn what_looks_like_an_end_inside_bdat_is_body_all_the_way() {
    let mut world = two_providers(60);
    let alice = submission(&mut world, "alice");
    for cut in [1, 7, 22, 25, 26, 27, INSIDE.len() - 1] {
        world.say(alice, "MAIL FROM:<alice@amber.example>", "250");
        world.say(alice, "RCPT TO:<carol@birch.example>", "250");
        let (first, last) = INSIDE.split_at(cut);
        world.send(alice, format!("BDAT {}\r\n{first}BDAT {} LAST\r\n{last}", first.len(), last.len()).as_bytes());
        assert_eq!(world.heard(alice).matches("250 2.0.0").count(), 2);
        world.pass(Duration::from_secs(1));
        let mail = fetch(&mut world, 1, "carol");
        assert_eq!(mail.len(), 1, "cut at {cut}");
        assert!(mail[0].ends_with(INSIDE.strip_suffix("\r\n").unwrap()), "{}", mail[0]);
    }
}

#[test]
fn no_other_line_end_ends_a_message() {
    let mut world = two_providers(61);
    let alice = submission(&mut world, "alice");
    for end in
        ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\r\n.\r\r\n", "\r\n\0.\r\n", "\r\n.\0\r\n"]
    {
        world.say(alice, "MAIL FROM:<alice@amber.example>", "250");
        world.say(alice, "RCPT TO:<carol@birch.example>", "250");
        world.say(alice, "RCPT TO:<bob@amber.example>", "250");
        world.say(alice, "DATA", "354");
        world.send(alice, format!("Subject: one\r\n\r\nx{end}MAIL FROM:<forged@amber.example>\r\nDATA\r\n").as_bytes());
        assert_eq!(world.heard(alice), "", "{end:?}");
        world.say(alice, "\r\n.", "554 5.6.0");
    }
    world.pass(Duration::from_secs(1));
    assert!(fetch(&mut world, 1, "carol").is_empty() && fetch(&mut world, 0, "bob").is_empty());
}
