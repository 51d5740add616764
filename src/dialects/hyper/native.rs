//! From a service in Hyper's words to a service and the balancer before it in the engine's own, and back: what was changed elsewhere is
//! laid over what was written.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::spec::{ENDS_TLS, SIZES, Spec};
use crate::model::own_labels::UNSET;

/// The stack of all services of a project that are made here.
pub const STACK: &str = "hyper";
/// What the name of a balancer ends in, after that of its service.
pub const BALANCER: &str = "-lb";
/// Labels of the engine's and Rancher's own: these say what Hyper has no word for.
const OWN: [&str; 2] = ["io.rancher.", "io.drover."];
/// Where containers would best be: beside those with a label.
const BESIDE: &str = "io.rancher.scheduler.affinity:container_label_soft";
/// The label that names a container's service.
const SERVICE: &str = "io.rancher.stack_service.name";
/// The microseconds that a share of a processor is counted over.
const CPU_PERIOD: i64 = 100_000;
const MEBIBYTE: i64 = 1_048_576;
/// What the servers of a balancer are called in its configuration.
const SERVERS: &str = "hyper";
/// The cookie by which a client of a service with affinity is known again.
const COOKIE: &str = "HYPERSRV";

/// A service as a body of Rancher's: one that starts by itself. `simulates`: images of simulated hosts are not Docker's.
pub fn service(spec: &Spec, simulates: bool) -> Value {
    json!({
        "name": spec.name, "scale": spec.replicas, "startOnCreate": true, "launchConfig": launch(spec, simulates),
    })
}

/// How its containers are to be.
pub fn launch(spec: &Spec, simulates: bool) -> Map<String, Value> {
    let mut labels: Map<String, Value> = Map::new();
    labels.extend(
        spec.labels
            .iter()
            .flatten()
            .map(|(key, value)| (key.clone(), json!(value))),
    );
    labels.insert(
        BESIDE.into(),
        json!(format!("{SERVICE}={STACK}/{}{BALANCER}", spec.name)),
    );
    let mut launch = Map::new();
    launch.insert("imageUuid".into(), json!(image_uuid(&spec.image, simulates)));
    for (field, text) in [("workingDir", &spec.working_dir), ("stopSignal", &spec.stop_signal)] {
        if !text.is_empty() {
            launch.insert(field.into(), json!(text));
        }
    }
    for (field, is_on) in [("tty", spec.tty), ("stdinOpen", spec.stdin)] {
        if is_on {
            launch.insert(field.into(), json!(true));
        }
    }
    let lists = [
        ("entryPoint", &spec.entrypoint),
        ("command", &spec.cmd),
        ("dataVolumes", &spec.volumes),
    ];
    for (field, list) in lists {
        if let Some(list) = list.as_ref().filter(|list| !list.is_empty()) {
            launch.insert(field.into(), json!(list));
        }
    }
    let (environment, unset) = environment(spec.env.iter().flatten());
    if !environment.is_empty() {
        launch.insert("environment".into(), Value::Object(environment));
    }
    if !unset.is_empty() {
        labels.insert(UNSET.into(), json!(unset.join(",")));
    }
    put_size(&mut launch, &spec.container_size);
    let interval = spec.health_check_interval.saturating_mul(1_000);
    launch.insert(
        "healthCheck".into(),
        json!({
            "port": spec.container_port, "interval": interval, "responseTimeout": interval.min(2_000),
            "unhealthyThreshold": spec.health_check_fall, "healthyThreshold": spec.health_check_rise,
            "initializingTimeout": 60_000, "reinitializingTimeout": 60_000, "strategy": "none",
        }),
    );
    launch.insert("labels".into(), Value::Object(labels));
    launch
}

/// How images are named: by whom they are run, and by Docker's name.
pub fn image_uuid(image: &str, simulates: bool) -> String {
    match simulates && image.starts_with("sim:") {
        true => image.to_owned(),
        false => format!("docker:{image}"),
    }
}

