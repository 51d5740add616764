//! Services become files: in one way only, so that what is read of them is the same again.

use serde_json::{Map, Value, json};

use super::balancing;
use super::emit::emit;
use super::forms::{Form, write_pairs};
use super::keys::{File, KEYS, Treatment};
use super::read::{KINDS, Service, Texts, kind_of_image};
use super::resources::BLKIO;
use super::secrets;
use super::special::{HASH, HEALTH_CHECK, SCALE_POLICY, SELECTOR_CONTAINER, SELECTOR_LINK, SIDEKICKS};
use super::variables::escape;
use super::volumes::Volume;
use super::yaml::{Kind, Node};

type Entries = Vec<(String, Node)>;

/// Writes services and volumes as the two files of a stack.
pub fn write(services: &[Service], volumes: &[Volume]) -> Texts {
    let (mut docker, mut rancher) = (Entries::new(), Entries::new());
    for service in services {
        let (of_docker, of_rancher) = primary(service);
        add(&mut docker, &mut rancher, &service.name, of_docker, of_rancher);
        for sidekick in sidekicks(service) {
            let name = sidekick.get("name").and_then(Value::as_str).unwrap_or_default();
            let (of_docker, of_rancher) = config(sidekick, labels(sidekick));
            add(&mut docker, &mut rancher, name, of_docker, of_rancher);
        }
    }
    docker.sort_by(|a, b| a.0.cmp(&b.0));
    rancher.sort_by(|a, b| a.0.cmp(&b.0));
    let volumes = volumes.iter().map(|volume| (volume.name.clone(), declared(volume)));
    Texts {
        docker: document(docker, volumes.collect(), secrets::write_declared(configs(services))),
        rancher: document(rancher, Vec::new(), Vec::new()),
    }
}

/// All launch configurations of some services.
fn configs(services: &[Service]) -> impl Iterator<Item = &Map<String, Value>> {
    services.iter().flat_map(|service| {
        let primary = service.fields.get("launchConfig").and_then(Value::as_object);
        primary.into_iter().chain(sidekicks(service))
    })
}

fn document(services: Entries, volumes: Entries, secrets: Entries) -> String {
    let mut root = vec![("version".to_owned(), Node::text("2"))];
    for (key, entries) in [("services", services), ("volumes", volumes), ("secrets", secrets)] {
        if !entries.is_empty() {
            root.push((key.to_owned(), Node::of(Kind::Map(entries))));
        }
    }
    emit(&Node::of(Kind::Map(root)))
}

fn add(docker: &mut Entries, rancher: &mut Entries, name: &str, of_docker: Entries, of_rancher: Entries) {
    for (file, mut entries) in [(&mut *docker, of_docker), (rancher, of_rancher)] {
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        let mut node = Node::of(Kind::Map(entries));
        escape_all(&mut node);
        if !matches!(&node.kind, Kind::Map(entries) if entries.is_empty()) {
            file.push((name.to_owned(), node));
        }
    }
}

/// Dollars are doubled in all values, as what is read has variables.
fn escape_all(node: &mut Node) {
    match &mut node.kind {
        Kind::Scalar(text, _) => *text = escape(text),
        Kind::List(list) => list.iter_mut().for_each(escape_all),
        Kind::Map(map) => map.iter_mut().for_each(|(_, node)| escape_all(node)),
    }
}

fn declared(volume: &Volume) -> Node {
    let mut entries = Entries::new();
    if let Some(driver) = &volume.driver {
        entries.push(("driver".into(), Node::text(driver)));
    }
    if !volume.options.is_empty() {
        let options = volume
            .options
            .iter()
            .map(|(name, text)| (name.clone(), Node::text(text)));
        entries.push(("driver_opts".into(), Node::of(Kind::Map(options.collect()))));
    }
    if volume.external {
        entries.push(("external".into(), Node::plain(true)));
    }
    if volume.per_container {
        entries.push(("per_container".into(), Node::plain(true)));
    }
    let mut node = Node::of(Kind::Map(entries));
    escape_all(&mut node);
    node
}

fn sidekicks(service: &Service) -> impl Iterator<Item = &Map<String, Value>> {
    let list = service.fields.get("secondaryLaunchConfigs").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_object)
}

fn labels(config: &Map<String, Value>) -> Map<String, Value> {
    let mut labels = config
        .get("labels")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    labels.shift_remove(HASH);
    labels
}

