//! A small authoritative server: what a zone says, as pure answers to queries.
//!
//! It serves tests, demonstrations and simulations: zones are written in code, and a name can be told to misbehave. It
//! follows CNAMEs within its own zones, and is not recursive: of names in no zone it says REFUSED. It keeps to the datagram
//! size that the query allows and sets TC beyond it.

mod zone;

use alloc::collections::BTreeMap;

use bytes::Bytes;
use hickory_proto::op::{Edns, Header, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};

pub use zone::{Behaviour, Zone};

use super::name::DomainName;
use super::wire::EDNS_PAYLOAD;

/// The datagram that everybody takes (RFC 1035 §4.2.1), in bytes.
const PLAIN_PAYLOAD: usize = 512;

/// CNAMEs followed in one answer; in a loop, what came so far is the answer.
const ALIASES: usize = 16;

/// An authoritative server for some zones.
#[derive(Clone, Debug, Default)]
pub struct Responder {
    /// By their apex.
    zones: BTreeMap<DomainName, Zone>,
}

impl Responder {
    /// A server for these zones; of two with one apex, the later one.
    #[must_use]
    pub fn new(zones: impl IntoIterator<Item = Zone>) -> Self {
        Self { zones: zones.into_iter().map(|zone| (zone.apex().clone(), zone)).collect() }
    }

    /// The reply to `query`, which came over TCP or as a datagram. Neither has a length before it here.
    ///
    /// `None` when there is none: a message without a whole header, one that is itself a reply, or a name told to be silent.
    #[must_use]
    pub fn answer(&self, query: &[u8], tcp: bool) -> Option<Bytes> {
        let mut decoder = BinDecoder::new(query);
        let header = Header::read(&mut decoder).ok()?;
        if header.metadata.message_type != MessageType::Query {
            return None;
        }
        let mut reply = Message::response(header.metadata.id, header.metadata.op_code);
        reply.metadata.recursion_desired = header.metadata.recursion_desired;
        if header.metadata.op_code != OpCode::Query {
            return self.failure(reply, ResponseCode::NotImp);
        }
        if header.counts.queries != 1 {
            return self.failure(reply, ResponseCode::FormErr);
        }
        let Ok(asked) = Message::from_vec(query) else { return self.failure(reply, ResponseCode::FormErr) };
        let limit = match &asked.edns {
            _ if tcp => usize::from(u16::MAX),
            Some(edns) => usize::from(edns.max_payload().min(EDNS_PAYLOAD)).max(PLAIN_PAYLOAD),
            None => PLAIN_PAYLOAD,
        };
        if asked.edns.is_some() {
            let mut edns = Edns::new();
            edns.set_max_payload(EDNS_PAYLOAD);
            reply.set_edns(edns);
        }
        let question = asked.queries.first()?;
        reply.add_query(question.clone());
        self.look_up(&mut reply, question, tcp)?;
        let whole = reply.to_vec().ok()?;
        if whole.len() <= limit {
            return Some(Bytes::from(whole));
        }
        reply.truncate().to_vec().ok().map(Bytes::from)
    }

    fn failure(&self, mut reply: Message, code: ResponseCode) -> Option<Bytes> {
        reply.metadata.response_code = code;
        reply.to_vec().ok().map(Bytes::from)
    }

    /// The lowest zone that holds this name.
    fn zone(&self, name: &DomainName) -> Option<&Zone> {
        let mut apex = name.as_str();
        loop {
            if let Some(zone) = self.zones.get(apex) {
                return Some(zone);
            }
            if apex.is_empty() {
                return None;
            }
            apex = apex.split_once('.').map_or("", |(_, above)| above);
        }
    }

    /// Fills in what the zones say; `None` for silence.
    fn look_up(&self, reply: &mut Message, question: &Query, tcp: bool) -> Option<()> {
        let asked = DomainName::from_wire(&question.name);
        let Some((mut name, mut zone_of)) = asked
            .and_then(|name| self.zone(&name).map(|zone| (name, zone)))
            .filter(|_| question.query_class == DNSClass::IN)
        else {
            reply.metadata.response_code = ResponseCode::Refused;
            return Some(());
        };
        match zone_of.behaviour_of(&name) {
            Behaviour::Normal => {}
            Behaviour::Silent => return None,
            Behaviour::SilentOverTcp if tcp => return None,
            Behaviour::SilentOverTcp | Behaviour::Truncate if !tcp => {
                reply.metadata.truncation = true;
                return Some(());
            }
            Behaviour::SilentOverTcp | Behaviour::Truncate => {}
            Behaviour::ServFail => {
                reply.metadata.response_code = ResponseCode::ServFail;
                return Some(());
            }
            Behaviour::Refuse => {
                reply.metadata.response_code = ResponseCode::Refused;
                return Some(());
            }
        }
        reply.metadata.authoritative = true;
        for _ in 0..ALIASES {
            let found = zone_of.records(&name, question.query_type);
            if !found.is_empty() {
                reply.add_answers(found);
                return Some(());
            }
            let Some((record, target)) = zone_of.alias(&name) else { break };
            reply.add_answer(record);
            // Where the chain leaves our zones the resolver asks on elsewhere.
            let Some(next) = self.zone(&target).filter(|_| question.query_type != RecordType::CNAME) else {
                return Some(());
            };
            (name, zone_of) = (target, next);
        }
        if !zone_of.exists(&name) {
            reply.metadata.response_code = ResponseCode::NXDomain;
        }
        reply.add_authority(zone_of.soa());
        Some(())
    }
}