/// Variables with values, and the names of those that are taken out of what the image sets.
fn environment<'s>(lines: impl Iterator<Item = &'s String>) -> (Map<String, Value>, Vec<&'s str>) {
    let (mut with, mut without) = (Map::new(), Vec::new());
    for line in lines.filter(|line| !line.is_empty()) {
        match line.split_once('=') {
            Some((key, value)) => drop(with.insert(key.to_owned(), json!(value))),
            None => without.push(line.as_str()),
        }
    }
    (with, without)
}

fn put_size(launch: &mut Map<String, Value>, name: &str) {
    if let Some((_, mebibytes, cores)) = SIZES.iter().find(|(size, ..)| *size == name) {
        launch.insert("memory".into(), json!(mebibytes * MEBIBYTE));
        launch.insert("cpuPeriod".into(), json!(CPU_PERIOD));
        launch.insert("cpuQuota".into(), json!(cores * CPU_PERIOD));
    }
}

/// The balancer as a body of Rancher's, whose rule names no target.
pub fn balancer(spec: &Spec, simulates: bool) -> Value {
    let mut launch = Map::new();
    if simulates && spec.image.starts_with("sim:") {
        launch.insert("imageUuid".into(), json!("sim:balancer"));
    }
    put_size(&mut launch, &spec.service_size);
    launch.insert(
        "labels".into(),
        json!({BESIDE: format!("{SERVICE}={STACK}/{}", spec.name)}),
    );
    let mut config = json!({
        "portRules": [{
            "sourcePort": spec.service_port, "targetPort": spec.container_port, "protocol": protocol(&spec.protocol),
            "backendName": SERVERS,
        }],
        "config": config(spec),
    });
    if let (true, Some(config)) = (spec.session_affinity && spec.is_http(), config.as_object_mut()) {
        let policy = json!({"name": COOKIE, "cookie": COOKIE, "mode": "insert", "indirect": true, "nocache": true});
        config.insert("stickinessPolicy".into(), policy);
    }
    json!({
        "name": format!("{}{BALANCER}", spec.name), "scale": 1, "startOnCreate": true, "launchConfig": launch, "lbConfig": config,
    })
}

/// What the balancer speaks. TLS that goes through it is nothing that it reads.
fn protocol(word: &str) -> &'static str {
    match word {
        "http" => "http",
        ENDS_TLS => "https",
        _ => "tcp",
    }
}

/// HAProxy's own lines: who is next, and how a client that has no cookies stays.
fn config(spec: &Spec) -> String {
    let mut lines = format!("defaults\n  balance {}\n", spec.algorithm);
    if spec.session_affinity && !spec.is_http() {
        lines.push_str(&format!(
            "backend {SERVERS}\n  stick-table type ip size 100k expire 1h\n  stick on src\n"
        ));
    }
    lines
}

