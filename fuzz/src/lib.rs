//! Fuzz targets: one for each parser, each session, and whole nodes.
//!
//! A target is a plain function of octets that panics when a promise is broken. Each holds three promises: nothing panics;
//! however the octets are cut, the same comes out; and what it costs, in steps and in memory, is at most linear in what went
//! in. Where somebody else has written a parser for the same thing, the two must agree.
//!
//! `cargo test -p pillarbox-fuzz` replays the committed corpora; `just fuzz TARGET` lets libFuzzer look for more. The README
//! in this folder says how to add a target and how to replay a crash.

pub mod choices;
pub mod corpus;
pub mod gauge;
pub mod pieces;
pub mod seeds;
pub mod session;

mod bounce;
mod channel;
mod control;
mod dns;
mod imap;
mod imap_response;
mod line;
mod message;
mod names;
mod node;
mod pop3;
mod sasl;
mod smtp;
mod well_made;

/// Something to be fuzzed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of its corpus.
    pub name: &'static str,
    /// Panics when a promise is broken.
    pub run: fn(&[u8]),
    /// Words and lines that a fuzzer may put anywhere.
    pub words: fn() -> &'static [&'static str],
    /// Octets of an input at most, so that a run takes no more than some milliseconds.
    pub longest: usize,
}

const fn target(name: &'static str, run: fn(&[u8]), words: fn() -> &'static [&'static str]) -> Target {
    Target { name, run, words, longest: 2048 }
}

impl Target {
    const fn up_to(self, longest: usize) -> Self {
        Self { longest, ..self }
    }
}

/// All targets, in the order of their names.
pub const TARGETS: &[Target] = &[
    target("address", smtp::address, smtp::words),
    target("bounce", bounce::report, bounce::words),
    target("channel", channel::wire, channel::words),
    target("control-client", session::control_client, session::words::<session::ControlClient>),
    target("control-reply", control::reply, control::words),
    target("control-request", control::request, control::words),
    target("control-server", session::control_server, session::words::<session::ControlServer>),
    target("dns-name", dns::name, smtp::words),
    target("dns-resolver", dns::resolver, dns::words),
    target("dns-responder", dns::responder, dns::words),
    target("dns-stream", session::dns_stream, session::words::<session::DnsStream>),
    target("dot", line::dot, line::words),
    target("header", message::header, message::words),
    target("imap-command", imap::command, imap::words),
    target("imap-names", names::imap, names::words),
    target("imap-reader", imap::reader, imap::words),
    target("imap-response", imap_response::of_message, message::words),
    target("imap-server", session::imap_server, session::words::<session::ImapServer>),
    target("line", line::lines, line::words),
    target("message-text", message::text, message::words),
    target("node", node::schedule, node::words).up_to(1024),
    target("numbers", names::numbers, names::words),
    target("pop3-client", session::pop3_client, session::words::<session::Pop3Client>),
    target("pop3-command", pop3::command, pop3::words),
    target("pop3-server", session::pop3_server, session::words::<session::Pop3Server>),
    target("sasl", sasl::exchange, sasl::words),
    target("small-texts", names::small, names::words),
    target("smtp-client", session::smtp_client, session::words::<session::SmtpClient>),
    target("smtp-command", smtp::command, smtp::words),
    target("smtp-reply", smtp::reply, smtp::words),
    target("smtp-server", session::smtp_server, session::words::<session::SmtpServer>),
    target("structure", message::structure, message::words),
    target("structure-code", message::code, message::words),
    target("transfer", message::transfer, message::words),
    target("well-made", well_made::agreed, line::words),
];

/// The target of this name.
#[must_use]
pub fn named(name: &str) -> Option<Target> {
    TARGETS.iter().copied().find(|target| target.name == name)
}