fn record(owner: Name, ttl: u32, data: RData) -> Record {
    Record::from_rdata(owner, ttl, data)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn responder() -> Responder {
        let zone = Zone::new("example.org")
            .mx("example.org", 10, "mx.example.org")
            .a("mx.example.org", [192, 0, 2, 1])
            .cname("alias.example.org", "mx.example.org")
            .cname("away.example.org", "mx.elsewhere.example")
            .txt("example.org", "v=spf1 mx -all")
            .null_mx("quiet.example.org")
            .a("deep.below.example.org", [192, 0, 2, 2])
            .behaviour("broken.example.org", Behaviour::ServFail)
            .behaviour("silent.example.org", Behaviour::Silent)
            .behaviour("long.example.org", Behaviour::Truncate);
        let many = (0..60).fold(zone, |zone, n| zone.a("many.example.org", [192, 0, 2, n]));
        Responder::new([many])
    }

    fn ask(name: &str, kind: RecordType, tcp: bool, payload: Option<u16>) -> Option<Message> {
        let mut query = Message::new(7, MessageType::Query, OpCode::Query);
        query.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        if let Some(payload) = payload {
            query.set_edns(Edns::new().set_max_payload(payload).clone());
        }
        responder().answer(&query.to_vec().unwrap(), tcp).map(|bytes| Message::from_vec(&bytes).unwrap())
    }

    #[test]
    fn what_is_there_is_said_and_what_is_not_is_told_apart() {
        let code = |name, kind| {
            let reply = ask(name, kind, false, None).unwrap();
            (reply.metadata.response_code, reply.answers.len(), reply.authorities.len())
        };
        use ResponseCode::{NXDomain, NoError, Refused, ServFail};
        assert_eq!(code("EXAMPLE.org.", RecordType::MX), (NoError, 1, 0));
        assert_eq!(code("example.org.", RecordType::TXT), (NoError, 1, 0));
        assert_eq!(code("example.org.", RecordType::A), (NoError, 0, 1));
        assert_eq!(code("quiet.example.org.", RecordType::MX), (NoError, 1, 0));
        assert_eq!(code("alias.example.org.", RecordType::A), (NoError, 2, 0));
        assert_eq!(code("alias.example.org.", RecordType::CNAME), (NoError, 1, 0));
        assert_eq!(code("alias.example.org.", RecordType::MX), (NoError, 1, 1));
        assert_eq!(code("away.example.org.", RecordType::A), (NoError, 1, 0));
        assert_eq!(code("below.example.org.", RecordType::A), (NoError, 0, 1));
        assert_eq!(code("gone.example.org.", RecordType::A), (NXDomain, 0, 1));
        assert_eq!(code("broken.example.org.", RecordType::A), (ServFail, 0, 0));
        assert_eq!(code("example.net.", RecordType::A), (Refused, 0, 0));
        assert!(ask("silent.example.org.", RecordType::A, false, None).is_none());
    }

    #[test]
    fn what_does_not_fit_is_truncated() {
        let size = |tcp, payload| {
            let reply = ask("many.example.org.", RecordType::A, tcp, payload).unwrap();
            (reply.metadata.truncation, reply.answers.len())
        };
        assert_eq!(size(false, None), (true, 0));
        assert_eq!(size(false, Some(512)), (true, 0));
        assert_eq!(size(false, Some(1232)), (false, 60));
        assert_eq!(size(true, None), (false, 60));
        assert!(ask("long.example.org.", RecordType::A, false, Some(1232)).unwrap().metadata.truncation);
        assert!(!ask("long.example.org.", RecordType::A, true, None).unwrap().metadata.truncation);
    }

    #[test]
    fn nonsense_is_answered_or_ignored() {
        let responder = responder();
        assert_eq!(responder.answer(b"", false), None);
        assert_eq!(responder.answer(&[0; 11], false), None);
        assert_eq!(responder.answer(&[0xff; 12], false), None);
        let mut query = vec![0u8; 12];
        query[4..6].copy_from_slice(&[0xff, 0xff]);
        let reply = Message::from_vec(&responder.answer(&query, false).unwrap()).unwrap();
        assert_eq!(reply.metadata.response_code, ResponseCode::FormErr);
    }
}
