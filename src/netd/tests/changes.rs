//! An index that is changed entry by entry is the one that is made of the whole table, and keeps nothing of what is gone.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::network_table::{Feed, Network, Port};
use crate::netd::index::{Line, read_line, read_table};
use crate::netd::metadata::{Depth, Edition, Form, View};
use crate::netd::saved::Saved;
use crate::netd::tables::Loaded;

/// Names, of which some differ in their letters alone, and one looks like two.
const NAMES: [&str; 6] = ["web", "Web", "db", "app-web-1", "a.b", "rancher-metadata"];
const STACKS: [&str; 3] = ["App", "app", "other"];
const STATES: [&str; 4] = ["running", "starting", "stopped", "running"];
const HEALTH: [&str; 4] = ["healthy", "", "unhealthy", "initializing"];

/// One change: of which entry, and numbers that decide what it becomes.
type Change = (u8, u8, u64);

fn pick<'a>(of: &[&'a str], bits: u64, shift: u32) -> &'a str {
    of[usize::try_from((bits >> shift) % of.len() as u64).unwrap()]
}

fn uuid(kind: &str, nth: u8) -> String {
    // Some are uuids, and some are anything.
    match nth % 2 {
        0 => format!("0190f3a0-0000-7000-8000-0000000000{nth:02x}"),
        _ => format!("{kind}-{nth}"),
    }
}

fn container(nth: u8, bits: u64) -> Container {
    let is_of_service = bits & 1 == 1;
    let service = nth % 5;
    Container {
        name: pick(&NAMES, bits, 1).into(),
        uuid: uuid("c", nth),
        external_id: format!("{:064x}", bits),
        state: pick(&STATES, bits, 4).into(),
        health_state: Some(pick(&HEALTH, bits, 6).into()),
        primary_ip: Some(format!("10.42.0.{}", bits >> 8 & 7)),
        managed: bits & 8 != 0,
        dns: vec![format!("192.0.2.{}", bits >> 11 & 1)],
        dns_search: vec![format!("{}.rancher.internal", pick(&STACKS, bits, 12).to_lowercase())],
        labels: [("io.rancher.stack.name".into(), pick(&STACKS, bits, 12).into())].into(),
        links: [(
            pick(&NAMES, bits, 14).to_owned(),
            uuid("c", (bits >> 16 & 7).try_into().unwrap()),
        )]
        .into(),
        service_uuid: is_of_service.then(|| uuid("s", service)),
        service_name: is_of_service.then(|| pick(&NAMES, service.into(), 0).to_owned()),
        ports: vec![Port {
            host_ip: "192.0.2.10".into(),
            public: 8080,
            private: 80,
            protocol: "tcp".into(),
            ip: None,
        }],
        create_index: Some(-i64::from(nth)),
        ..Container::default()
    }
}

fn service(nth: u8, bits: u64) -> (String, Service) {
    let name = pick(&NAMES, nth.into(), 0);
    let kind = pick(&["service", "service", "dnsService", "externalService"], bits, 0);
    let path = |shift: u32| format!("{}/{}", pick(&STACKS, bits, shift), pick(&NAMES, bits, shift + 2));
    let service = Service {
        name: name.into(),
        uuid: uuid("s", nth),
        kind: kind.into(),
        stack_name: pick(&STACKS, bits, 2).into(),
        stack_uuid: format!("stack-{}", pick(&STACKS, bits, 2)),
        primary_service_name: if bits >> 4 & 3 == 0 {
            "web".into()
        } else {
            String::new()
        },
        containers: (0..8)
            .filter(|n| bits >> (20 + n) & 1 == 1)
            .map(|n| uuid("c", n))
            .collect(),
        links: [
            (path(6), pick(&["", "web", "store"], bits, 9).to_owned()),
            (path(10), String::new()),
        ]
        .into(),
        more_links: [(path(6), vec!["again".to_owned()])].into(),
        external_ips: vec![format!("203.0.113.{}", bits >> 5 & 3)],
        hostname: (bits >> 14 & 3 == 0).then(|| "www.example.com".into()),
        vip: (bits >> 16 & 15 == 0).then(|| "10.42.9.9".into()),
        health_check: (bits >> 17 & 1 == 1).then(HealthCheck::default),
        metadata: json!({"a": [bits & 3, {"b": null}]}).as_object().unwrap().clone(),
        lb_config: (bits & 2 == 2).then(|| json!({"port_rules": []})),
        labels: (bits >> 18 & 1 == 1)
            .then(|| {
                (
                    "io.drover.network.aliases".to_owned(),
                    format!("{}, also", pick(&NAMES, bits, 19)),
                )
            })
            .into_iter()
            .collect(),
        token: Some("secret".into()),
        ..Service::default()
    };
    (service_key(&service.uuid, name), service)
}