fn text(launch: &Map<String, Value>, field: &str) -> String {
    launch.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn number(launch: &Map<String, Value>, field: &str) -> i64 {
    launch.get(field).and_then(Value::as_i64).unwrap_or(0)
}

fn is_on(launch: &Map<String, Value>, field: &str) -> bool {
    launch.get(field).and_then(Value::as_bool).unwrap_or(false)
}

fn list(launch: &Map<String, Value>, field: &str) -> Vec<String> {
    let list = launch.get(field).and_then(Value::as_array);
    let texts = list.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

fn map(launch: &Map<String, Value>, field: &str) -> BTreeMap<String, String> {
    let map = launch.get(field).and_then(Value::as_object);
    let pairs = map.into_iter().flatten();
    pairs
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// Labels that are a client's own.
fn own_labels(launch: &Map<String, Value>) -> BTreeMap<String, String> {
    let mut labels = map(launch, "labels");
    labels.retain(|key, _| !OWN.iter().any(|own| key.starts_with(own)));
    labels
}

fn size_of(launch: &Map<String, Value>) -> (i64, i64) {
    (number(launch, "memory"), number(launch, "cpuQuota"))
}

/// What a size of containers is called; empty for one that Hyper has not.
fn size_name((memory, quota): (i64, i64)) -> String {
    let is_it =
        |(_, mebibytes, cores): &&(&str, i64, i64)| mebibytes * MEBIBYTE == memory && cores * CPU_PERIOD == quota;
    SIZES
        .iter()
        .find(is_it)
        .map_or(String::new(), |(name, ..)| (*name).to_owned())
}

/// What was written, with what the service is called, how it is and how many there are to be now.
pub fn overlay(kept: &Spec, name: &str, now: &Map<String, Value>, scale: i64) -> Spec {
    let then = &launch(kept, true);
    let mut spec = kept.clone();
    spec.name = name.to_owned();
    spec.replicas = scale;
    let image = |launch: &Map<String, Value>| text(launch, "imageUuid").trim_start_matches("docker:").to_owned();
    if image(then) != image(now) {
        spec.image = image(now);
    }
    for (field, into) in [
        ("workingDir", &mut spec.working_dir),
        ("stopSignal", &mut spec.stop_signal),
    ] {
        if text(then, field) != text(now, field) {
            *into = text(now, field);
        }
    }
    for (field, into) in [("tty", &mut spec.tty), ("stdinOpen", &mut spec.stdin)] {
        if is_on(then, field) != is_on(now, field) {
            *into = is_on(now, field);
        }
    }
    let lists = [
        ("entryPoint", &mut spec.entrypoint),
        ("command", &mut spec.cmd),
        ("dataVolumes", &mut spec.volumes),
    ];
    for (field, into) in lists {
        if list(then, field) != list(now, field) {
            *into = Some(list(now, field));
        }
    }
    let (before, after) = (map(then, "environment"), map(now, "environment"));
    let unset = |launch: &Map<String, Value>| map(launch, "labels").remove(UNSET).unwrap_or_default();
    if before != after || unset(then) != unset(now) {
        let unset = unset(now);
        let bare = unset.split(',').filter(|name| !name.is_empty()).map(str::to_owned);
        let lines = after.into_iter().map(|(key, value)| format!("{key}={value}"));
        spec.env = Some(lines.chain(bare).collect());
    }
    if own_labels(then) != own_labels(now) {
        let own = spec.labels.into_iter().flatten();
        let mut labels: BTreeMap<String, String> = own
            .filter(|(key, _)| OWN.iter().any(|own| key.starts_with(own)))
            .collect();
        labels.extend(own_labels(now));
        spec.labels = Some(labels);
    }
    if size_of(then) != size_of(now) {
        spec.container_size = size_name(size_of(now));
    }
    overlay_checks(&mut spec, then, now);
    spec
}

fn overlay_checks(spec: &mut Spec, then: &Map<String, Value>, now: &Map<String, Value>) {
    let check = |launch: &Map<String, Value>| {
        launch
            .get("healthCheck")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    };
    let (then, now) = (check(then), check(now));
    let numbers = [
        ("interval", 1_000, &mut spec.health_check_interval),
        ("unhealthyThreshold", 1, &mut spec.health_check_fall),
        ("healthyThreshold", 1, &mut spec.health_check_rise),
    ];
    for (field, unit, into) in numbers {
        if number(&then, field) != number(&now, field) {
            *into = number(&now, field) / unit;
        }
    }
}

/// The same for what is the balancer's: its launch configuration and what it is to do.
pub fn overlay_balancer(spec: &mut Spec, now: &Map<String, Value>, lb_config: &Map<String, Value>) {
    let then = balancer(spec, true);
    let object = |path: &str| {
        then.pointer(path)
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    };
    if size_of(&object("/launchConfig")) != size_of(now) {
        spec.service_size = size_name(size_of(now));
    }
    let rules = lb_config.get("portRules").and_then(Value::as_array);
    let rule = rules.and_then(|rules| rules.first()).and_then(Value::as_object);
    if let Some(rule) = rule {
        let port = |field: &str| u16::try_from(number(rule, field)).unwrap_or(0);
        (spec.service_port, spec.container_port) = (port("sourcePort"), port("targetPort"));
        if text(&object("/lbConfig/portRules/0"), "protocol") != text(rule, "protocol") {
            spec.protocol = match text(rule, "protocol").as_str() {
                "http" => "http",
                "https" | "tls" => ENDS_TLS,
                _ => "tcp",
            }
            .to_owned();
        }
    }
    let lines = text(lb_config, "config");
    let word = lines.lines().find_map(|line| line.trim().strip_prefix("balance "));
    if let Some(word) = word.map(str::trim).filter(|word| *word != spec.algorithm) {
        spec.algorithm = word.to_owned();
    }
    let sticks = lb_config.get("stickinessPolicy").is_some_and(Value::is_object);
    spec.session_affinity = sticks || lines.lines().any(|line| line.trim().starts_with("stick on "));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec {
        Spec {
            name: "web".to_owned(),
            image: "nginx".to_owned(),
            service_size: "s4".to_owned(),
            container_size: "s1".to_owned(),
            service_port: 80,
            container_port: 8080,
            replicas: 2,
            health_check_interval: 5,
            health_check_fall: 3,
            health_check_rise: 2,
            algorithm: "leastconn".to_owned(),
            protocol: "http".to_owned(),
            session_affinity: true,
            env: Some(vec!["B=1".to_owned(), "A".to_owned(), "B=2".to_owned()]),
            volumes: Some(vec!["v:/v:ro".to_owned()]),
            labels: Some(BTreeMap::from([("app".to_owned(), "web".to_owned())])),
            ..Spec::default()
        }
    }

    #[test]
    fn what_nobody_changed_is_as_it_was_written() {
        let spec = spec();
        let mut shown = overlay(&spec, "web", &launch(&spec, false), 2);
        let balancer = balancer(&spec, false);
        let part = |field: &str| balancer[field].as_object().cloned().unwrap_or_default();
        overlay_balancer(&mut shown, &part("launchConfig"), &part("lbConfig"));
        assert_eq!(shown, spec);
    }

    #[test]
    fn what_was_changed_elsewhere_shows() {
        let mut now = launch(&spec(), false);
        for (field, value) in [
            ("imageUuid", json!("docker:httpd")),
            ("environment", json!({"C": "3"})),
            ("labels", json!({"x": "y", "io.rancher.a": "b"})),
            ("memory", json!(2_147_483_648_i64)),
            ("cpuQuota", json!(200_000)),
            ("tty", json!(true)),
            ("dataVolumes", json!([])),
            (
                "healthCheck",
                json!({"interval": 9_000, "unhealthyThreshold": 3, "healthyThreshold": 1}),
            ),
        ] {
            now.insert(field.to_owned(), value);
        }
        let shown = overlay(&spec(), "other", &now, 5);
        let expected = Spec {
            name: "other".to_owned(),
            image: "httpd".to_owned(),
            replicas: 5,
            env: Some(vec!["C=3".to_owned()]),
            labels: Some(BTreeMap::from([("x".to_owned(), "y".to_owned())])),
            container_size: "m2".to_owned(),
            tty: true,
            volumes: Some(Vec::new()),
            health_check_interval: 9,
            health_check_rise: 1,
            ..spec()
        };
        assert_eq!(shown, expected);
        now.insert("memory".to_owned(), json!(1));
        assert_eq!(overlay(&spec(), "web", &now, 2).container_size, "");
    }

    #[test]
    fn what_a_balancer_does_follows_from_the_protocol() {
        for (word, native, sticks_by_cookie) in [
            ("http", "http", true),
            ("httpsTerm", "https", true),
            ("https", "tcp", false),
            ("tcp", "tcp", false),
        ] {
            let spec = Spec {
                protocol: word.to_owned(),
                ..spec()
            };
            let config = balancer(&spec, false)["lbConfig"].clone();
            assert_eq!(config["portRules"][0]["protocol"], native);
            assert_eq!(config["stickinessPolicy"].is_object(), sticks_by_cookie, "{word}");
            let lines = config["config"].as_str().unwrap_or_default();
            assert!(lines.starts_with("defaults\n  balance leastconn\n"), "{lines}");
            assert_eq!(lines.contains("stick on src"), !sticks_by_cookie, "{word}");
        }
    }
}
