//! Messages: what is refused, what is cut short, and that no bytes do harm.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, ResponseCode};
use hickory_proto::rr::DNSClass;

use super::*;
use crate::netd::message::NoQuestion;

/// The bytes of a question, changed.
fn changed(change: impl FnOnce(&mut Message)) -> Vec<u8> {
    let mut message = Message::from_vec(&asked("web.app", RecordType::A)).unwrap();
    change(&mut message);
    message.to_vec().unwrap()
}

/// What is answered at once to bytes that are no question.
fn refused(bytes: &[u8]) -> String {
    match read(bytes) {
        Ok(question) => format!("{:?}", question.name),
        Err(NoQuestion::Silence) => "silence".to_owned(),
        Err(NoQuestion::Answer(bytes)) => {
            let message = Message::from_vec(&bytes).unwrap();
            assert_eq!(
                (message.metadata.id, message.metadata.message_type),
                (7, MessageType::Response)
            );
            format!("{:?} {}", message.metadata.response_code, message.queries.len())
        }
    }
}

#[test]
fn what_is_no_plain_question_is_refused_or_not_answered() {
    let class = |class| changed(|m| m.queries[0].query_class = class);
    let op = |op| changed(|m| m.metadata.op_code = op);
    let kind = |kind| changed(|m| m.queries[0].query_type = kind);
    let edns = |version: u8| {
        changed(|m| {
            m.set_edns(Edns::new()).edns.as_mut().unwrap().set_version(version);
        })
    };
    let mut answer = asked("web.app", RecordType::A);
    answer[2] |= 0x80;
    let mut cut = asked("web.app", RecordType::A);
    cut.truncate(18);
    for (bytes, expected) in [
        (asked("Web.App", RecordType::A), "Some(\"web.app\")"),
        (kind(RecordType::ANY), "NotImp 1"),
        (kind(RecordType::AXFR), "NotImp 1"),
        (kind(RecordType::IXFR), "NotImp 1"),
        (class(DNSClass::CH), "NotImp 1"),
        (class(DNSClass::ANY), "NotImp 1"),
        (op(OpCode::Update), "NotImp 0"),
        (op(OpCode::Notify), "NotImp 0"),
        (op(OpCode::Status), "NotImp 0"),
        (edns(0), "Some(\"web.app\")"),
        (edns(1), "BADVERS 1"),
        (changed(|m| m.queries.clear()), "FormErr 0"),
        (changed(|m| m.queries.push(m.queries[0].clone())), "FormErr 0"),
        (answer, "silence"),
        (cut, "FormErr 0"),
        (vec![0; 11], "silence"),
        (vec![], "silence"),
    ] {
        // One code has two names.
        assert_eq!(refused(&bytes).replace("BADSIG", "BADVERS"), expected, "{bytes:?}");
    }
}

#[test]
fn an_answer_has_the_letters_of_the_question_and_a_second_to_live() {
    let question = question("WeB.app", RecordType::A);
    let reply = Reply::records(vec![question.address(Ipv4Addr::new(10, 42, 0, 11))]);
    let message = Message::from_vec(&question.write(&reply, true)).unwrap();
    assert_eq!(message.answers[0].name.to_ascii(), "WeB.app.");
    assert_eq!(message.answers[0].ttl, 1);
    let flags = message.metadata;
    assert!(flags.authoritative && flags.recursion_desired && flags.recursion_available && !flags.truncation);
    assert!(message.edns.is_none());
    let message = Message::from_vec(&question.write(&Reply::unknown(), true)).unwrap();
    assert_eq!(message.metadata.response_code, ResponseCode::NXDomain);
    let zone = &message.authorities[0];
    assert_eq!((zone.name.to_ascii().as_str(), zone.ttl), ("rancher.internal.", 1));
    assert!(zone.data.to_string().ends_with(" 60 10 86400 1"), "{}", zone.data);
}

#[test]
fn an_answer_that_is_too_large_is_cut_to_nothing_over_udp_alone() {
    let reply = |question: &Question, count: u8| {
        let addresses = (0..count).map(|n| question.address(Ipv4Addr::new(10, 42, 1, n)));
        Reply::records(addresses.collect())
    };
    let payload = |payload: u16| {
        let bytes = changed(|m| {
            m.set_edns(Edns::new()).edns.as_mut().unwrap().set_max_payload(payload);
        });
        read(&bytes).unwrap()
    };
    // A header and a question of 25 bytes, 16 for each address, 11 for what a client can take.
    for (question, most) in [
        (question("web.app", RecordType::A), 30),
        (payload(0), 29),
        (payload(512), 29),
        (payload(1000), 60),
        (payload(1232), 74),
        (payload(65_535), 74),
    ] {
        let written =
            |count, is_datagram| Message::from_vec(&question.write(&reply(&question, count), is_datagram)).unwrap();
        let whole = written(most, true);
        assert!(!whole.metadata.truncation && whole.answers.len() == usize::from(most));
        let cut = written(most + 1, true);
        assert!(
            cut.metadata.truncation && cut.answers.is_empty() && cut.queries.len() == 1,
            "{most}"
        );
        let by_tcp = written(most + 1, false);
        assert!(!by_tcp.metadata.truncation && by_tcp.answers.len() == usize::from(most + 1));
    }
}