/// What a change does to a table.
fn change(table: &mut Table, (kind, nth, bits): Change) {
    let is_gone = bits >> 60 & 3 == 0;
    match kind % 6 {
        0 | 1 if is_gone => drop(table.containers.remove(&uuid("c", nth % 8))),
        0 | 1 => drop(table.containers.insert(uuid("c", nth % 8), container(nth % 8, bits))),
        2 | 3 => {
            let (key, service) = service(nth % 5, bits);
            table.services.remove(&key);
            if !is_gone {
                table.services.insert(key, service);
            }
        }
        4 => {
            let name = pick(&STACKS, bits, 0);
            let stack = Stack {
                name: name.into(),
                uuid: format!("stack-{name}"),
                system: bits & 4 == 4,
            };
            table.stacks.insert(stack.uuid.clone(), stack);
        }
        _ => {
            table.gateway = format!("10.42.0.{}", bits & 7);
            let network = Network {
                name: pick(&NAMES, bits, 3).into(),
                uuid: "network".into(),
                ..Network::default()
            };
            table.networks.insert("network".into(), network);
        }
    }
    table.number += 1;
}

/// Everything that can be asked of it.
fn everything(index: Index) -> String {
    let mut all = String::new();
    for from in 0..8 {
        let address = format!("10.42.0.{from}");
        for name in NAMES.iter().flat_map(|name| {
            let stacks = STACKS.map(|stack| format!("{name}.{stack}.rancher.internal").to_lowercase());
            stacks.into_iter().chain([
                format!("{name}.rancher.internal"),
                (*name).to_owned(),
                format!("again.{name}"),
            ])
        }) {
            for kind in [RecordType::A, RecordType::CNAME] {
                all += &decided(&index, &address, &name.to_lowercase(), kind);
                all.push('\n');
            }
        }
    }
    let mut loaded = Loaded::new(index);
    loaded.version = "v".into();
    for (_, edition) in Edition::NAMES {
        for from in 0..8 {
            let view = View::new(&loaded, edition, ip(&format!("10.42.0.{from}")));
            for path in ["", "self", "services/web", "containers/0", "stacks/app/services/db"] {
                let path: Vec<String> = path
                    .split('/')
                    .filter(|part| !part.is_empty())
                    .map(Into::into)
                    .collect();
                all += &view
                    .find(&path, Depth::Whole)
                    .map_or_else(|| "nothing".into(), |value| Form::Json.write(value));
                all += &view
                    .find(&path, Depth::Listing)
                    .map_or_else(|| "nothing".into(), |value| Form::Text.write(value));
            }
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn an_index_that_is_changed_is_that_of_the_changed_table(bursts in proptest::collection::vec(
        proptest::collection::vec(any::<Change>(), 1..6), 1..12
    )) {
        let mut table = World::new().0;
        let mut index = Index::new(table.clone());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("table.json");
        let (mut saved, _) = Saved::open(file.clone());
        for burst in bursts {
            let before = table.clone();
            for one in burst {
                change(&mut table, one);
            }
            let delta = before.delta_to(&table);
            let line = serde_json::to_vec(&Feed::Delta(Box::new(delta.clone()))).unwrap();
            let Line::Delta(read) = read_line(&line).unwrap() else { panic!("it is a delta") };
            prop_assert_eq!(&*read, &delta);
            prop_assert!(index.apply(delta));
            saved.append(&line, &index).unwrap();
        }
        prop_assert_eq!(&index.table(), &table);
        // As text it is what the table is as text.
        let text = serde_json::to_string(&index).unwrap();
        prop_assert_eq!(&text, &serde_json::to_string(&table).unwrap());
        prop_assert_eq!(&read_table(text.as_bytes()).unwrap().0.table(), &table);
        // So it is with what was kept in between.
        let (_, kept) = Saved::open(file);
        prop_assert_eq!(&kept.unwrap().table(), &table);
        prop_assert_eq!(everything(index), everything(Index::new(table.clone())));

        let mut index = Index::new(table.clone());
        let gone = Table { number: table.number + 1, ..Table::default() };
        prop_assert!(index.apply(table.delta_to(&gone)));
        prop_assert_eq!(index.words(), 0, "what is gone leaves nothing behind");
    }
}

/// The last change was not written to its end: what is before it counts, and the next one follows that.
#[test]
fn a_change_that_was_not_written_to_its_end_is_as_if_it_had_not_come() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table.json");
    let mut table = World::new().0;
    let mut index = Index::new(table.clone());
    let (mut saved, _) = Saved::open(file.clone());
    saved.write(&index).unwrap();
    let mut tables = vec![table.clone()];
    let mut lengths = vec![std::fs::metadata(&file).unwrap().len()];
    for nth in 0..3_u8 {
        let before = table.clone();
        change(&mut table, (0, nth, 0x7fff_ffff_ffff_ffff));
        let delta = before.delta_to(&table);
        let line = serde_json::to_vec(&Feed::Delta(Box::new(delta.clone()))).unwrap();
        assert!(index.apply(delta));
        saved.append(&line, &index).unwrap();
        tables.push(table.clone());
        lengths.push(std::fs::metadata(&file).unwrap().len());
    }
    let whole = std::fs::read(&file).unwrap();
    for length in lengths[0]..=lengths[3] {
        std::fs::write(&file, &whole[..usize::try_from(length).unwrap()]).unwrap();
        let (mut saved, found) = Saved::open(file.clone());
        let found = found.unwrap().table();
        let kept = tables.iter().position(|table| *table == found).expect("one of them");
        // A change is whole with its last brace.
        assert!(
            lengths[kept] <= length && lengths.get(kept + 1).is_none_or(|next| length < *next),
            "{length}: {kept}"
        );
        if let Some(next) = tables.get(kept + 1) {
            let delta = found.delta_to(next);
            let line = serde_json::to_vec(&Feed::Delta(Box::new(delta))).unwrap();
            saved.append(&line, &Index::new(next.clone())).unwrap();
            assert_eq!(Saved::open(file.clone()).1.unwrap().table(), *next);
        }
    }
    // Junk in place of a table is no table, and is not written behind.
    std::fs::write(&file, "{\"number\":").unwrap();
    let (mut saved, found) = Saved::open(file.clone());
    assert!(found.is_err());
    saved.append(b"{}", &Index::new(table.clone())).unwrap();
    assert_eq!(Saved::open(file).1.unwrap().table(), table);
}

/// A file is written anew when what stands behind its table is longer than the table.
#[test]
fn a_file_does_not_grow_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table.json");
    let mut table = World::new().0;
    let mut index = Index::new(table.clone());
    let (mut saved, _) = Saved::open(file.clone());
    let mut longest = 0;
    for nth in 0..3_000_u64 {
        let before = table.clone();
        change(&mut table, (0, 1, 1 << 60 | nth));
        let delta = before.delta_to(&table);
        let line = serde_json::to_vec(&Feed::Delta(Box::new(delta.clone()))).unwrap();
        assert!(index.apply(delta));
        saved.append(&line, &index).unwrap();
        longest = longest.max(std::fs::metadata(&file).unwrap().len());
    }
    assert!((64 * 1024..512 * 1024).contains(&longest), "{longest}");
    assert_eq!(Saved::open(file).1.unwrap().table(), table);
}
