//! Mail goes all the way: in by submission, out by POP3, and to another server.

use crate::run::{Folder, Server, Talk};

/// `\0alice@example.org\0secret`, as AUTH PLAIN wants it.
const ALICE: &str = "AGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA==";

/// Sends one message from alice.
fn submit(server: &Server, to: &[&str], text: &str) {
    let mut talk = server.connect("submission");
    assert!(talk.reply().starts_with("220 mx.example.org ESMTP"));
    talk.smtp("EHLO client.example", "250 ");
    talk.smtp(&format!("AUTH PLAIN {ALICE}"), "235 ");
    talk.smtp("MAIL FROM:<alice@example.org>", "250 ");
    for to in to {
        talk.smtp(&format!("RCPT TO:<{to}>"), "250 ");
    }
    talk.smtp("DATA", "354 ");
    talk.smtp(&format!("{text}\r\n."), "250 ");
    talk.smtp("QUIT", "221 ");
}

fn open(server: &Server, user: &str) -> (Talk, usize) {
    let mut talk = server.connect("pop3");
    assert!(talk.line().unwrap().starts_with("+OK"));
    talk.pop3(&format!("USER {user}"), "+OK");
    talk.pop3("PASS secret", "+OK");
    let stat = talk.pop3("STAT", "+OK");
    let count = stat.split(' ').nth(1).unwrap().parse().unwrap();
    (talk, count)
}

#[test]
fn a_message_goes_in_by_submission_and_out_by_pop3() {
    let folder = Folder::quickstart("example.org");
    let server = folder.serve();
    submit(&server, &["bob@example.org", "postmaster@example.org"], "Subject: hello\r\n\r\n..a dot\r\nthe end");
    for user in ["bob", "alice@example.org"] {
        let (mut talk, count) = open(&server, user);
        assert_eq!(count, 1);
        talk.pop3("RETR 1", "+OK");
        let message = talk.lines();
        let body = message.iter().position(String::is_empty).unwrap();
        assert_eq!(message[body + 1..], [".a dot", "the end"]);
        assert!(message.contains(&"Subject: hello".to_owned()));
        talk.pop3("DELE 1", "+OK");
        talk.pop3("QUIT", "+OK");
    }
    assert_eq!(open(&server, "bob").1, 0);
    server.stop();
}

#[test]
fn an_account_made_while_the_server_runs_gets_mail_at_once() {
    let folder = Folder::quickstart("example.org");
    let server = folder.serve();
    assert_eq!(folder.with_input(&["account", "add", "carol", "--password-stdin"], "secret\n").code, Some(0));
    folder.ok(&["alias", "add", "both", "carol", "bob"]);
    submit(&server, &["both@example.org"], "Subject: x\r\n\r\ny");
    assert_eq!((open(&server, "carol").1, open(&server, "bob").1), (1, 1));
    folder.ok(&["account", "remove", "carol"]);
    let mut talk = server.connect("smtp");
    talk.reply();
    talk.smtp("HELO client.example", "250 ");
    talk.smtp("MAIL FROM:<x@client.example>", "250 ");
    talk.smtp("RCPT TO:<carol@example.org>", "550 5.1.1");
    talk.smtp("RCPT TO:<carol@other.example>", "550 5.7.1");
    server.stop();
}

#[test]
fn acknowledged_mail_survives_a_kill() {
    let folder = Folder::quickstart("example.org");
    let server = folder.serve();
    submit(&server, &["bob@example.org", "x@other.example"], "Subject: x\r\n\r\ny");
    server.signal("KILL");
    drop(server.end());
    assert!(folder.ok(&["queue", "list"]).contains("alice@example.org -> x@other.example"));
    let server = folder.serve();
    assert_eq!(open(&server, "bob").1, 1);
    server.stop();
}

#[test]
fn mail_waits_for_another_server_and_arrives() {
    let (amber, birch) = (Folder::quickstart("example.org"), Folder::quickstart("birch.example"));
    // A port that is free, and stays so while birch is down.
    let down = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = down.local_addr().unwrap();
    drop(down);
    birch.edit("127.0.0.1:0", &address.to_string());
    amber.edit("[limits]", &format!("[[route]]\ndomain = \"birch.example\"\nto = \"smtp://{address}\"\n[limits]"));
    let here = amber.serve();
    submit(&here, &["bob@birch.example"], "Subject: across\r\n\r\nhello");
    here.logged("tried <bob@birch.example>");

    // What was tried is on disk a moment later.
    let row: serde_json::Value = loop {
        let list = amber.ok(&["queue", "list", "--json"]);
        let row: serde_json::Value = serde_json::from_str(list.trim_end()).unwrap();
        if row["attempts"] == 1 {
            break row;
        }
    };
    assert_eq!(row["from"], "alice@example.org");
    assert_eq!(row["to"], "bob@birch.example");
    assert_eq!(row["destination"], format!("smtp://{address}"));
    assert!(row["next_attempt"].as_str().unwrap().ends_with('Z'), "{row}");
    assert!(row["last_reply"].as_str().unwrap().starts_with("451 4."), "{row}");
    let id = row["id"].as_str().unwrap();
    assert!(amber.ok(&["queue", "show", id]).contains("last reply    451 4."));
    assert_eq!(amber.ok(&["queue", "show", "--json", id]).lines().count(), 1);

    let there = birch.serve();
    assert_eq!(amber.ok(&["queue", "retry", id]), "1 due now\n");
    here.logged("250 2.0.0");
    let (mut talk, count) = open(&there, "bob");
    assert_eq!(count, 1);
    talk.pop3("TOP 1 0", "+OK");
    assert!(talk.lines().contains(&"Subject: across".to_owned()));

    // Nobody there: the bounce comes back.
    submit(&here, &["nobody@birch.example"], "Subject: lost\r\n\r\nhello");
    here.logged("gave <nobody@birch.example> up");
    let (mut talk, count) = loop {
        let (talk, count) = open(&here, "alice");
        if count > 0 {
            break (talk, count);
        }
    };
    assert_eq!(count, 1);
    talk.pop3("RETR 1", "+OK");
    assert!(talk.lines().iter().any(|line| line == "Final-Recipient: rfc822; nobody@birch.example"));
    here.stop();
    there.stop();
}

#[test]
fn removed_rows_are_gone() {
    let folder = Folder::quickstart("example.org");
    let server = folder.serve();
    submit(&server, &["x@other.example", "y@other.example"], "Subject: x\r\n\r\ny");
    let list = folder.ok(&["queue", "list"]);
    let ids: Vec<_> = list.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(ids.len(), 2, "{list}");
    let gone: serde_json::Value = serde_json::from_str(&folder.ok(&["queue", "remove", "--json", ids[0]])).unwrap();
    assert_eq!(gone["to"], "x@other.example");
    assert_eq!(folder.ok(&["queue", "remove", ids[1]]), "1 removed\n");
    assert_eq!(folder.ok(&["queue", "list"]), "");
    server.stop();
}
