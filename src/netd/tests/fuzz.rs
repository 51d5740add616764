//! Anything at all, from whoever can send it: questions, lines of the feed, files, paths. Nothing of it ends the program, keeps
//! it long, or changes what it knows unless it says so.
//!
//! Each runs a bounded number of cases; `DROVER_FUZZ_CASES=100000` runs so many of each. What fails is printed, cut down to
//! the least that fails, and can be put beside the cases of the other tests.

use std::time::{Duration, Instant};

use hyper::Request;
use proptest::prelude::*;

use super::*;
use crate::model::network_table::{Answer, Delta, Feed};
use crate::netd::http::Metadata;
use crate::netd::index::{Line, read_line, read_table};
use crate::netd::message::NoQuestion;
use crate::netd::metadata::{Depth, Edition, Form, View};
use crate::netd::tables::{Loaded, Tables};

/// No case may take longer, on a machine that others use, too.
const LONGEST: Duration = Duration::from_secs(2);

fn config(cases: u32) -> ProptestConfig {
    let asked = std::env::var("DROVER_FUZZ_CASES")
        .ok()
        .and_then(|text| text.parse().ok());
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(asked.unwrap_or(cases))
    }
}

/// A project with everything in it that a question can come across.
fn project() -> Table {
    let mut w = World::new();
    w.with("web.App", 11, &["running", "running unhealthy"], |s| {
        checked(s);
        linked(s, &[("Other/db", "store"), ("App/web", ""), ("App/loop", "l")]);
        s.metadata = serde_json::json!({"a/b": [1, {"name": "x"}, null], "": {"": ""}})
            .as_object()
            .unwrap()
            .clone();
    });
    w.with("db.Other", 20, &["stopped"], |_| {});
    w.service("far.App", "externalService", |s| {
        s.hostname = Some("loop.app.rancher.internal".into())
    });
    w.service("loop.App", "dnsService", |s| {
        linked(s, &[("App/far", ""), ("App/loop", ""), ("Other/db", "")])
    });
    w.container("lone", 30, |c| {
        c.links = [("me".to_owned(), "uuid-lone".to_owned())].into()
    });
    w.0
}

/// Bytes that begin as something does, and go on as nothing does.
fn bent(seed: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let bends = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..5_u8), 0..8);
    bends.prop_map(move |bends| {
        let mut bytes = seed.clone();
        for (at, byte, how) in bends {
            let at = at.index(bytes.len().max(1));
            match how {
                0 => bytes.truncate(at),
                1 => bytes.insert(at.min(bytes.len()), byte),
                2 => bytes.extend_from_within(at.min(bytes.len())..),
                _ => {
                    if let Some(place) = bytes.get_mut(at) {
                        *place = byte;
                    }
                }
            }
        }
        bytes
    })
}

/// Messages: of any bytes; questions with something wrong in them; names that point at themselves, at each other, and at what
/// is not there.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let names = [
        "web",
        "web.app.rancher.internal",
        "loop.app.rancher.internal",
        "far.app",
        "l",
        "me",
        ".",
    ];
    let kinds = [
        RecordType::A,
        RecordType::AAAA,
        RecordType::CNAME,
        RecordType::ANY,
        RecordType::AXFR,
        RecordType::TXT,
    ];
    let question = (
        prop::sample::select(names.to_vec()),
        prop::sample::select(kinds.to_vec()),
    );
    let pointers = proptest::collection::vec((0..64_u8, 0..255_u8), 1..120).prop_map(|pointers| {
        let mut bytes = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        bytes.extend(pointers.into_iter().flat_map(|(high, low)| [0xc0 | high, low]));
        bytes
    });
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..5_000),
        question.prop_flat_map(|(name, kind)| bent(asked(name, kind))),
        pointers,
    ]
}