/// What both files say of a service.
fn primary(service: &Service) -> (Entries, Entries) {
    let nothing = Map::new();
    let launch = service
        .fields
        .get("launchConfig")
        .and_then(Value::as_object)
        .unwrap_or(&nothing);
    let has_containers = matches!(service.kind.as_str(), "service" | "loadBalancerService");
    let mut labels = labels(launch);
    let names: Vec<&str> = sidekicks(service)
        .filter_map(|config| config.get("name")?.as_str())
        .collect();
    labels.shift_remove(SIDEKICKS);
    if !names.is_empty() {
        labels.insert(SIDEKICKS.into(), json!(names.join(",")));
    }
    for (label, field) in [
        (SELECTOR_CONTAINER, "selectorContainer"),
        (SELECTOR_LINK, "selectorLink"),
    ] {
        match service
            .fields
            .get(field)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
        {
            Some(selector) => labels.insert(label.into(), json!(selector)),
            None => labels.shift_remove(label),
        };
    }
    let is_global = labels
        .get("io.rancher.scheduler.global")
        .and_then(Value::as_str)
        .is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let (mut docker, mut rancher) = config(launch, labels);
    if !has_containers {
        let image = KINDS
            .iter()
            .find(|(_, kind)| *kind == service.kind)
            .map(|(image, _)| *image);
        docker.retain(|(key, _)| key != "image");
        docker.push(("image".into(), Node::text(image.unwrap_or_default())));
    } else if kind_of_image(launch.get("imageUuid").and_then(Value::as_str).unwrap_or_default()) != service.kind {
        rancher.push(("type".into(), Node::text(&service.kind)));
    }
    links(service, &mut docker);
    for key in KEYS {
        if let Treatment::Service(field, form) = key.treatment {
            let value = service.fields.get(field).unwrap_or(&Value::Null);
            let node = own_field(key.name, value, form, has_containers && !is_global);
            rancher.extend(node.map(|node| (key.name.to_owned(), node)));
        }
    }
    if let Some(policy) = service.fields.get("scalePolicy").and_then(Value::as_object) {
        rancher.push(("scale_policy".into(), balancing::table(policy, SCALE_POLICY)));
    }
    if let Some(check) = service.fields.get("healthCheck").and_then(Value::as_object) {
        rancher.push(("health_check".into(), health_check(check)));
    }
    if service.kind == "externalService" {
        let of = |field: &str| service.fields.get(field).unwrap_or(&Value::Null);
        rancher.extend(
            Form::List
                .write(of("externalIpAddresses"))
                .map(|node| ("external_ips".to_owned(), node)),
        );
        rancher.extend(
            Form::Text
                .write(of("hostname"))
                .map(|node| ("hostname".to_owned(), node)),
        );
    }
    if let Some(node) = service.balancing.as_ref().and_then(balancing::write) {
        rancher.push(("lb_config".into(), node));
    }
    (docker, rancher)
}

/// A field of the service itself.
fn own_field(key: &str, value: &Value, form: Form, has_scale: bool) -> Option<Node> {
    match (key, value) {
        ("scale", _) if !has_scale => None,
        ("metadata", Value::Object(map)) => {
            let mut map = map.clone();
            map.shift_remove(HASH);
            form.write(&Value::Object(map))
        }
        _ => form.write(value),
    }
}

fn links(service: &Service, docker: &mut Entries) {
    let mut links = service.links.clone();
    links.sort();
    let (outside, inside): (Vec<_>, Vec<_>) = links.into_iter().partition(|link| link.service.contains('/'));
    for (key, links) in [("external_links", outside), ("links", inside)] {
        let texts: Vec<String> = links
            .iter()
            .map(|link| match link.alias.as_str() {
                "" => link.service.clone(),
                alias => format!("{}:{alias}", link.service),
            })
            .collect();
        if !texts.is_empty() {
            docker.push((key.to_owned(), Node::texts(texts)));
        }
    }
}

fn health_check(check: &Map<String, Value>) -> Node {
    let mut node = balancing::table(check, HEALTH_CHECK);
    let quorum = check
        .get("recreateOnQuorumStrategyConfig")
        .and_then(|config| config.get("quorum"));
    if let (Some(quorum), Kind::Map(entries)) = (quorum.filter(|quorum| !quorum.is_null()), &mut node.kind) {
        let config = Node::from_json(&json!({"quorum": quorum}));
        entries.push(("recreate_on_quorum_strategy_config".into(), config));
    }
    node
}

