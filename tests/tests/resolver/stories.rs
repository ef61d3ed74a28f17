//! Single situations, with the exact answer and the exact questions.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use pillarbox_core::dns::responder::{Behaviour, Responder, Zone};
use pillarbox_core::dns::{Answer, Config, Limits, LookupId, MxHost, Resolver, ResolverStep, StreamId};
use pillarbox_core::{Mono, Seed};

use super::net::{Net, Server, a, cname, mx, question, reply, server, soa};

fn hosts(answer: Answer) -> Vec<MxHost> {
    match answer {
        Answer::Hosts(hosts) => hosts,
        answer => panic!("{answer:?}"),
    }
}

fn names(answer: Answer) -> Vec<String> {
    hosts(answer).into_iter().map(|host| host.name).collect()
}

fn zone() -> Zone {
    Zone::new("example.org").mx("example.org", 10, "mx.example.org").a("mx.example.org", [192, 0, 2, 1])
}

fn one(zone: Zone) -> Net {
    Net::one(Responder::new([zone]))
}

fn custom(answer: impl FnMut(&[u8]) -> Bytes + 'static) -> Server {
    let mut answer = answer;
    Server::Custom(Box::new(move |query| vec![(server(1), answer(query))]))
}

fn temporary(answer: Answer) -> String {
    match answer {
        Answer::Temporary(words) => words,
        answer => panic!("{answer:?}"),
    }
}

#[test]
fn exchangers_come_in_order_of_preference_with_both_kinds_of_address() {
    let zone = zone()
        .mx("example.org", 30, "c.example.org")
        .mx("example.org", 5, "a.example.org")
        .a("a.example.org", [192, 0, 2, 2])
        .aaaa("a.example.org", [0x2001, 0xdb8, 0, 0, 0, 0, 0, 2])
        .a("c.example.org", [192, 0, 2, 3]);
    let found = hosts(one(zone).mx("Example.ORG."));
    assert_eq!(found.iter().map(|host| host.preference).collect::<Vec<_>>(), [5, 10, 30]);
    assert_eq!(found[0].name, "a.example.org");
    let addresses: [IpAddr; 2] = ["192.0.2.2".parse().unwrap(), "2001:db8::2".parse().unwrap()];
    assert_eq!(found[0].addresses, addresses);
}

#[test]
fn equal_preferences_are_shuffled_from_the_cache_too() {
    let zone = (0..4).fold(Zone::new("example.org"), |zone, n| {
        let host = format!("mx{n}.example.org");
        zone.mx("example.org", 10, &host).a(&host, [192, 0, 2, n])
    });
    let mut net = one(zone);
    let orders: BTreeSet<_> = (0..40).map(|_| names(net.mx("example.org"))).collect();
    assert!(orders.len() > 10, "{orders:?}");
    assert_eq!(net.seen.len(), 9, "all but the first came from the cache");
}

#[test]
fn without_mx_the_domain_is_its_own_exchanger() {
    let mut net = one(Zone::new("example.org").a("example.org", [192, 0, 2, 7]));
    let found = hosts(net.mx("example.org"));
    assert_eq!((found.len(), found[0].preference, found[0].name.as_str()), (1, 0, "example.org"));
    assert_eq!(net.asked(), ["example.org MX", "example.org A", "example.org AAAA"]);
}

#[test]
fn mx_records_without_addresses_are_no_reason_for_the_implicit_mx() {
    let zone = Zone::new("example.org").mx("example.org", 1, "gone.example.org").a("example.org", [192, 0, 2, 7]);
    assert_eq!(one(zone).mx("example.org"), Answer::NoAddress);
}

#[test]
fn a_host_without_address_stays_in_its_place() {
    let found = hosts(one(zone().mx("example.org", 1, "gone.example.org")).mx("example.org"));
    assert_eq!(found[0], MxHost { preference: 1, name: "gone.example.org".into(), addresses: vec![] });
    assert_eq!(found[1].name, "mx.example.org");
}

#[test]
fn null_mx_means_no_mail() {
    assert_eq!(one(Zone::new("example.org").null_mx("example.org")).mx("example.org"), Answer::NullMx);
    assert_eq!(names(one(zone().null_mx("example.org")).mx("example.org")), ["mx.example.org"]);
}

