//! How a connection begins: from a listener's service, or from a dial, to a session under its channel.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::conn::{Conn, Dial, Lookup, Phase, Speaker};
use super::delivery::Outgoing;
use super::maildrop::Maildrop;
use super::operator::Operator;
use super::reader::Reader;
use super::reception::Reception;
use super::shared::Shared;
use super::{Accepted, Cleartext, Config, ConnId, Protocol, Service, SessionKind, TapSink, TlsMode};
use crate::channel::{Channel, ChannelConfig, Side, Tap};
use crate::control;
use crate::dns::StreamSession;
use crate::imap;
use crate::limits::SessionLimits;
use crate::pop3;
use crate::session::{Direction, LayerInfo, Session};
use crate::smtp;
use crate::ticket::SessionId;

/// The sessions' configurations, made once: by listener, and by whether the peer may send a password in the clear.
pub(super) struct Profiles {
    services: Vec<(Service, [Profile; 2])>,
}

enum Profile {
    Smtp(Arc<smtp::server::Config>),
    Pop3(Arc<pop3::server::Config>),
    Imap(Arc<imap::server::Config>),
    Control,
}

impl Profiles {
    pub(super) fn new(config: &Config) -> Self {
        let profiles =
            |service: &Service| (service.clone(), [false, true].map(|cleartext| profile(config, service, cleartext)));
        Self { services: config.services.iter().map(profiles).collect() }
    }

    /// The session for a connection that came in; `None` for a listener that is not there.
    pub(super) fn welcome(&self, shared: &Shared, id: ConnId, accepted: &Accepted) -> Option<Box<Conn>> {
        let (service, profiles) = self.services.get(accepted.listener.0)?;
        let cleartext = match shared.config.cleartext {
            Cleartext::Never => false,
            Cleartext::Loopback => accepted.peer.ip().to_canonical().is_loopback(),
            Cleartext::Always => true,
        };
        let session = SessionId(id.0);
        let channel = ChannelConfig {
            tls: shared.config.tls.clone().filter(|_| service.tls != TlsMode::None),
            implicit: service.tls == TlsMode::Implicit,
            ..plain(shared, Side::Server)
        };
        let (speaker, kind, high_water) = match &profiles[usize::from(cleartext)] {
            Profile::Smtp(config) => {
                let peer = smtp::server::Peer { address: accepted.peer };
                let server = smtp::server::Server::new(session, Arc::clone(config), peer);
                let channel = tapped(shared, id, Channel::new(server, channel));
                let kind = match config.service {
                    smtp::server::Service::Transfer => SessionKind::Transfer,
                    smtp::server::Service::Submission => SessionKind::Submission,
                };
                let reception = Reception::new(id, channel, config.service);
                (Speaker::Reception(Box::new(reception)), kind, config.limits.session.high_water)
            }
            Profile::Pop3(config) => {
                let server = pop3::server::Server::new(session, Arc::clone(config));
                let channel = tapped(shared, id, Channel::new(server, channel));
                let maildrop = Maildrop::new(id, channel);
                (Speaker::Maildrop(Box::new(maildrop)), SessionKind::Pop3, config.limits.session.high_water)
            }
            Profile::Imap(config) => {
                let server = imap::server::Server::new(session, Arc::clone(config));
                let reader = Reader::new(id, tapped(shared, id, Channel::new(server, channel)));
                (Speaker::Reader(Box::new(reader)), SessionKind::Imap, config.limits.session.high_water)
            }
            Profile::Control => {
                let channel = tapped(shared, id, Channel::new(control::Server::new(session), channel));
                let speaker = Speaker::Operator(Box::new(Operator::new(id, channel)));
                (speaker, SessionKind::Control, SessionLimits::default().high_water)
            }
        };
        Some(Box::new(Conn::new(speaker, kind, Phase::Open, high_water)))
    }

    /// The session for a connection that is wanted, and where to.
    pub(super) fn dial(&self, shared: &Shared, id: ConnId, dial: Dial) -> (SocketAddr, Box<Conn>) {
        let session = SessionId(id.0);
        match dial {
            Dial::Delivery { attempt, candidate } => {
                let to = candidate.address;
                let tls = shared.config.delivery.tls.clone().filter(|_| candidate.tls);
                let mode = if tls.is_some() { smtp::client::Tls::Opportunistic } else { smtp::client::Tls::Never };
                let config = smtp::client::Config {
                    hostname: shared.config.hostname.clone(),
                    tls: mode,
                    credentials: None,
                    cleartext_auth: false,
                    limits: smtp::client::Limits::default(),
                };
                let high_water = config.limits.session.high_water;
                let server_name = Some(candidate.host.clone());
                let client = smtp::client::Client::new(session, config);
                let channel = Channel::new(client, ChannelConfig { tls, server_name, ..plain(shared, Side::Client) });
                let outgoing = Outgoing::new(id, tapped(shared, id, channel), attempt, candidate);
                let speaker = Speaker::Outgoing(Box::new(outgoing));
                (to, Box::new(Conn::new(speaker, SessionKind::Delivery, Phase::Dialing, high_water)))
            }
            Dial::Lookup { stream, to, query } => {
                let channel = Channel::new(StreamSession::new(query), plain(shared, Side::Client));
                let speaker = Speaker::Lookup(Box::new(Lookup::new(stream, channel)));
                (to, Box::new(Conn::new(speaker, SessionKind::Lookup, Phase::Dialing, 64 * 1024)))
            }
        }
    }
}

fn profile(config: &Config, service: &Service, cleartext_auth: bool) -> Profile {
    let starttls = service.tls == TlsMode::StartTls && config.tls.is_some();
    let smtp = |service| {
        Profile::Smtp(Arc::new(smtp::server::Config {
            hostname: config.hostname.clone(),
            service,
            starttls,
            cleartext_auth,
            message_size: config.message_size,
            limits: smtp::server::Limits { recipients: config.limits.recipients, ..smtp::server::Limits::default() },
        }))
    };
    match service.protocol {
        Protocol::Transfer => smtp(smtp::server::Service::Transfer),
        Protocol::Submission => smtp(smtp::server::Service::Submission),
        Protocol::Pop3 => Profile::Pop3(Arc::new(pop3::server::Config {
            hostname: config.hostname.clone(),
            stls: starttls,
            cleartext_auth,
            limits: pop3::server::Limits::default(),
        })),
        Protocol::Imap => Profile::Imap(Arc::new(imap::server::Config {
            starttls,
            cleartext_auth,
            message_size: config.message_size,
            without: service.without.clone(),
            ..imap::server::Config::new(config.hostname.clone())
        })),
        Protocol::Control => Profile::Control,
    }
}

fn plain(shared: &Shared, side: Side) -> ChannelConfig {
    ChannelConfig { handshake_timeout: shared.config.limits.handshake_timeout, ..ChannelConfig::plain(side) }
}

fn tapped<S: Session>(shared: &Shared, id: ConnId, mut channel: Channel<S>) -> Channel<S> {
    if let Some(sink) = &shared.config.tap {
        channel.set_tap(Some(Box::new(ConnTap { sink: Arc::clone(sink), conn: id })));
    }
    channel
}

/// A tap that knows its connection.
struct ConnTap {
    sink: Arc<dyn TapSink>,
    conn: ConnId,
}

impl Tap for ConnTap {
    fn bytes(&mut self, direction: Direction, bytes: &[u8]) {
        self.sink.bytes(self.conn, direction, bytes);
    }

    fn layer(&mut self, layer: &LayerInfo) {
        self.sink.layer(self.conn, layer);
    }
}
