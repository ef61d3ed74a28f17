//! What this hop puts in front of a message: the Received field (RFC 5321 §4.4), and what a submission lacks (RFC 6409
//! §8).

use alloc::string::String;
use core::fmt::Write as _;
use core::net::IpAddr;

use bytes::Bytes;

use super::action::{Config, Peer, Service, Transaction};
use crate::message::HeaderScanner;
use crate::smtp::Domain;
use crate::time::Wall;

/// The trace of `transaction`, which came from `peer` and is complete `at` this time. Nothing in it was ever free text:
/// the client's name, the recipient and all else have passed their grammars.
pub(super) fn trace(
    transaction: &Transaction,
    extended: bool,
    config: &Config,
    peer: Peer,
    header: &HeaderScanner,
    at: Wall,
) -> Bytes {
    let mut text = String::with_capacity(512);
    received(&mut text, transaction, extended, config, peer, at);
    if config.service == Service::Submission {
        if !header.has_date() {
            line(&mut text, format_args!("Date: {}", at.rfc5322()));
        }
        if !header.has_message_id() {
            let (host, id) = (&config.hostname, transaction.id);
            line(&mut text, format_args!("Message-ID: <{:x}.{id}@{host}>", at.0));
        }
    }
    if header.is_missing() {
        // Else its first words would be taken for one more field.
        text.push_str("\r\n");
    }
    Bytes::from(text)
}

fn received(text: &mut String, transaction: &Transaction, extended: bool, config: &Config, peer: Peer, at: Wall) {
    let client = &transaction.client;
    // An address like ::ffff:192.0.2.1 is one of IPv4 that came by another door.
    let ip: IpAddr = peer.address.ip().to_canonical();
    line(text, format_args!("Received: from {} ({})", client.helo, Domain::Literal(ip)));
    let protocol = protocol(extended, transaction.smtputf8, client.tls.is_some(), client.authenticated.is_some());
    line(text, format_args!("\tby {} with {protocol} id {}", config.hostname, transaction.id));
    if let Some(tls) = &client.tls {
        line(text, format_args!("\t({} {})", tls.version, tls.cipher));
    }
    if let [only] = &transaction.recipients[..] {
        line(text, format_args!("\tfor <{only}>"));
    }
    // The semicolon stands behind the last clause.
    text.truncate(text.len() - 2);
    line(text, format_args!(";\r\n\t{}", at.rfc5322()));
}

/// The protocol's name, as registered by RFC 3848 and RFC 6531 §4.3.
fn protocol(extended: bool, utf8: bool, tls: bool, authenticated: bool) -> &'static str {
    match (utf8, tls, authenticated) {
        _ if !extended => "SMTP",
        (false, false, false) => "ESMTP",
        (false, true, false) => "ESMTPS",
        (false, false, true) => "ESMTPA",
        (false, true, true) => "ESMTPSA",
        (true, false, false) => "UTF8SMTP",
        (true, true, false) => "UTF8SMTPS",
        (true, false, true) => "UTF8SMTPA",
        (true, true, true) => "UTF8SMTPSA",
    }
}

fn line(text: &mut String, content: core::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = write!(text, "{content}\r\n");
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::super::action::{ClientInfo, Limits, TransactionId};
    use super::*;
    use crate::session::TlsInfo;
    use crate::smtp::Address;
    use crate::ticket::SessionId;

    fn written(service: Service, recipients: Vec<Address>, tls: Option<TlsInfo>, message: &str) -> String {
        let config = Config {
            hostname: "mx.example.org".into(),
            service,
            starttls: false,
            cleartext_auth: false,
            message_size: 1,
            limits: Limits::default(),
        };
        let authenticated = (service == Service::Submission).then(|| "alice".into());
        let transaction = Transaction {
            id: TransactionId { session: SessionId(0x2a), serial: 3 },
            reverse_path: None,
            recipients,
            smtputf8: false,
            eight_bit: false,
            size: 0,
            trace: Bytes::new(),
            client: ClientInfo { helo: "client.example".into(), authenticated, tls },
        };
        let peer = Peer { address: "[::ffff:192.0.2.7]:4242".parse().unwrap() };
        let mut header = HeaderScanner::new(1000, 10);
        header.feed(message.as_bytes()).unwrap();
        let bytes = trace(&transaction, true, &config, peer, &header, Wall(1_795_379_126_999));
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn one_recipient_is_named() {
        let bob = Address::new("b\"(b", "example.org").unwrap();
        assert_eq!(
            written(Service::Transfer, vec![bob], None, ""),
            "Received: from client.example ([192.0.2.7])\r\n\
             \tby mx.example.org with ESMTP id 2a-3\r\n\
             \tfor <\"b\\\"(b\"@example.org>;\r\n\
             \tSun, 22 Nov 2026 20:25:26 +0000\r\n"
        );
    }

    #[test]
    fn a_submission_is_completed() {
        let two = vec![Address::new("a", "x").unwrap(), Address::new("b", "x").unwrap()];
        let tls = TlsInfo { version: "TLS1.3", cipher: "TLS13_AES_128_GCM_SHA256", verified: false };
        assert_eq!(
            written(Service::Submission, two.clone(), Some(tls.clone()), "From: a@x\r\n\r\n"),
            "Received: from client.example ([192.0.2.7])\r\n\
             \tby mx.example.org with ESMTPSA id 2a-3\r\n\
             \t(TLS1.3 TLS13_AES_128_GCM_SHA256);\r\n\
             \tSun, 22 Nov 2026 20:25:26 +0000\r\n\
             Date: Sun, 22 Nov 2026 20:25:26 +0000\r\n\
             Message-ID: <1a204ef62d7.2a-3@mx.example.org>\r\n"
        );
        let complete = written(Service::Submission, two, None, "Date: x\r\nMessage-ID: <y@z>\r\n\r\n");
        assert_eq!((complete.matches("Date:").count(), complete.matches("Message-ID:").count()), (0, 0));
        assert!(complete.contains("with ESMTPA id"));
    }
}
