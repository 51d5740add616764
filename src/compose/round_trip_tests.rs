#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a failed test may panic"
)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::forms::Form;
use super::super::keys::{KEYS, Treatment};
use super::super::parts::Link;
use super::super::read::{Service, read};
use super::super::special::SIDEKICKS;
use super::super::volumes::Volume;
use super::write;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{1,12}",
        "[a-z0-9$:#'\"{}\\[\\] \u{e4}\n\t-]{1,10}",
        prop::sample::select(vec![
            "yes", "1.10", "0755", "~", "null", "on", "${A}", "$$", "- a", "a: b", "12:30"
        ])
        .prop_map(str::to_owned),
    ]
}

/// A value of a field that a key of this form says, and that says something.
fn value_of(form: Form) -> BoxedStrategy<Value> {
    let name = || "[a-z][a-z0-9.]{0,8}";
    let pairs = || prop::collection::btree_map(name(), text(), 1..4);
    match form {
        Form::Text => text().prop_map(|text| json!(text)).boxed(),
        Form::Flag => Just(json!(true)).boxed(),
        Form::Count | Form::Bytes | Form::Seconds => (0..1_i64 << 40).prop_map(|n| json!(n)).boxed(),
        Form::List | Form::Hosts => prop::collection::vec(text(), 1..4).prop_map(|list| json!(list)).boxed(),
        Form::Words => prop::collection::vec(text(), 0..4).prop_map(|list| json!(list)).boxed(),
        Form::Pairs => pairs().prop_map(|map| json!(map)).boxed(),
        Form::Tmpfs => prop::collection::btree_map("/[a-z]{1,6}", "[a-z=,0-9]{0,8}", 1..3)
            .prop_map(|map| json!(map))
            .boxed(),
        Form::Ulimits => prop::collection::btree_map("[a-z]{2,8}", (-1..100_i64, -1..100_i64), 1..3)
            .prop_map(|map| {
                let limits = map.into_iter();
                json!(
                    limits
                        .map(|(name, (soft, hard))| json!({"name": name, "soft": soft, "hard": hard}))
                        .collect::<Vec<_>>()
                )
            })
            .boxed(),
        Form::Json => pairs().prop_map(|map| json!({"deep": [map, 1, true, null]})).boxed(),
    }
}

/// A launch configuration with some of all fields that files say.
fn config() -> impl Strategy<Value = Map<String, Value>> {
    let by_key: Vec<BoxedStrategy<Option<(String, Value)>>> = KEYS
        .iter()
        .filter_map(|key| match key.treatment {
            Treatment::Config(field, form) => {
                let entry = value_of(form).prop_map(move |value| (field.to_owned(), value));
                Some(prop::option::weighted(0.15, entry).boxed())
            }
            _ => None,
        })
        .collect();
    let ports = prop::sample::subsequence(vec!["80:80/tcp", "443/tcp", "127.0.0.1:53:53/udp"], 1..3);
    let devices = prop::collection::btree_map("/dev/[a-z]{1,4}", (1..999_i64, 1..999_i64), 1..3).prop_map(|devices| {
        let limits = devices.into_iter();
        json!(
            limits
                .map(|(path, (read, weight))| (path, json!({"readBps": read, "weight": weight})))
                .collect::<BTreeMap<_, _>>()
        )
    });
    let check = json!({"port": 80, "interval": 2000, "requestLine": "GET / HTTP/1.0", "strategy": "recreateOnQuorum", "recreateOnQuorumStrategyConfig": {"quorum": 2}});
    let special: Vec<(&str, BoxedStrategy<Value>)> = vec![
        (
            "build",
            prop::sample::select(vec![
                json!({"remote": "http://files/a.tar"}),
                json!({"remote": "https://git/a.git#b", "dockerfile": "x/File"}),
            ])
            .boxed(),
        ),
        ("environment", value_of(Form::Pairs)),
        ("labels", value_of(Form::Pairs)),
        ("ports", ports.prop_map(|ports| json!(ports)).boxed()),
        (
            "dataVolumes",
            prop::sample::subsequence(vec!["/a", "/h:/c:ro", "data:/d"], 1..3)
                .prop_map(|v| json!(v))
                .boxed(),
        ),
        ("blkioDeviceOptions", devices.boxed()),
        ("secrets", references().boxed()),
        ("logConfig", pairs_of_log().boxed()),
        ("healthCmd", value_of(Form::List)),
        ("healthInterval", (1..99_i64).prop_map(|n| json!(n)).boxed()),
        ("healthTimeout", (1..99_i64).prop_map(|n| json!(n)).boxed()),
        ("healthRetries", (1..99_i64).prop_map(|n| json!(n)).boxed()),
        ("healthCheck", Just(check).boxed()),
        (
            "networkMode",
            prop::sample::select(vec!["host", "bridge", "none"])
                .prop_map(|mode| json!(mode))
                .boxed(),
        ),
    ];
    let special: Vec<BoxedStrategy<Option<(String, Value)>>> = special
        .into_iter()
        .map(|(field, value)| {
            prop::option::weighted(0.3, value.prop_map(move |value| (field.to_owned(), value))).boxed()
        })
        .collect();
    (by_key, special, "(docker|sim):[a-z]{1,6}(:[0-9.]{1,3})?").prop_map(|(by_key, special, image)| {
        let mut config: Map<String, Value> = by_key.into_iter().chain(special).flatten().collect();
        config.insert("imageUuid".into(), json!(image));
        config
    })
}

