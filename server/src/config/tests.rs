//! Each thing that can be wrong in the file, with the line it is shown at.

use super::*;

const GOOD: &str = r#"hostname = "mx.example.org"
domains = ["example.org"]
data = "data"
[runtime]
kind = "tokio"
workers = 0
[[listener]]
protocol = "smtp"
bind = "127.0.0.1:2525"
tls = "none"
[auth]
cleartext = "loopback"
[dns]
servers = []
[delivery]
port = 25
retry = ["30s", "2m"]
expire_after = "5d"
[[route]]
domain = "partner.example"
to = "smtp://127.0.0.1:2626"
[limits]
message_size = "50MB"
[store]
search_index = false
"#;

fn parse(text: &str) -> Result<Config, Vec<String>> {
    let problems = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect();
    Config::parse(Path::new("/nowhere"), text).map_err(problems)
}

/// The problems when `from` is replaced by `to`.
fn wrong(from: &str, to: &str) -> Vec<String> {
    assert!(GOOD.contains(from), "{from:?}");
    parse(&GOOD.replacen(from, to, 1)).err().unwrap_or_else(|| panic!("{to:?} was taken"))
}

fn right(from: &str, to: &str) -> Config {
    assert!(GOOD.contains(from), "{from:?}");
    parse(&GOOD.replacen(from, to, 1)).unwrap_or_else(|problems| panic!("{to:?}: {problems:?}"))
}

#[test]
fn all_that_may_stand_there_is_read() {
    let config = right("25\n", "2500\n");
    assert_eq!(config.hostname, "mx.example.org");
    assert_eq!(config.domains, ["example.org"]);
    assert_eq!(config.data, Path::new("/nowhere/data"));
    let bind = "127.0.0.1:2525".parse().unwrap();
    let listener =
        Listener { protocol: Protocol::Transfer, bind, tls: TlsMode::None, without: BTreeSet::new(), line: 9 };
    assert_eq!(config.listeners, [listener]);
    assert!(!config.search_index);
    assert_eq!(config.cleartext, Cleartext::Loopback);
    assert!(config.dns.is_empty());
    assert_eq!(config.delivery.port, 2500);
    assert_eq!(config.delivery.retry, [Duration::from_secs(30), Duration::from_secs(120)]);
    assert_eq!(config.delivery.expire_after, Duration::from_secs(5 * 24 * 3600));
    assert_eq!(config.routes[0].to.to_string(), "smtp://127.0.0.1:2626");
    assert_eq!(config.limits.message_size, 50 << 20);
}

#[test]
fn most_of_it_may_be_left_out() {
    let config = parse(
        "hostname = \"localhost\"\ndomains = [\"Example.ORG.\"]\n\
         listener = [{ protocol = \"pop3\", bind = \"[::1]:0\" }]\n",
    );
    let config = config.unwrap();
    assert_eq!(config.domains, ["example.org"]);
    assert_eq!(config.listeners[0].tls, TlsMode::None);
    assert!(config.search_index);
    let limits = Limits { message_size: 50 << 20, recipients: 1000, connections: 10_000, connections_per_address: 200 };
    assert_eq!((config.runtime, config.workers), (Runtime::Tokio, Workers::OneACore));
    assert_eq!((config.limits, config.delivery.port, config.delivery.retry.len()), (limits, 25, 7));
}

#[test]
fn what_is_unusual_is_taken_as_meant() {
    right("servers = []", "servers = [\"127.0.0.1:5353\", \"::1\"]");
    right("[\"example.org\"]", "[\"bücher.example\", \"xn--bcher-kva.example\"]");
    let threads = |text| right("workers = 0", text).workers;
    assert_eq!(threads("workers = 0"), Workers::OneACore);
    assert!((1..=64).contains(&Workers::OneACore.count()));
    assert_eq!(threads("workers = 64").count(), 64);
    for (word, runtime) in [("tokio", Runtime::Tokio), ("smol", Runtime::Smol), ("blocking", Runtime::Blocking)] {
        assert_eq!(right("\"tokio\"", &format!("{word:?}")).runtime, runtime);
    }
    right("\"partner.example\"", "\"*\"");
    right("\"smtp://127.0.0.1:2626\"", "\"smtp://[::1]\"");
    right("\"50MB\"", "\"64KB\"\nrecipients = 100\nconnections = 1\nconnections_per_address = 1");
    // The kernel gives each of them another port.
    right("127.0.0.1:2525\"", "127.0.0.1:0\"\n[[listener]]\nprotocol = \"pop3\"\nbind = \"127.0.0.1:0\"");
    right("127.0.0.1:2525\"", "[::]:2525\"\n[[listener]]\nprotocol = \"pop3\"\nbind = \"0.0.0.0:2525\"");
}