/// What both files say of a launch configuration.
fn config(launch: &Map<String, Value>, labels: Map<String, Value>) -> (Entries, Entries) {
    let (mut docker, mut rancher) = (Entries::new(), Entries::new());
    let of = |field: &str| launch.get(field).unwrap_or(&Value::Null);
    for key in KEYS {
        if let Treatment::Config(field, form) = key.treatment
            // Zero is what is meant by nothing.
            && !(field == "drainTimeoutMs" && *of(field) == 0)
            && let Some(node) = form.write(of(field))
        {
            match key.file {
                File::Docker => docker.push((key.name.to_owned(), node)),
                File::Rancher => rancher.push((key.name.to_owned(), node)),
            }
        }
    }
    let image = of("imageUuid").as_str().unwrap_or_default();
    docker.extend(
        Form::Text
            .write(&json!(image.strip_prefix("docker:").unwrap_or(image)))
            .map(|n| ("image".to_owned(), n)),
    );
    for (key, map) in [
        ("labels", Some(&labels)),
        ("environment", of("environment").as_object()),
    ] {
        if let Some(map) = map.filter(|map| !map.is_empty()) {
            docker.push((key.to_owned(), write_pairs(map)));
        }
    }
    for (key, field) in [
        ("ports", "ports"),
        ("volumes", "dataVolumes"),
        ("volumes_from", "dataVolumesFromLaunchConfigs"),
    ] {
        docker.extend(Form::List.write(of(field)).map(|node| (key.to_owned(), node)));
    }
    let mode = of("networkMode").as_str().filter(|mode| *mode != "managed");
    let network = match (mode, of("networkLaunchConfig").as_str()) {
        (Some("container"), Some(name)) => Some(format!("container:{name}")),
        (Some(mode), _) => Some(mode.to_owned()),
        (None, _) => None,
    };
    docker.extend(network.map(|text| ("network_mode".to_owned(), Node::text(text))));
    docker.extend(built(of("build")).map(|node| ("build".to_owned(), node)));
    docker.extend(logging(of("logConfig")).map(|node| ("logging".to_owned(), node)));
    docker.extend(docker_check(launch).map(|node| ("healthcheck".to_owned(), node)));
    docker.extend(devices(of("blkioDeviceOptions")));
    docker.extend(secrets::write(of("secrets")).map(|node| ("secrets".to_owned(), node)));
    if let Some(check) = of("healthCheck").as_object() {
        rancher.push(("health_check".into(), health_check(check)));
    }
    (docker, rancher)
}

fn built(build: &Value) -> Option<Node> {
    let mut entries = Entries::new();
    for (key, field) in [("context", "remote"), ("dockerfile", "dockerfile")] {
        let text = build.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        entries.extend(text.map(|text| (key.to_owned(), Node::text(text))));
    }
    build.get("remote").and_then(Value::as_str)?;
    (!entries.is_empty()).then(|| Node::of(Kind::Map(entries)))
}

fn logging(config: &Value) -> Option<Node> {
    let mut entries = Entries::new();
    entries.extend(
        Form::Text
            .write(config.get("driver")?)
            .map(|node| ("driver".to_owned(), node)),
    );
    let options = config.get("config").unwrap_or(&Value::Null);
    entries.extend(Form::Pairs.write(options).map(|node| ("options".to_owned(), node)));
    (!entries.is_empty()).then(|| Node::of(Kind::Map(entries)))
}

fn docker_check(launch: &Map<String, Value>) -> Option<Node> {
    let mut entries = Entries::new();
    for (key, field, form) in [
        ("interval", "healthInterval", Form::Seconds),
        ("retries", "healthRetries", Form::Count),
        ("test", "healthCmd", Form::List),
        ("timeout", "healthTimeout", Form::Seconds),
    ] {
        entries.extend(
            form.write(launch.get(field).unwrap_or(&Value::Null))
                .map(|node| (key.to_owned(), node)),
        );
    }
    (!entries.is_empty()).then(|| Node::of(Kind::Map(entries)))
}

/// `device_read_bps` and its like.
fn devices(options: &Value) -> Entries {
    let mut devices: Vec<(&String, &Value)> = options.as_object().into_iter().flatten().collect();
    devices.sort_by_key(|(path, _)| *path);
    let of_field = |field: &str| -> Vec<String> {
        let rates = devices
            .iter()
            .filter_map(|(path, limits)| Some((path, limits.get(field)?.as_i64()?)));
        rates.map(|(path, rate)| format!("{path}:{rate}")).collect()
    };
    let entries = BLKIO.iter().map(|(key, field)| ((*key).to_owned(), of_field(field)));
    entries
        .filter(|(_, rates)| !rates.is_empty())
        .map(|(key, rates)| (key, Node::texts(rates)))
        .collect()
}

#[cfg(test)]
#[path = "round_trip_tests.rs"]
mod tests;