#[test]
fn no_such_domain_is_told_from_nothing_there() {
    let mut net = one(zone().txt("text.example.org", "here"));
    assert_eq!(net.mx("gone.example.org"), Answer::NoSuchDomain);
    assert_eq!(net.mx("text.example.org"), Answer::NoAddress);
    assert_eq!(net.host("gone.example.org"), Answer::NoSuchDomain);
    assert_eq!(net.host("text.example.org"), Answer::NoAddress);
}

#[test]
fn eight_cnames_are_followed_and_nine_are_not() {
    // One server follows them itself; the other leaves each step to us.
    let chain = |n: u8| {
        (0..n).fold(zone(), |zone, step| {
            let target = if step + 1 == n { "example.org".into() } else { format!("c{}.example.org", step + 1) };
            zone.cname(&format!("c{step}.example.org"), &target)
        })
    };
    assert_eq!(names(one(chain(8)).mx("c0.example.org")), ["mx.example.org"]);
    assert!(temporary(one(chain(9)).mx("c0.example.org")).contains("too many CNAMEs"));

    for (length, ends) in [(8, true), (9, false)] {
        let mut net = Net::new(vec![custom(move |query| {
            let (name, kind, _) = question(query);
            let step: u8 = name.strip_prefix('c').and_then(|rest| rest.split('.').next()?.parse().ok()).unwrap_or(99);
            match kind {
                _ if step + 1 < length => reply(query, 0, [&[cname(&name, &format!("c{}.test", step + 1))], &[], &[]]),
                _ if step < length => reply(query, 0, [&[cname(&name, "end.test")], &[], &[]]),
                "MX" => reply(query, 0, [&[mx(&name, 60, 1, "mx.test")], &[], &[]]),
                "A" => reply(query, 0, [&[a(&name, 60, [192, 0, 2, 9])], &[], &[]]),
                _ => reply(query, 0, [&[], &[], &[]]),
            }
        })]);
        let answer = net.mx("c0.test");
        if ends {
            assert_eq!(names(answer), ["mx.test"]);
        } else {
            assert!(temporary(answer).contains("too many CNAMEs"));
        }
    }
}

#[test]
fn cname_loops_end_in_one_message_and_over_several() {
    let looped = zone().cname("a.example.org", "b.example.org").cname("b.example.org", "a.example.org");
    assert!(temporary(one(looped).mx("a.example.org")).contains("loop"));
    let mut net = Net::new(vec![custom(|query| {
        let target = if question(query).0 == "a.test" { "b.test" } else { "a.test" };
        reply(query, 0, [&[cname(&question(query).0, target)], &[], &[]])
    })]);
    assert!(temporary(net.mx("a.test")).contains("too many CNAMEs"));
    assert_eq!(net.seen.len(), 2, "the rest came from the cache");
}

#[test]
fn the_implicit_mx_of_an_alias_is_its_end() {
    let zone =
        Zone::new("example.org").cname("www.example.org", "web.example.org").a("web.example.org", [192, 0, 2, 8]);
    assert_eq!(names(one(zone).mx("www.example.org")), ["web.example.org"]);
}

#[test]
fn an_exchanger_that_is_an_alias_keeps_its_name() {
    let zone = zone().mx("alias.example.org", 1, "m.example.org").cname("m.example.org", "mx.example.org");
    let found = hosts(one(zone).mx("alias.example.org"));
    assert_eq!((found[0].name.as_str(), found[0].addresses.len()), ("m.example.org", 1));
}

#[test]
fn answers_are_kept_for_their_ttl() {
    let mut net = one(zone().ttl(100));
    net.mx("example.org");
    let first = net.seen.len();
    net.pass(59);
    net.mx("example.org");
    assert_eq!(net.seen.len(), first);
    net.pass(241);
    net.mx("example.org");
    assert_eq!(net.seen.len(), 2 * first, "300 s have passed");
}