#[test]
fn a_capability_of_imap_can_be_switched_off() {
    let listener = |without: &str| {
        let imap = format!("\"imap\"\nwithout = {without}");
        parse(&GOOD.replacen("\"smtp\"", &imap, 1)).map(|config| config.listeners[0].clone())
    };
    let without = listener("[\"ENABLE\", \"CHILDREN\"]").unwrap().without;
    assert_eq!(without.into_iter().collect::<Vec<_>>(), ["CHILDREN", "ENABLE"]);
    assert!(listener("[]").unwrap().without.is_empty());
    for (name, problem) in [
        ("CHILDREM", "9: without: \"CHILDREM\" is not one of IMAP4rev2, "),
        ("CHILDREM", ": did you mean \"CHILDREN\"?"),
        ("STARTTLS", "\"STARTTLS\" is not one of "),
        ("IMAP4rev1", "\"IMAP4rev1\" is not one of "),
    ] {
        let problems = listener(&format!("[\"ENABLE\", {name:?}]")).unwrap_err();
        assert!(problems.len() == 1 && problems[0].contains(problem), "{problems:#?}");
    }
    assert_eq!(listener("\"ENABLE\"").unwrap_err(), ["9: without: expected a list in brackets, not a text"]);
}

#[test]
fn each_problem_is_shown_where_it_is() {
    for (from, to, problem) in [
        ("\"mx.example.org\"", "mx", "1: this is not TOML: "),
        ("[runtime]", "[runtime", "4: this is not TOML: "),
        ("kind =", "kind = \"tokio\"\nkind =", "6: this is not TOML: "),
        ("hostname = \"mx.example.org\"\n", "", "1: the file has no hostname: add a line like hostname = "),
        ("domains = [\"example.org\"]\n", "", "1: the file has no domains: "),
        ("hostname", "hostnam", "1: the file has an unknown key \"hostnam\": did you mean hostname?"),
        ("protocol", "protcol", "8: [[listener]] has an unknown key \"protcol\": did you mean protocol?"),
        (
            "protocol",
            "colour",
            "8: [[listener]] has an unknown key \"colour\": it may have protocol, bind, tls, without",
        ),
        ("[auth]", "[oauth]", "11: the file has an unknown key \"oauth\": did you mean auth?"),
        ("port = 25", "prot = 25", "16: [delivery] has an unknown key \"prot\": did you mean port?"),
        ("to = ", "To = ", "21: [[route]] has an unknown key \"To\": did you mean to?"),
        ("message_size", "messagesize", "23: [limits] has an unknown key \"messagesize\": did you mean message_size?"),
        ("workers", "worker", "6: [runtime] has an unknown key \"worker\": did you mean workers?"),
        ("\"mx.example.org\"", "7", "1: hostname: expected a text in quotes, not a number"),
        ("\"mx.example.org\"", "\"-mx\"", "1: hostname: \"-mx\" is not a domain name, like \"example.org\""),
        ("\"mx.example.org\"", "\"192.0.2.1\"", "1: hostname: \"192.0.2.1\" is not a domain name"),
        ("\"mx.example.org\"", "\"[192.0.2.1]\"", "1: hostname: \"[192.0.2.1]\" is not a domain name"),
        ("\"mx.example.org\"", "\"mx.bücher.example\"", "1: hostname: \"mx.bücher.example\" is not ASCII: "),
        ("\"mx.example.org\"", "\"mx example\"", "1: hostname: \"mx example\" is not a domain name"),
        ("\"mx.example.org\"", "\"mx\\r\\nX: y\"", "1: hostname: \"mx\\r\\nX: y\" is not a domain name"),
        ("[\"example.org\"]", "\"example.org\"", "2: domains: expected a list in brackets, not a text"),
        ("[\"example.org\"]", "[]", "2: domains: there must be one domain at least"),
        ("[\"example.org\"]", "[\n\"a.b\",\n\"A.b\"]", "4: domains: a.b is there twice"),
        ("[\"example.org\"]", "[\"a b\"]", "2: domains: \"a b\" is not a domain name"),
        ("\"data\"", "\"\"", "3: data: expected a folder"),
        ("\"data\"", "\"/dev/null\"", "3: data: /dev/null is not a folder"),
        ("\"tokio\"", "\"actix\"", "5: kind: \"actix\" is not one of tokio, smol, blocking"),
        ("\"tokio\"", "\"tokyo\"", "5: kind: \"tokyo\" is not one of tokio, smol, blocking: did you mean \"tokio\"?"),
        ("\"tokio\"", "2", "5: kind: expected a text in quotes, not a number"),
        ("search_index = false", "search_index = \"no\"", "25: search_index: expected true or false, not a text"),
        ("search_index = false", "index = false", "25: [store] has an unknown key \"index\""),
        ("[runtime]\nkind = \"tokio\"\nworkers = 0", "runtime = \"smol\"", "4: runtime is a table: write [runtime]"),
        ("workers = 0", "workers = -1", "6: workers: must be a number from 0 to 64"),
        ("workers = 0", "workers = 65", "6: workers: must be a number from 0 to 64"),
        ("workers = 0", "workers = 100000", "6: workers: must be a number from 0 to 64"),
        ("workers = 0", "workers = 99999999999999999999", "6: "),
        ("workers = 0", "workers = \"two\"", "6: workers: expected a number, not a text"),
        ("workers = 0", "workers = 1.5", "6: workers: expected a number, not a number with a point"),
        ("\"smtp\"", "\"lmtp\"", "8: protocol: lmtp is not built yet: there are smtp, submission, pop3, imap"),
        ("\"smtp\"", "\"http\"", "8: protocol: \"http\" is not one of smtp, submission, pop3, imap"),
        ("protocol = \"smtp\"\n", "", "7: [[listener]] has no protocol: add a line like protocol = \"smtp\""),
        ("bind = \"127.0.0.1:2525\"\n", "", "7: [[listener]] has no bind: "),
        ("[[listener]]", "[listener]", "7: there may be several: write [[listener]], not a table"),
        ("127.0.0.1:2525", "127.0.0.1", "9: bind: \"127.0.0.1\" has no port: write it like \"127.0.0.1:2525\""),
        ("127.0.0.1:2525", "localhost:2525", "9: bind: \"localhost:2525\" is not an address and a port"),
        ("127.0.0.1:2525", "127.0.0.1:99999", "9: bind: \"127.0.0.1:99999\" is not an address and a port"),
        (
            "tls = \"none\"",
            "[[listener]]\nprotocol = \"pop3\"\nbind = \"127.0.0.1:2525\"",
            "12: bind: the listener at line 9 has 127.0.0.1:2525 already",
        ),
        (
            "tls = \"none\"",
            "[[listener]]\nprotocol = \"pop3\"\nbind = \"0.0.0.0:2525\"",
            "12: bind: the listener at line 9 has 127.0.0.1:2525 already",
        ),
        ("\"none\"", "\"ssl\"", "10: tls: \"ssl\" is not one of none, starttls, implicit"),
        ("\"none\"", "\"starttls\"", "10: tls: there is no certificate: add [tls] with certificate and key"),
        ("\"none\"", "\"implicit\"", "10: tls: there is no certificate"),
        ("tls = \"none\"", "without = [\"IDLE\"]", "10: without: only a listener for imap has capabilities"),
        ("[auth]", "[tls]\nkey = \"k\"\n[auth]", "11: [tls] has no certificate: "),
        ("[auth]", "[tls]\nkey = \"k\"\ncertificate = \"c\"\n[auth]", "12: key: cannot read /nowhere/k: No such file"),
        ("[auth]", "[tls]\nkey = \"k\"\ncertificate = \"c\"\n[auth]", "13: certificate: cannot read /nowhere/c: "),
        ("\"loopback\"", "\"yes\"", "12: cleartext: \"yes\" is not one of never, loopback, always"),
        ("\"loopback\"", "true", "12: cleartext: expected a text in quotes, not true or false"),
        (
            "servers = []",
            "servers = [\"dns.example\"]",
            "14: servers: \"dns.example\" is not the address of a DNS server",
        ),
        ("servers = []", "servers = [\"127.0.0.1:0\"]", "14: servers: \"127.0.0.1:0\" is not the address"),
        ("port = 25", "port = 0", "16: port: must be a number from 1 to 65535"),
        ("port = 25", "port = 70000", "16: port: must be a number from 1 to 65535"),
        ("[\"30s\", \"2m\"]", "[]", "17: retry: there must be one wait at least"),
        ("\"2m\"", "\"2 weeks\"", "17: retry: \"2 weeks\" is not a duration, like \"30s\""),
        ("\"2m\"", "120", "17: retry: expected a text in quotes, not a number"),
        ("\"2m\"", "\"0s\"", "17: retry: \"0s\" is too short: \"100ms\" at least"),
        ("\"5d\"", "\"9999d\"", "18: expire_after: \"9999d\" is too long: \"365d\" at most"),
        ("\"partner.example\"", "\"example.org\"", "20: domain: this domain is among domains"),
        ("\"partner.example\"", "\"*.example\"", "20: domain: \"*.example\" is not a domain name"),
        ("to = \"smtp://127.0.0.1:2626\"\n", "", "19: [[route]] has no to: "),
        (
            "smtp://127.0.0.1",
            "127.0.0.1",
            "21: to: \"127.0.0.1:2626\" is not a next hop: a next hop begins with smtp://",
        ),
        (":2626", ":port", "21: to: \"smtp://127.0.0.1:port\" is not a next hop: the port is not a number"),
        (
            "[limits]",
            "[[route]]\ndomain = \"Partner.Example\"\nto = \"smtp://x\"\n[limits]",
            "23: domain: there is a [[route]] for this domain already",
        ),
        ("\"50MB\"", "\"lots\"", "23: message_size: \"lots\" is not a size, like \"50MB\""),
        ("\"50MB\"", "\"1KB\"", "23: message_size: \"1KB\" is out of bounds"),
        ("\"50MB\"", "\"3GB\"", "23: message_size: \"3GB\" is out of bounds"),
        ("\"50MB\"", "50", "23: message_size: expected a text in quotes, not a number"),
        ("\"50MB\"", "\"50MB\"\nrecipients = 10", "24: recipients: must be a number from 100 to 10000"),
        ("\"50MB\"", "\"50MB\"\nconnections = 0", "24: connections: must be a number from 1 to"),
    ] {
        let problems = wrong(from, to);
        let shown = problems.iter().any(|shown| shown.starts_with(problem));
        assert!(shown, "{to:?} should say {problem:?} and says {problems:#?}");
    }
}

