//! quickstart, check, account, alias, queue; with and without a running server.

use std::os::unix::fs::PermissionsExt as _;

use crate::common::{On, Server, on_every_runtime, pillarbox};

on_every_runtime! {
    one worker: commands_work_with_a_running_server, many_accounts_come_in_pages;
    two workers: commands_work_with_a_running_server;
}

#[test]
fn a_simulated_world_is_the_same_each_time() {
    let args = ["sim", "--seed", "7", "--hosts", "3", "--letters", "5", "--visits", "3", "--faults", "3", "--story"];
    let said = pillarbox(&args);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("letter 4 of ") && said.out.contains("C: EHLO "), "{said:?}");
    let trace = |out: &str| out.lines().last().filter(|line| line.starts_with("trace ")).map(str::to_owned).unwrap();
    assert_eq!(trace(&pillarbox(&args[..args.len() - 1]).out), trace(&said.out), "told or not");
    let many = pillarbox(&["sim", "--seeds", "7..9", "--hosts", "3", "--letters", "5", "--faults", "3"]);
    assert_eq!(many.code, Some(0), "{many:?}");
    assert!(many.out.contains("worlds    2 ") && many.out.contains("virtual days"), "{many:?}");
    assert_eq!(pillarbox(&["sim"]).code, Some(2));
}

#[test]
fn quickstart_makes_all_that_serve_needs() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("deep/mail");
    let dir = dir.to_str().unwrap();
    let args =
        ["quickstart", "--dir", dir, "--domain", "Example.org", "--account", "alice", "--account", "bob@example.org"];
    let said = pillarbox(&[&args[..], &["--loopback"]].concat());
    assert_eq!(said.code, Some(0), "{said:?}");
    for word in [
        "alice@example.org",
        "bob@example.org",
        "2995",
        "2110",
        "2993",
        "2143",
        "2465",
        "2587",
        "tls/cert.pem",
        "v=spf1 mx",
    ] {
        assert!(said.out.contains(word), "{word}: {}", said.out);
    }
    let password = |name: &str| {
        let line = said.out.lines().find(|line| line.trim().starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_ne!(password("alice@"), password("bob@"));
    assert!(password("alice@").len() >= 20);
    let mode = |name: &str| std::fs::metadata(format!("{dir}/{name}")).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("tls/key.pem"), mode("data"), mode("tls")), (0o600, 0o700, 0o700));
    let file = std::fs::read_to_string(format!("{dir}/pillarbox.toml")).unwrap();
    assert!(!file.contains(&password("alice@")), "a password stands in no file");
    for bind in [
        "127.0.0.1:2525",
        "127.0.0.1:2587",
        "127.0.0.1:2465",
        "127.0.0.1:2110",
        "127.0.0.1:2995",
        "127.0.0.1:2143",
        "127.0.0.1:2993",
    ] {
        assert!(file.contains(&format!("bind = \"{bind}\"")), "{bind}");
    }
    assert_eq!(pillarbox(&["check", "--dir", dir]).code, Some(0));
    assert_eq!(pillarbox(&["account", "list", "--dir", dir]).out, "alice@example.org\nbob@example.org\n");
    assert_eq!(pillarbox(&["alias", "list", "--dir", dir]).out, "postmaster@example.org alice@example.org\n");

    let again = pillarbox(&args);
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.err.contains("pillarbox.toml exists already"), "{again:?}");
    assert_eq!(std::fs::read_to_string(format!("{dir}/pillarbox.toml")).unwrap(), file);
}

#[test]
fn without_loopback_the_ports_are_the_standard_ones() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let said = pillarbox(&["quickstart", "--dir", path, "--domain", "example.org", "--account", "alice"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let file = std::fs::read_to_string(dir.path().join("pillarbox.toml")).unwrap();
    for port in ["25", "587", "465", "110", "995"] {
        assert!(file.contains(&format!("bind = \"0.0.0.0:{port}\"")), "{port}");
    }
    assert_eq!(pillarbox(&["check", "--dir", path]).code, Some(0));
}

#[test]
fn a_quickstart_that_makes_no_sense_makes_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("mail");
    let path = dir.to_str().unwrap();
    for args in [
        &["--domain", "exa mple", "--account", "alice"][..],
        &["--domain", "example.org", "--account", "al ice"],
        &["--domain", "example.org", "--account", "alice@other.example"],
        &["--domain", "example.org", "--account", "alice", "--account", "Alice"],
        &["--domain", "example.org"],
        &["--domain", "example.org", "--account", "alice", "--colour"],
        &["--domain", "example.org", "--account", "alice", "--hostname", "a_b c"],
    ] {
        let said = pillarbox(&[&["quickstart", "--dir", path], args].concat());
        assert_eq!(said.code, Some(2), "{args:?}: {said:?}");
        assert!(!dir.exists(), "{args:?}");
    }
}