#[test]
fn nothing_is_kept_for_the_soas_minimum() {
    let mut net = one(zone().negative_ttl(20));
    for (after, seen) in [(0, 1), (19, 1), (1, 2)] {
        net.pass(after);
        assert_eq!(net.mx("gone.example.org"), Answer::NoSuchDomain);
        assert_eq!(net.seen.len(), seen);
    }
    assert_eq!(net.host("gone.example.org"), Answer::NoSuchDomain);
    assert_eq!(net.seen.len(), 2, "a name that does not exist has no addresses either");
}

#[test]
fn nothing_without_an_soa_and_ttl_zero_are_not_kept() {
    let mut net = Net::new(vec![custom(|query| reply(query, 3, [&[], &[], &[]]))]);
    assert_eq!([net.mx("a.test"), net.mx("a.test")], [Answer::NoSuchDomain, Answer::NoSuchDomain]);
    assert_eq!(net.seen.len(), 2);
    let mut net =
        one(Zone::new("example.org").ttl(0).mx("example.org", 1, "example.org").a("example.org", [1, 1, 1, 1]));
    assert_eq!(names(net.mx("example.org")), ["example.org"]);
    assert_eq!(names(net.mx("example.org")), ["example.org"]);
    assert!(net.asked().iter().filter(|asked| *asked == "example.org MX").count() == 2);
}

#[test]
fn huge_lifetimes_are_clamped() {
    for (ttl, after, kept) in [(i32::MAX as u32, 86_399, true), (i32::MAX as u32, 86_400, false), (1 << 31, 0, false)] {
        let mut net = Net::new(vec![custom(move |query| match question(query) {
            (name, "A", _) => reply(query, 0, [&[a(&name, ttl, [192, 0, 2, 1])], &[], &[]]),
            _ => reply(query, 0, [&[], &[soa("test", u32::MAX >> 1, u32::MAX >> 1)], &[]]),
        })]);
        net.host("a.test");
        net.pass(after);
        net.host("a.test");
        assert_eq!(net.asked().iter().filter(|asked| asked.ends_with(" A")).count(), if kept { 1 } else { 2 });
        // There is none: believed for an hour at most.
        assert_eq!(net.asked().iter().filter(|asked| asked.ends_with(" AAAA")).count(), if after > 0 { 2 } else { 1 });
    }
}

#[test]
fn truncation_leads_to_tcp() {
    let mut net = one(zone().behaviour("example.org", Behaviour::Truncate));
    assert_eq!(names(net.mx("example.org")), ["mx.example.org"]);
    assert!(net.seen[1].tcp && net.seen[1].id != net.seen[0].id);
    let mut net = one(zone().behaviour("example.org", Behaviour::SilentOverTcp));
    assert!(temporary(net.mx("example.org")).contains("does not answer"));
    assert_eq!(net.streams.len(), 3, "one for each try, and no more");
}

#[test]
fn a_dead_server_costs_one_timeout_and_is_asked_last_from_then_on() {
    let mut net = Net::new(vec![Server::Dead, Server::Up(Responder::new([zone()]))]);
    assert_eq!(names(net.mx("example.org")), ["mx.example.org"]);
    let tries: Vec<_> = net.seen.iter().map(|seen| (seen.server, seen.at.as_secs())).collect();
    assert_eq!(tries, [(1, 0), (2, 1), (2, 1), (2, 1)]);
    net.pass(30);
    net.mx("other.example.org");
    assert_eq!(net.seen[4].server, 1, "it gets another chance");
}

#[test]
fn timeouts_grow_and_every_try_has_its_own_port_and_id() {
    let mut net = Net::new(vec![Server::Dead, Server::Dead]);
    assert!(temporary(net.mx("example.org")).contains("neither"));
    let tries: Vec<_> = net.seen.iter().map(|seen| (seen.server, seen.at.as_secs())).collect();
    assert_eq!(tries, [(1, 0), (2, 1), (1, 2), (2, 4), (1, 6), (2, 10)]);
    assert_eq!(net.now - Mono(1_000_000_000), Duration::from_secs(14));
    let ids: BTreeSet<_> = net.seen.iter().map(|seen| (seen.socket, seen.id)).collect();
    assert_eq!(ids.len(), 6);
    // Briefly, the failure itself is remembered.
    temporary(net.mx("example.org"));
    assert_eq!(net.seen.len(), 6);
    net.pass(5);
    temporary(net.mx("example.org"));
    assert_eq!(net.seen.len(), 12);
}