#[test]
fn several_problems_are_all_listed_in_order() {
    let text = GOOD.replace("\"5d\"", "\"5 days\"").replace("kind", "kin").replace("\"mx.example.org\"", "\"\"");
    let problems = parse(&text).err().unwrap();
    let lines: Vec<_> = problems.iter().map(|problem| problem.split(':').next().unwrap()).collect();
    assert_eq!(lines, ["1", "5", "18"], "{problems:?}");
}

#[test]
fn a_file_with_nothing_in_it_says_what_it_wants() {
    let problems = parse("").err().unwrap();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems.iter().any(|problem| problem.contains("there is no [[listener]]")));
}

#[test]
fn certificate_and_key_must_belong_together() {
    let folder = tempfile::tempdir().unwrap();
    let pair = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    };
    let ((cert, key), (_, other)) = (pair(), pair());
    for (name, text) in [("cert", &cert), ("key", &key), ("other", &other), ("empty", &String::new())] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let problems = |certificate: &str, key: &str| {
        let tls = format!("[tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n[auth]");
        let text = GOOD.replace("[auth]", &tls).replace("\"none\"", "\"starttls\"");
        let parsed = Config::parse(folder.path(), &text);
        parsed.map(|config| config.tls.is_some()).map_err(|problems| problems[0].to_string())
    };
    assert_eq!(problems("cert", "key"), Ok(true));
    for (certificate, key, line) in
        [("cert", "other", "13: key: "), ("empty", "key", "12: certificate: "), ("cert", "empty", "13: key: ")]
    {
        let problem = problems(certificate, key).unwrap_err();
        assert!(problem.starts_with(line), "{problem}");
    }
}