#[test]
fn check_and_serve_name_file_and_line() {
    let server = Server::make(On::default(), "example.org", &["alice", "bob"]);
    assert_eq!(server.run(&["check"]).code, Some(0));
    server.edit("cleartext = ", "cleartexte = ");
    server.edit("kind = \"tokio\"", "kind = \"tokyo\"");
    for command in ["check", "serve"] {
        let said = server.run(&[command]);
        assert_eq!(said.code, Some(1), "{said:?}");
        let text = std::fs::read_to_string(server.file()).unwrap();
        for (key, what) in [("kind =", "did you mean \"tokio\"?"), ("cleartexte", "did you mean cleartext?")] {
            let line = text.lines().position(|line| line.contains(key)).unwrap() + 1;
            let place = format!("{}:{line}: ", server.file().display());
            let shown = said.err.lines().find(|line| line.starts_with(&place));
            assert!(shown.is_some_and(|shown| shown.contains(what)), "{place}{what}: {}", said.err);
        }
    }
    let nowhere = pillarbox(&["check", "--dir", "/nowhere"]);
    assert_eq!(nowhere.code, Some(1));
    assert!(nowhere.err.contains("there is no /nowhere/pillarbox.toml"), "{nowhere:?}");
}

#[test]
fn commands_work_without_a_server() {
    commands(&Server::make(On::default(), "example.org", &["alice", "bob"]));
}

fn commands_work_with_a_running_server(on: On) {
    let mut server = Server::start(on, "example.org", &["alice", "bob"]);
    commands(&server);
    server.stop();
    assert!(server.ok(&["account", "list"]).contains("carol@example.org\n"), "what it was told is kept");
}

/// One story for both.
fn commands(server: &Server) {
    let fails = |args: &[&str], code, why: &str| {
        let said = server.run(args);
        assert_eq!(said.code, Some(code), "{args:?}: {said:?}");
        assert!(said.err.contains(why), "{args:?}: {}", said.err);
        assert_eq!(said.out, "", "{args:?}");
    };
    let password = server.ok(&["account", "add", "carol"]);
    assert_eq!(password.trim_end().len(), 23, "a fresh password stands alone on standard output");
    assert_ne!(server.ok(&["account", "passwd", "carol@example.org"]), password);
    let said = server.run_with_input(&["account", "add", "dora", "--password-stdin"], "pass word\r\nmore");
    assert_eq!((said.code, said.out.as_str()), (Some(0), ""), "{said:?}");
    assert_eq!(
        server.ok(&["account", "list"]),
        "alice@example.org\nbob@example.org\ncarol@example.org\ndora@example.org\n"
    );
    fails(&["account", "add", "carol"], 1, "carol@example.org exists already");
    fails(&["account", "add", "carol@other.example"], 1, "other.example is not a domain of this server");
    fails(&["account", "add", "car ol@example.org"], 2, "is not an address");
    fails(&["account", "add", "eve", "--password-stdin"], 2, "the password on standard input is empty");
    fails(&["account", "passwd", "nobody"], 1, "there is no account nobody@example.org");
    server.ok(&["account", "remove", "dora"]);
    fails(&["account", "remove", "dora"], 1, "there is no account dora@example.org");

    server.ok(&["alias", "add", "team", "alice", "bob@example.org", "x@other.example"]);
    server.ok(&["alias", "add", "sales@example.org", "team"]);
    let aliases = "postmaster@example.org alice@example.org\nsales@example.org team@example.org\n\
                   team@example.org alice@example.org bob@example.org x@other.example\n";
    assert_eq!(server.ok(&["alias", "list"]), aliases);
    server.ok(&["alias", "add", "team", "bob"]);
    server.ok(&["alias", "remove", "sales"]);
    let aliases = "postmaster@example.org alice@example.org\nteam@example.org bob@example.org\n";
    assert_eq!(server.ok(&["alias", "list"]), aliases);
    fails(&["alias", "remove", "sales"], 1, "there is no alias sales@example.org");
    fails(&["alias", "add", "alice", "bob"], 1, "alice@example.org is an account");
    fails(&["alias", "add", "x@other.example", "bob"], 1, "not a domain of this server");
    fails(&["alias", "add", "lonely"], 2, "TARGET");
    fails(&["account", "add", "team"], 1, "exists already");

    assert_eq!(server.ok(&["queue", "list"]), "");
    assert_eq!(server.ok(&["queue", "list", "--json"]), "");
    for command in ["show", "retry", "remove"] {
        fails(&["queue", command, "x1"], 2, "not an id");
        fails(&["queue", command], 2, "ID");
    }
    fails(&["queue", "show", "1-ff"], 1, "not in the queue (any more): 1-ff");
    assert_eq!(server.run(&["queue", "remove", "1-ff"]).code, Some(1));
}

fn many_accounts_come_in_pages(on: On) {
    let mut server = Server::start(on, "example.org", &["alice"]);
    for number in 0..120 {
        server.ok(&["alias", "add", &format!("alias-{number:03}"), "alice"]);
    }
    let lines = server.ok(&["alias", "list"]);
    assert_eq!(lines.lines().count(), 121);
    server.stop();
    assert_eq!(server.ok(&["alias", "list"]), lines, "the same, whoever is asked");
}