#[test]
fn a_server_that_will_not_say_is_not_asked_twice() {
    let mut broken = Net::new(vec![Server::Up(Responder::new([])), Server::Up(Responder::new([zone()]))]);
    assert_eq!(names(broken.mx("example.org")), ["mx.example.org"]);
    let mut broken = one(zone().behaviour("example.org", Behaviour::ServFail));
    let words = temporary(broken.mx("example.org"));
    assert_eq!(words, "MX of example.org: 192.0.2.53:1 answered SERVFAIL");
    assert_eq!(broken.seen.len(), 1);
    let mut one_host = one(zone().behaviour("mx.example.org", Behaviour::Refuse));
    assert!(temporary(one_host.mx("example.org")).contains("REFUSED"));
}

#[test]
fn edns_is_left_out_for_servers_that_dislike_it() {
    let plain = Responder::new([zone()]);
    let mut net = Net::new(vec![Server::Custom(Box::new(move |query| {
        let (_, _, end) = question(query);
        let bytes =
            if query.len() > end { reply(query, 1, [&[], &[], &[]]) } else { plain.answer(query, false).unwrap() };
        vec![(server(1), bytes)]
    }))]);
    assert_eq!(names(net.mx("example.org")), ["mx.example.org"]);
    assert_eq!(net.seen.iter().take(2).map(|seen| seen.edns).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn a_referral_is_no_answer() {
    let ns = super::net::record("org", 2, 60, &super::net::wire("ns.org"));
    let mut net = Net::new(vec![custom(move |query| reply(query, 0, [&[], std::slice::from_ref(&ns), &[]]))]);
    assert!(temporary(net.mx("example.org")).contains("referral"));
}

#[test]
fn what_does_not_match_is_dropped() {
    type Lie = fn(&[u8], Bytes) -> (SocketAddr, Vec<u8>);
    let lies: [(&str, Lie); 8] = [
        ("another id", |_, good| {
            (server(1), {
                let mut bad = good.to_vec();
                bad[0] ^= 1;
                bad
            })
        }),
        ("another name", |_, good| {
            (server(1), {
                let mut bad = good.to_vec();
                bad[13] ^= 1;
                bad
            })
        }),
        ("another kind", |query, good| {
            (server(1), {
                let mut bad = good.to_vec();
                bad[question(query).2 - 3] ^= 2;
                bad
            })
        }),
        ("another class", |query, good| {
            (server(1), {
                let mut bad = good.to_vec();
                bad[question(query).2 - 1] = 3;
                bad
            })
        }),
        ("another address", |_, good| (SocketAddr::from(([192, 0, 2, 54], 1)), good.to_vec())),
        ("another port", |_, good| (server(54), good.to_vec())),
        ("a query", |query, _| (server(1), query.to_vec())),
        ("no question", |_, good| {
            (server(1), {
                let mut bad = good.to_vec();
                bad[5] = 0;
                bad
            })
        }),
    ];
    for (what, lie) in lies {
        let honest = Responder::new([zone()]);
        let mut net = Net::new(vec![Server::Custom(Box::new(move |query| {
            let (from, bad) = lie(query, reply(query, 3, [&[], &[], &[]]));
            vec![(from, Bytes::from(bad)), (server(1), honest.answer(query, false).unwrap())]
        }))]);
        assert_eq!(names(net.mx("example.org")), ["mx.example.org"], "{what}");
        assert_eq!(net.seen.len(), 3, "{what}");
    }
}

#[test]
fn the_case_of_the_question_does_not_matter() {
    let honest = Responder::new([zone()]);
    let mut net = Net::new(vec![custom(move |query| {
        let mut shouted = query.to_vec();
        let end = question(query).2 - 5;
        shouted[12..end].make_ascii_uppercase();
        honest.answer(&shouted, false).unwrap()
    })]);
    assert_eq!(names(net.mx("example.org")), ["mx.example.org"]);
}

#[test]
fn a_guesser_drives_the_question_to_tcp() {
    let honest = Responder::new([zone()]);
    let mut queries = 0;
    let mut net = Net::new(vec![Server::Custom(Box::new(move |query| {
        queries += 1;
        if queries != 1 {
            return vec![(server(1), honest.answer(query, false).unwrap())];
        }
        let mut bad = reply(query, 0, [&[mx("example.org", 9, 1, "evil.test")], &[], &[]]).to_vec();
        bad[0] ^= 0x55;
        vec![(server(1), Bytes::from(bad)); 16]
    }))]);
    assert_eq!(names(net.mx("example.org")), ["mx.example.org"]);
    assert!(net.seen[1].tcp);
}

#[test]
fn what_was_not_asked_is_not_believed() {
    // Each answer also brings records for a name that was not asked for, in every section, and for the exchanger.
    let mut net = Net::new(vec![custom(|query| {
        let extra = [a("victim.test", 9999, [203, 0, 113, 66]), a("mx.test", 9999, [203, 0, 113, 66])];
        match question(query) {
            (name, "MX", _) => {
                let other = if name == "one.test" { "victim.test" } else { "one.test" };
                let answers = [&[mx(&name, 60, 1, "mx.test"), mx(other, 60, 1, "evil.test")], &extra[..]].concat();
                reply(query, 0, [&answers, &extra, &extra])
            }
            (name, "A", _) => reply(query, 0, [&[a(&name, 60, [192, 0, 2, 1])], &extra[..1], &extra[..1]]),
            _ => reply(query, 0, [&[], &[], &extra]),
        }
    })]);
    let good: IpAddr = [192, 0, 2, 1].into();
    assert_eq!(hosts(net.mx("one.test"))[0].addresses, [good]);
    assert_eq!(hosts(net.host("victim.test"))[0].addresses, [good]);
    assert_eq!(names(net.mx("victim.test")), ["mx.test"]);
}

#[test]
fn an_soa_of_another_zone_says_nothing() {
    let mut net = Net::new(vec![custom(|query| reply(query, 3, [&[], &[soa("elsewhere.test", 600, 600)], &[]]))]);
    net.mx("gone.example");
    net.mx("gone.example");
    assert_eq!(net.seen.len(), 2, "not kept");
}

#[test]
fn sixteen_exchangers_and_four_addresses_are_enough() {
    let zone = (0..17).fold(Zone::new("example.org"), |zone, n| {
        let host = format!("mx{n}.example.org");
        (0..5).fold(zone.mx("example.org", 17 - n, &host), |zone, m| {
            zone.a(&host, [10, 0, n as u8, m]).aaaa(&host, [0x2001, 0xdb8, 0, 0, 0, 0, n, u16::from(m)])
        })
    });
    let mut net = one(zone);
    let found = hosts(net.mx("example.org"));
    assert_eq!(found.len(), 16);
    assert!(found.iter().all(|host| host.name != "mx0.example.org" && host.addresses.len() == 4));
    assert_eq!(found[0].addresses.iter().filter(|address| address.is_ipv4()).count(), 2);
}

#[test]
fn names_that_are_none_are_refused_at_once_and_unicode_becomes_ascii() {
    let mut net = one(Zone::new("xn--bcher-kva.example").a("xn--bcher-kva.example", [192, 0, 2, 5]));
    assert_eq!(names(net.mx("Bücher.example")), ["xn--bcher-kva.example"]);
    for bad in ["", ".", "a..b", "a b.example", "evil\r\n.example", "[192.0.2.1]", &"a".repeat(300)] {
        assert!(matches!(net.mx(bad), Answer::BadName(why) if !why.contains(['\r', '\n'])), "{bad:?}");
    }
}

#[test]
fn evil_names_in_answers_go_nowhere() {
    let mut net = Net::new(vec![custom(|query| match question(query).1 {
        "MX" => {
            reply(query, 0, [&[mx("evil.test", 60, 1, "mx\r\nRCPT TO"), mx("evil.test", 60, 1, "a b.test")], &[], &[]])
        }
        _ => reply(query, 0, [&[cname("evil.test", "x\0y.test")], &[], &[]]),
    })]);
    assert_eq!(net.mx("evil.test"), Answer::NoAddress);
    assert!(temporary(net.host("evil.test")).contains("no host name"));
}

#[test]
fn addresses_need_no_lookup() {
    let mut net = Net::new(vec![]);
    for (text, address) in [
        ("192.0.2.9", "192.0.2.9"),
        ("[192.0.2.9]", "192.0.2.9"),
        ("::1", "::1"),
        ("[IPv6:2001:db8::1]", "2001:db8::1"),
    ] {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(hosts(net.host(text))[0].addresses, [address]);
    }
    assert_eq!(hosts(net.host("localhost"))[0].addresses.len(), 2);
    assert!(temporary(net.host("mx.example.org")).contains("no DNS server"));
}

#[test]
fn a_hundred_lookups_of_one_name_ask_once() {
    let mut net = one(zone());
    for n in 0..100 {
        net.resolver.lookup_mx(net.time(), LookupId(n), "example.org");
    }
    assert_eq!(net.run().len(), 100);
    assert_eq!(net.seen.len(), 3);
}

#[test]
fn the_bounds_hold_and_the_rest_waits_or_fails_at_once() {
    let limits = Limits { in_flight: 2, lookups: 3, waiting: 5, ..Limits::default() };
    let mut net = Net::with(vec![Server::Dead], limits, 1);
    for n in 0..20 {
        net.resolver.lookup_mx(net.time(), LookupId(n), &format!("d{n}.test"));
    }
    let (mut sends, mut refused) = (0, 0);
    loop {
        match net.resolver.poll(net.time()) {
            ResolverStep::Send { .. } => sends += 1,
            ResolverStep::Answer { answer, .. } => refused += usize::from(temporary(answer).contains("too many")),
            ResolverStep::Wait { .. } => break,
            step => panic!("{step:?}"),
        }
    }
    assert_eq!((sends, refused), (2, 12));
}

#[test]
fn a_cancelled_lookup_is_never_answered() {
    let mut net = Net::new(vec![Server::Dead]);
    for n in 0..3 {
        net.resolver.lookup_mx(net.time(), LookupId(n), "example.org");
    }
    net.resolver.lookup_host(net.time(), LookupId(3), "192.0.2.1");
    net.resolver.cancel(LookupId(3));
    net.resolver.cancel(LookupId(1));
    assert_eq!(net.run().iter().map(|(id, _)| id.0).collect::<Vec<_>>(), [0, 2]);
    net.resolver.lookup_mx(net.time(), LookupId(9), "other.org");
    net.resolver.cancel(LookupId(9));
    assert!(net.run().is_empty());
    assert!(net.open.is_empty());
}

#[test]
fn a_lookup_answers_within_its_time_with_what_it_has() {
    // Of two exchangers one never answers; the lookup's own limit comes first.
    let limits = Limits { lookup_timeout: Duration::from_secs(2), ..Limits::default() };
    let responder = Responder::new([zone()
        .mx("example.org", 5, "dead.example.org")
        .behaviour("dead.example.org", Behaviour::Silent)]);
    let mut net = Net::with(vec![Server::Up(responder)], limits, 1);
    let found = hosts(net.mx("example.org"));
    assert_eq!(found.iter().map(|host| host.addresses.len()).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(net.now - Mono(1_000_000_000), Duration::from_secs(2));
}

#[test]
fn other_servers_may_say_other_things() {
    let mut net = Net::new(vec![Server::Up(Responder::new([zone()])), Server::Up(Responder::new([zone()]))]);
    net.mx("example.org");
    net.resolver.reload(Config { servers: vec![server(2)], limits: Limits::default() });
    net.mx("example.org");
    assert_eq!(net.seen.iter().map(|seen| seen.server).collect::<Vec<_>>(), [1, 1, 1, 2, 2, 2]);
    net.resolver.reload(Config { servers: vec![server(2)], limits: Limits { cache_entries: 0, ..Limits::default() } });
    net.mx("example.org");
    assert_eq!(net.seen.len(), 9);
    net.resolver.stream_answer(net.time(), StreamId(7), None);
    let mut empty = Resolver::new(Config::default(), &Seed::number(1));
    assert_eq!(empty.poll(net.time()), ResolverStep::Wait { until: None });
}
