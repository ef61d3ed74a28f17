//! Mail goes all the way: in by submission, out by POP3, and to another server.

use crate::common::{On, Server, Wire, on_every_runtime, until};

on_every_runtime! {
    one worker:
        a_message_goes_in_by_submission_and_out_by_pop3,
        an_account_made_while_the_server_runs_gets_mail_at_once,
        acknowledged_mail_survives_a_kill,
        mail_waits_for_another_server_and_arrives,
        removed_rows_are_gone;
    two workers:
        a_message_goes_in_by_submission_and_out_by_pop3,
        an_account_made_while_the_server_runs_gets_mail_at_once,
        mail_waits_for_another_server_and_arrives,
        removed_rows_are_gone;
}

const ALICE: &str = "alice@example.org";
const BOB: &str = "bob@example.org";

fn server(on: On) -> Server {
    Server::start(on, "example.org", &["alice", "bob"])
}

/// Sends one message from alice.
fn submit(server: &Server, to: &[&str], message: &str) {
    let mut wire = server.submission(ALICE);
    wire.deliver(ALICE, to, message.as_bytes());
    wire.smtp("QUIT", 221);
}

fn fetch(pop: &mut Wire, command: &str) -> Vec<String> {
    let message = String::from_utf8(pop.multiline(command)).unwrap();
    message.lines().map(str::to_owned).collect()
}

fn a_message_goes_in_by_submission_and_out_by_pop3(on: On) {
    let mut server = server(on);
    submit(&server, &[BOB, "postmaster@example.org"], "Subject: hello\r\n\r\n.a dot\r\nthe end\r\n");
    for user in [BOB, ALICE] {
        let mut pop = server.pop3(user);
        assert_eq!(pop.count(), 1);
        let message = fetch(&mut pop, "RETR 1");
        let body = message.iter().position(String::is_empty).unwrap();
        assert_eq!(message[body + 1..], [".a dot", "the end"]);
        assert!(message.contains(&"Subject: hello".to_owned()));
        pop.pop3("DELE 1");
        pop.pop3("QUIT");
    }
    assert_eq!(server.count(BOB), 0);
    server.stop();
}

fn an_account_made_while_the_server_runs_gets_mail_at_once(on: On) {
    let mut server = server(on);
    server.add_account("carol@example.org");
    server.ok(&["alias", "add", "both", "carol", "bob"]);
    submit(&server, &["both@example.org"], "Subject: x\r\n\r\ny\r\n");
    assert_eq!((server.count("carol@example.org"), server.count(BOB)), (1, 1));
    server.ok(&["account", "remove", "carol"]);
    let mut smtp = server.smtp();
    smtp.smtp("MAIL FROM:<x@client.example>", 250);
    assert!(smtp.smtp("RCPT TO:<carol@example.org>", 550)[0].starts_with("550 5.1.1"));
    assert!(smtp.smtp("RCPT TO:<carol@other.example>", 550)[0].starts_with("550 5.7.1"));
    server.stop();
}

fn acknowledged_mail_survives_a_kill(on: On) {
    let mut server = server(on);
    submit(&server, &[BOB, "x@other.example"], "Subject: x\r\n\r\ny\r\n");
    server.kill();
    assert!(server.ok(&["queue", "list"]).contains("alice@example.org -> x@other.example"));
    server.serve();
    assert_eq!(server.count(BOB), 1);
    server.stop();
}

fn mail_waits_for_another_server_and_arrives(on: On) {
    let mut amber = Server::make(on, "example.org", &["alice", "bob"]);
    let mut birch = Server::make(on, "birch.example", &["bob"]);
    birch.settle();
    birch.serve();
    let address = birch.address("smtp");
    birch.stop();
    amber.route("birch.example", address);
    amber.serve();
    submit(&amber, &["bob@birch.example"], "Subject: across\r\n\r\nhello\r\n");
    until("it was tried", || amber.queue()[0]["attempts"] == 1);
    let row = amber.queue().remove(0);
    assert_eq!(row["from"], "alice@example.org");
    assert_eq!(row["to"], "bob@birch.example");
    assert_eq!(row["destination"], format!("smtp://{address}"));
    assert!(row["next_attempt"].as_str().unwrap().ends_with('Z'), "{row}");
    assert!(row["last_reply"].as_str().unwrap().starts_with("451 4."), "{row}");
    let id = row["id"].as_str().unwrap();
    assert!(amber.ok(&["queue", "show", id]).contains("last reply    451 4."));
    assert_eq!(amber.ok(&["queue", "show", "--json", id]).lines().count(), 1);

    birch.serve();
    assert_eq!(amber.ok(&["queue", "retry", id]), "1 due now\n");
    birch.mailbox_of("bob@birch.example", 1);
    let mut pop = birch.pop3("bob@birch.example");
    assert!(fetch(&mut pop, "TOP 1 0").contains(&"Subject: across".to_owned()));
    until("amber knows", || amber.queue().is_empty());

    // Nobody there: the bounce comes back.
    submit(&amber, &["nobody@birch.example"], "Subject: lost\r\n\r\nhello\r\n");
    amber.mailbox_of(ALICE, 1);
    let bounce = fetch(&mut amber.pop3(ALICE), "RETR 1");
    assert!(bounce.iter().any(|line| line == "Final-Recipient: rfc822; nobody@birch.example"));
    amber.stop();
    birch.stop();
}

fn removed_rows_are_gone(on: On) {
    let mut server = server(on);
    submit(&server, &["x@other.example", "y@other.example"], "Subject: x\r\n\r\ny\r\n");
    let list = server.ok(&["queue", "list"]);
    let ids: Vec<_> = list.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(ids.len(), 2, "{list}");
    let gone: serde_json::Value = serde_json::from_str(&server.ok(&["queue", "remove", "--json", ids[0]])).unwrap();
    assert_eq!(gone["to"], "x@other.example");
    assert_eq!(server.ok(&["queue", "remove", ids[1]]), "1 removed\n");
    assert_eq!(server.ok(&["queue", "list"]), "");
    server.stop();
}