/// Lines: of any bytes; true ones with something wrong in them; and JSON of another shape.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let snapshot = serde_json::to_vec(&Feed::Snapshot(Box::new(project()))).unwrap();
    let mut next = project();
    next.number = 2;
    next.containers.remove("uuid-lone");
    next.gateway = "10.42.0.9".into();
    let delta = serde_json::to_vec(&Feed::Delta(Box::new(project().delta_to(&next)))).unwrap();
    let shapes = [
        "{\"snapshot\":{\"containers\":{\"a\":{},\"a\":{\"name\":\"b\"}},\"containers\":{}}}",
        "{\"delta\":{\"after\":1,\"number\":0,\"containers\":{\"x\":null},\"services\":{\"no/pe\":null}}}",
        "{\"delta\":{\"after\":1,\"number\":18446744073709551615,\"head\":{\"subnet\":\"0.0.0.0/0\"}}}",
        "{\"snapshot\":{\"services\":{\"k\":{\"containers\":[\"a\",\"a\",\"a\"],\"links\":{\"/\":\"\",\"\":\"x\"}}}}}",
        "{\"probe\":{\"number\":1}}",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    ];
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..2_000),
        bent(snapshot),
        bent(delta),
        prop::sample::select(shapes.to_vec()).prop_flat_map(|shape| bent(shape.as_bytes().to_vec())),
    ]
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn any_message_is_answered_refused_or_left_alone(bytes in messages(), from in 0..40_u8) {
        let index = Index::new(project());
        let begun = Instant::now();
        match read(&bytes) {
            Ok(question) => {
                if let Decision::Answer(reply) = decide(&index, ip(&format!("10.42.0.{from}")), || None, &question) {
                    let (short, long) = (question.write(&reply, true), question.write(&reply, false));
                    prop_assert!(short.len() <= 1232 && Message::from_vec(&short).is_ok() && Message::from_vec(&long).is_ok());
                }
                prop_assert!(question.forwarded(1).len() <= 512);
            }
            Err(NoQuestion::Answer(answer)) => {
                prop_assert!(answer.len() <= 512 && Message::from_vec(&answer).is_ok());
                // The name that was asked, and what an answer has: nobody is flooded by way of us.
                prop_assert!(answer.len() <= bytes.len() + 255 + 11, "{} of {}", answer.len(), bytes.len());
            }
            Err(NoQuestion::Silence) => {}
        }
        prop_assert!(begun.elapsed() < LONGEST);
    }
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn any_line_is_taken_whole_or_not_at_all(line in lines()) {
        let begun = Instant::now();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("table.json");
        let tables = Tables::open(file.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let first = serde_json::to_vec(&Feed::Snapshot(Box::new(project()))).unwrap();
        prop_assert_eq!(runtime.block_on(tables.take(first)), Answer::Applied(1));
        let answer = runtime.block_on(tables.take(line.clone()));
        let now = tables.now().index.table();
        match answer {
            Answer::Applied(number) => {
                prop_assert_eq!(now.number, number);
                // It is what it says.
                let told: Feed = serde_json::from_slice(&line).unwrap();
                match told {
                    Feed::Snapshot(table) => prop_assert_eq!(table.containers.len(), now.containers.len()),
                    Feed::Delta(delta) => {
                        let mut expected = project();
                        prop_assert!(expected.apply(*delta));
                        prop_assert_eq!(&expected, &now);
                    }
                    Feed::Probe(_) => prop_assert!(false, "a probe is no table"),
                }
            }
            Answer::Refused(_) | Answer::Behind(1) => prop_assert_eq!(&now, &project()),
            other => prop_assert!(false, "{:?}", other),
        }
        // Whoever starts again with its file knows the same.
        prop_assert_eq!(&Tables::open(file).now().index.table(), &now);
        prop_assert!(begun.elapsed() < LONGEST);
    }

    #[test]
    fn any_file_is_read_or_not(bytes in lines()) {
        let begun = Instant::now();
        if let Ok((index, length)) = read_table(bytes.as_slice()) {
            prop_assert!(length <= bytes.len());
            let text = serde_json::to_vec(&index).unwrap();
            prop_assert_eq!(read_table(text.as_slice()).unwrap().0.table(), index.table());
        }
        if let Ok(Line::Snapshot(index)) = read_line(&bytes) {
            let gone = Delta {
                after: index.rest().number,
                containers: index.table().containers.into_keys().map(|uuid| (uuid, None)).collect(),
                services: index.table().services.into_keys().map(|key| (key, None)).collect(),
                ..Delta::default()
            };
            let mut index = *index;
            prop_assert!(index.apply(gone));
            prop_assert_eq!((index.words(), index.table().containers.len()), (0, 0));
        }
        prop_assert!(begun.elapsed() < LONGEST);
    }

    #[test]
    fn any_path_leads_somewhere_or_nowhere(
        parts in proptest::collection::vec(prop_oneof![
            prop::sample::select(vec![
                "latest", "2015-07-25", "2015-12-19", "self", "containers", "services", "stacks", "hosts", "networks", "0",
                "18446744073709551616", "-1", "web", "App", "labels", "metadata", "a%2Fb", "%2f", "..", ".", "", "+", "%", "%zz", "%00",
                "version", "links", "environments", "service", "stack", "container", "token",
            ]).prop_map(str::to_owned),
            "[ -~]{0,12}",
        ], 0..8),
        query in "(wait=(true|false|x)|value=[a-z%&=]{0,5}|maxWait=(1|0|-1|99999999999999999999)|&){0,4}",
        accept in "(text/plain|application/json|application/\\*|\\*/\\*|text/yaml|;q=[0-9.e-]{0,4}|,| ){0,5}",
        from in 0..40_u8,
    ) {
        let begun = Instant::now();
        let loaded = Loaded::new(Index::new(project()));
        for (_, edition) in Edition::NAMES {
            let view = View::new(&loaded, edition, ip(&format!("10.42.0.{from}")));
            for (depth, form) in [(Depth::Listing, Form::Text), (Depth::Whole, Form::Json), (Depth::Whole, Form::Yaml)] {
                if let Some(value) = view.find(&parts, depth) {
                    prop_assert!(form.write(value).len() < 1024 * 1024);
                }
            }
        }
        let path = format!("/{}?{}", parts.join("/").replace([' ', '#', '?', '"', '<', '>', '`', '{', '}', '\\', '^', '|'], "_"), query.replace("wait=true", "wait=t"));
        let Ok(request) = Request::get(path.as_str()).header("accept", accept).body(()) else {
            return Ok(());
        };
        let folder = tempfile::tempdir().unwrap();
        let tables = Tables::open(folder.path().join("table.json"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let response = runtime.block_on(Metadata::new(tables).respond(&request, ip("127.0.0.1")));
        prop_assert!([200, 301, 400, 404].contains(&response.status().as_u16()), "{}: {}", path, response.status());
        prop_assert!(begun.elapsed() < LONGEST);
    }
}