/// Secrets by their names, some with a file of their own.
fn references() -> impl Strategy<Value = Value> {
    let file = prop::option::of((text(), prop::sample::select(vec!["0400", "0444"])));
    prop::collection::vec(("[a-z]{1,4}", file), 1..3).prop_map(|list| {
        let references = list.into_iter().map(|(secret, file)| match file {
            Some((name, mode)) => json!({"secret": secret, "name": name, "uid": "12", "mode": mode}),
            None => json!({"secret": secret}),
        });
        references.collect()
    })
}

fn pairs_of_log() -> impl Strategy<Value = Value> {
    ("[a-z-]{1,8}", prop::collection::btree_map("[a-z]{1,6}", text(), 0..3))
        .prop_map(|(driver, config)| json!({"driver": driver, "config": config}))
}

fn service(name: &'static str) -> impl Strategy<Value = Service> {
    let own: Vec<BoxedStrategy<Option<(String, Value)>>> = KEYS
        .iter()
        .filter_map(|key| match key.treatment {
            Treatment::Service(field, form) => {
                let value = if field == "scale" {
                    Just(json!(3)).boxed()
                } else {
                    value_of(form)
                };
                Some(prop::option::of(value.prop_map(move |value| (field.to_owned(), value))).boxed())
            }
            _ => None,
        })
        .collect();
    let sidekicks = prop::option::weighted(0.4, (config(), config()));
    let links = prop::sample::subsequence(vec!["db:store", "other/api:api", "db:db"], 0..3);
    (config(), own, sidekicks, links).prop_map(move |(mut config, own, sidekicks, links)| {
        let mut fields: Map<String, Value> = own.into_iter().flatten().collect();
        if let Some((mut one, mut two)) = sidekicks {
            one.insert("name".into(), json!(format!("{name}-one")));
            two.insert("name".into(), json!(format!("{name}-two")));
            two.insert("networkMode".into(), json!("container"));
            two.insert("networkLaunchConfig".into(), json!(name));
            two.insert("dataVolumesFromLaunchConfigs".into(), json!([name]));
            let labels = config.entry("labels").or_insert_with(|| json!({}));
            labels[SIDEKICKS] = json!(format!("{name}-one,{name}-two"));
            fields.insert("secondaryLaunchConfigs".into(), json!([one, two]));
        }
        fields.insert("launchConfig".into(), Value::Object(config));
        let mut links: Vec<Link> = links
            .into_iter()
            .filter_map(|link| link.split_once(':'))
            .map(|(service, alias)| Link {
                service: service.to_owned(),
                alias: alias.to_owned(),
            })
            .collect();
        links.sort();
        Service {
            name: name.to_owned(),
            kind: "service".to_owned(),
            fields,
            links,
            ..Service::default()
        }
    })
}

fn database() -> Service {
    Service {
        name: "db".into(),
        kind: "service".into(),
        fields: Map::from_iter([("launchConfig".to_owned(), json!({"imageUuid": "docker:db"}))]),
        ..Service::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_written_of_services_is_read_as_the_same(one in service("one"), two in service("two"), options in prop::collection::btree_map("[a-z]{1,5}", text(), 0..3)) {
        let services = vec![database(), one, two];
        let volumes = vec![Volume { name: "data".into(), driver: Some("nfs".into()), options, external: false, per_container: true }];
        let texts = write(&services, &volumes);
        let document = match read("s", &texts, &BTreeMap::new()) {
            Ok(document) => document,
            Err(problem) => return Err(TestCaseError::fail(format!("{problem}\n{}\n{}", texts.docker, texts.rancher))),
        };
        let mut found = document.services;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        for service in &mut found {
            service.links.sort();
        }
        prop_assert_eq!(&found, &services, "{}\n{}", texts.docker, texts.rancher);
        prop_assert_eq!(&document.volumes, &volumes);
        prop_assert!(document.warnings.is_empty(), "{:?}", document.warnings);
        prop_assert_eq!(write(&found, &document.volumes), texts);
    }
}