#[test]
fn addresses_come_in_any_order_and_names_stay_in_front() {
    let question = question("web", RecordType::A);
    let mut orders = std::collections::BTreeSet::new();
    for seed in 0..400_u128 {
        let mut reply = Reply::records((1..4).map(|n| question.address(Ipv4Addr::new(10, 0, 0, n))).collect());
        reply.records.insert(
            0,
            super::super::message::alias(&question.query.name, "example.com").unwrap(),
        );
        reply.shuffle(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834));
        assert_eq!(reply.records[0].record_type(), RecordType::CNAME);
        orders.insert(
            reply.records[1..]
                .iter()
                .map(|r| r.data.to_string())
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(orders.len(), 6);
    let mut empty = Reply::empty();
    empty.shuffle(1);
}

#[test]
fn an_answer_of_an_upstream_is_passed_on_with_its_code_but_for_two() {
    let upstream = |code, kind| {
        let mut message = Message::response(99, OpCode::Query);
        message.metadata.response_code = code;
        message.add_query(Query::query(Name::from_ascii("example.com.").unwrap(), kind));
        message.to_vec().unwrap()
    };
    let (a, aaaa) = (RecordType::A, RecordType::AAAA);
    for (kind, code, is_known, expected) in [
        (a, ResponseCode::NoError, false, ResponseCode::NoError),
        (a, ResponseCode::NXDomain, false, ResponseCode::NXDomain),
        (a, ResponseCode::ServFail, false, ResponseCode::ServFail),
        (a, ResponseCode::Refused, false, ResponseCode::Refused),
        (aaaa, ResponseCode::NXDomain, false, ResponseCode::NoError),
        (aaaa, ResponseCode::ServFail, false, ResponseCode::ServFail),
        (RecordType::MX, ResponseCode::NXDomain, false, ResponseCode::NXDomain),
        (RecordType::MX, ResponseCode::NXDomain, true, ResponseCode::NoError),
    ] {
        let question = question("example.com", kind);
        let bytes = upstream(code, kind);
        assert!(question.is_answered_by(99, &bytes) && !question.is_answered_by(98, &bytes));
        let message = Message::from_vec(&question.passed_on(bytes, is_known, true)).unwrap();
        assert_eq!(
            (message.metadata.id, message.metadata.response_code),
            (7, expected),
            "{kind} {code}"
        );
    }
    assert!(!question("other.com", a).is_answered_by(99, &upstream(ResponseCode::NoError, a)));
    assert!(!question("example.com", aaaa).is_answered_by(99, &upstream(ResponseCode::NoError, a)));
}

/// Numbers that look random and are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next()).unwrap() % end.max(1)
    }
}

#[test]
fn no_bytes_bring_it_down_or_keep_it_long() {
    let mut w = World::new();
    w.with("web.App", 11, &["running"; 40], |_| {});
    let index = w.index();
    let mut numbers = Numbers(1);
    // A name that points at itself, one that points at the next byte all along, and one of many short labels.
    let mut circle = asked("a", RecordType::A);
    circle.splice(12..15, [0xc0, 12]);
    let mut chain = asked("a", RecordType::A);
    chain.splice(12..15, (7..120_u8).flat_map(|n| [0xc0, n * 2]));
    let long = asked(&"a.".repeat(120), RecordType::A);
    let edns = changed(|m| {
        m.set_edns(Edns::new());
    });
    let seeds = [
        circle,
        chain,
        long,
        edns,
        asked("web.app.rancher.internal", RecordType::A),
    ];
    let (began, mut read_well, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    for round in 0..100_000 {
        let mut bytes = match round % 4 {
            0 => (0..numbers.below(600))
                .map(|_| u8::try_from(numbers.next() % 256).unwrap())
                .collect(),
            _ => seeds[numbers.below(seeds.len())].clone(),
        };
        for _ in 0..numbers.below(6) {
            let (at, byte) = (numbers.below(bytes.len()), u8::try_from(numbers.next() % 256).unwrap());
            match (numbers.below(4), bytes.is_empty()) {
                (0, _) => bytes.truncate(at),
                (1, _) => bytes.insert(at.min(bytes.len()), byte),
                (_, false) => bytes[at] = byte,
                (_, true) => {}
            }
        }
        let one = Instant::now();
        let question = match read(&bytes) {
            Ok(question) => question,
            Err(NoQuestion::Silence) => continue,
            Err(NoQuestion::Answer(answer)) => {
                assert!(Message::from_vec(&answer).is_ok() && answer.len() <= 512, "{bytes:?}");
                continue;
            }
        };
        read_well += 1;
        let decision = decide(&index, ip("10.42.0.11"), || None, &question);
        if let Decision::Answer(reply) = decision {
            assert!(Message::from_vec(&question.write(&reply, true)).is_ok(), "{bytes:?}");
        }
        let _ = question.forwarded(1);
        let _ = question.is_answered_by(7, &bytes);
        let _ = question.passed_on(bytes.clone(), true, true);
        let _ = super::super::message::addresses_in(&bytes);
        slowest = slowest.max(one.elapsed());
    }
    assert!(read_well > 10_000, "{read_well} of them were questions");
    assert!(slowest < Duration::from_secs(1), "one took {slowest:?}");
    assert!(began.elapsed() < Duration::from_secs(120));
}
