//! Files become a document: which services there are, which of them are sidekicks, and in what order they are made.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::balancing;
use super::limits::{MAX_LINKS, MAX_SERVICES, MAX_TEXT, MAX_WARNINGS};
use super::parts::{Link, Parts, Reader};
use super::problem::{Problem, Read, Warning};
use super::secrets;
use super::template::{Facts, carry_out, is_template};
use super::variables::Variables;
use super::volumes::{self, Volume};
use super::yaml::{Kind, Node, parse};

/// The files of a stack, as they were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    /// `docker-compose.yml`
    pub docker: String,
    /// `rancher-compose.yml`
    pub rancher: String,
}

/// What the files of a stack mean.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    /// What is linked to before what links to it.
    pub services: Vec<Service>,
    /// By name.
    pub volumes: Vec<Volume>,
    /// What was read and has no effect.
    pub warnings: Vec<Warning>,
}

/// A service of a document.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its type: `service`, `loadBalancerService` …
    pub kind: String,
    /// The fields of its type, but for what names rows.
    pub fields: Map<String, Value>,
    /// What it is linked to.
    pub links: Vec<Link>,
    /// What a balancer balances; targets and certificates by their names.
    pub balancing: Option<Map<String, Value>>,
    /// How it is upgraded.
    pub pace: Map<String, Value>,
}

/// Reads the files of a stack with the values of its variables. Templates are carried out first.
pub fn read(stack: &str, texts: &Texts, environment: &BTreeMap<String, String>) -> Read<Document> {
    let in_docker = |problem: Problem| problem.within("docker-compose.yml");
    let in_rancher = |problem: Problem| problem.within("rancher-compose.yml");
    // Questions first: what they say by default holds for the other file, too.
    let rancher = File::carried_out(&texts.rancher, environment, stack).map_err(in_rancher)?;
    let mut given = rancher.questions().map_err(in_rancher)?;
    given.extend(environment.clone());
    let docker = File::carried_out(&texts.docker, &given, stack).map_err(in_docker)?;
    for (name, default) in docker.questions().map_err(in_docker)? {
        given.entry(name).or_insert(default);
    }
    let mut reader = Reader {
        variables: Variables::new(&given),
        warnings: Vec::new(),
        secrets: BTreeMap::new(),
        volumes: BTreeMap::new(),
    };
    let (docker, rancher) = (docker.split(&mut reader), rancher.split(&mut reader));
    let (mut docker, mut rancher) = (docker.map_err(in_docker)?, rancher.map_err(in_rancher)?);
    reader.variables.fill(&mut docker.services).map_err(in_docker)?;
    reader.variables.fill(&mut docker.volumes).map_err(in_docker)?;
    reader.variables.fill(&mut docker.secrets).map_err(in_docker)?;
    let volumes = volumes::declared(&mut reader, &docker.volumes).map_err(in_docker)?;
    reader.secrets = secrets::declared(&mut reader, &docker.secrets).map_err(in_docker)?;
    reader.variables.fill(&mut rancher.services).map_err(in_rancher)?;
    let mut all: Vec<Parts> = Vec::new();
    if docker.services.as_map().map_err(in_docker)?.len() > MAX_SERVICES {
        return Err(in_docker(Problem::new(format!(
            "there are more than {MAX_SERVICES} services"
        ))));
    }
    for (name, node) in docker.services.as_map().map_err(in_docker)? {
        let extra = rancher.services.get(name);
        let parts = reader.service(name, node, extra).map_err(in_docker)?;
        if all.iter().any(|other| other.name.eq_ignore_ascii_case(name)) {
            return Err(in_docker(Problem::new(format!(
                "service {name} differs from another only in case"
            ))));
        }
        all.push(parts);
    }
    for (name, _) in rancher.services.as_map().map_err(in_rancher)? {
        if docker.services.get(name).is_none() {
            reader.warn(
                None,
                name,
                "rancher-compose.yml says something of a service that is not in docker-compose.yml",
            );
        }
    }
    let services = units(&mut reader, all).map_err(in_docker)?;
    for name in std::mem::take(&mut reader.variables.missing) {
        reader.warn(None, &name, "the variable is not given, and counts as empty");
    }
    let mut warnings = reader.warnings;
    let mut counts: BTreeMap<Option<String>, usize> = BTreeMap::new();
    warnings.retain(|warning| {
        let count = counts.entry(warning.service.clone()).or_default();
        *count += 1;
        *count <= MAX_WARNINGS
    });
    Ok(Document {
        services: in_order(services),
        volumes,
        warnings,
    })
}

/// A file, and whether it has a version: then services stand one level deeper.
struct File {
    root: Node,
    has_version: bool,
}

/// The parts of a file that something is read of.
struct Split {
    services: Node,
    volumes: Node,
    secrets: Node,
}

impl File {
    /// Reads a file that may be a template.
    fn carried_out(text: &str, values: &BTreeMap<String, String>, stack: &str) -> Read<Self> {
        match is_template(text) && text.len() <= MAX_TEXT {
            true => Self::parse(&carry_out(text, &Facts { values, stack })?),
            false => Self::parse(text),
        }
    }

    fn parse(text: &str) -> Read<Self> {
        let root = parse(text)?;
        let root = match root.is_null() {
            true => Node::of(Kind::Map(Vec::new())),
            false => root,
        };
        root.as_map()?;
        let version = match root.get("version").map(|node| &node.kind) {
            Some(Kind::Scalar(text, _)) => Some(text.clone()),
            // A service may be called so.
            _ => None,
        };
        match version
            .as_deref()
            .map(|version| version.split('.').next().unwrap_or_default())
        {
            None | Some("1" | "2" | "3") => {}
            Some(_) => return Err(Problem::new("is neither 1, 2 nor 3").within("version")),
        }
        let is_first = version.as_deref().is_some_and(|version| version.starts_with('1'));
        let has_version = !is_first && (version.is_some() || is_group(root.get("services")));
        Ok(Self { root, has_version })
    }

    /// The defaults of the questions that a catalog asks.
    fn questions(&self) -> Read<BTreeMap<String, String>> {
        let mut defaults = BTreeMap::new();
        let Some(catalog) = self.root.get(".catalog").or_else(|| self.root.get("catalog")) else {
            return Ok(defaults);
        };
        let questions = catalog.get("questions").map(Node::as_list).transpose()?;
        for question in questions.unwrap_or_default() {
            if let (Some(name), Some(default)) = (question.get("variable"), question.get("default")) {
                defaults.insert(name.as_text()?.to_owned(), default.as_text()?.to_owned());
            }
        }
        Ok(defaults)
    }

    fn split(self, reader: &mut Reader<'_>) -> Read<Split> {
        let empty = || Node::of(Kind::Map(Vec::new()));
        let Kind::Map(entries) = self.root.kind else {
            return Err(Problem::new("a map is needed"));
        };
        let mut split = Split {
            services: empty(),
            volumes: empty(),
            secrets: empty(),
        };
        let mut first = Vec::new();
        for (key, node) in entries {
            match key.as_str() {
                ".catalog" | "version" => {}
                key if key.starts_with("x-") => {}
                _ if !self.has_version => first.push((key, node)),
                "services" => split.services = node,
                "volumes" => split.volumes = node,
                "secrets" => split.secrets = node,
                "catalog" | "name" => {}
                "configs" if !node.is_null() => return Err(node.wrong("the server has no files of yours").within(key)),
                "networks" => reader.warn(None, "networks", "all containers of a project are on one network"),
                key => reader.warn(None, key, "is not known"),
            }
        }
        if !self.has_version {
            split.services = Node::of(Kind::Map(first));
        }
        Ok(split)
    }
}

/// Whether a node is a map of maps: `services` of a file without a version, and no service of this name.
fn is_group(node: Option<&Node>) -> bool {
    let entries = node.and_then(|node| node.as_map().ok()).unwrap_or_default();
    !entries.is_empty() && entries.iter().all(|(_, node)| matches!(node.kind, Kind::Map(_)))
}

/// Puts sidekicks to their services.
fn units(reader: &mut Reader<'_>, all: Vec<Parts>) -> Read<Vec<Service>> {
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    for parts in &all {
        let within = |message: String| {
            Err(Problem::new(message)
                .within("io.rancher.sidekicks")
                .within(format!("service {}", parts.name)))
        };
        for sidekick in &parts.sidekicks {
            if *sidekick == parts.name || !all.iter().any(|other| other.name == *sidekick) {
                return within(format!("there is no other service {sidekick}"));
            }
            if let Some(owner) = owners
                .insert(sidekick.clone(), parts.name.clone())
                .filter(|o| *o != parts.name)
            {
                return within(format!("{sidekick} is a sidekick of {owner} already"));
            }
        }
    }
    let (sidekicks, primaries): (Vec<Parts>, Vec<Parts>) =
        all.into_iter().partition(|parts| owners.contains_key(&parts.name));
    if let Some(nested) = sidekicks.iter().find(|parts| !parts.sidekicks.is_empty()) {
        return Err(Problem::new("a sidekick has no sidekicks of its own").within(format!("service {}", nested.name)));
    }
    let mut sidekicks: BTreeMap<String, Parts> =
        sidekicks.into_iter().map(|parts| (parts.name.clone(), parts)).collect();
    let mut services = Vec::new();
    for mut parts in primaries {
        let place = format!("service {}", parts.name);
        let within = |problem: Problem| problem.within(place.as_str());
        let names = std::mem::take(&mut parts.sidekicks);
        let mut seconds = Vec::new();
        for name in names {
            let Some(sidekick) = sidekicks.remove(&name) else {
                continue;
            };
            seconds.push(Value::Object(second(reader, &mut parts, sidekick).map_err(within)?));
        }
        services.push(service(reader, parts, seconds).map_err(within)?);
    }
    for service in &services {
        if service.links.len() > MAX_LINKS {
            let message = format!("there are more than {MAX_LINKS}");
            return Err(Problem::new(message)
                .within("links")
                .within(format!("service {}", service.name)));
        }
        if let Some(link) = service.links.iter().find(|link| owners.contains_key(&link.service)) {
            let message = format!("{} is a sidekick: only its service can be linked to", link.service);
            return Err(Problem::new(message)
                .within("links")
                .within(format!("service {}", service.name)));
        }
    }
    Ok(services)
}

/// The launch configuration of a sidekick. Its links are those of its service.
fn second(reader: &mut Reader<'_>, primary: &mut Parts, sidekick: Parts) -> Read<Map<String, Value>> {
    let name = sidekick.name.clone();
    let kind = kind_of(&sidekick)?;
    if kind != "service" {
        return Err(Problem::new(format!("{name} cannot be a sidekick: it is a {kind}")));
    }
    for key in sidekick.fields.keys() {
        reader.warn(
            Some(&name),
            key,
            "a sidekick is as many as its service, and has no settings of its own",
        );
    }
    for link in sidekick.links.iter().filter(|link| link.service != primary.name) {
        if !primary.links.contains(link) {
            primary.links.push(link.clone());
        }
    }
    let mut config = launch(&sidekick)?;
    config.insert("name".into(), json!(name));
    if let Some(check) = sidekick.health_check {
        config.insert("healthCheck".into(), check);
    }
    Ok(config)
}

/// A launch configuration with its image.
fn launch(parts: &Parts) -> Read<Map<String, Value>> {
    let image = parts.image.as_deref().unwrap_or_default();
    if image.is_empty() {
        return Err(Problem::new("is missing").within("image"));
    }
    let mut config = parts.config.clone();
    let is_prefixed = image.starts_with("sim:") || image.starts_with("docker:");
    let image = if is_prefixed {
        image.to_owned()
    } else {
        format!("docker:{image}")
    };
    config.insert("imageUuid".into(), json!(image));
    Ok(config)
}

/// The images that stand for a kind of service.
pub(super) const KINDS: &[(&str, &str)] = &[
    ("rancher/dns-service", "dnsService"),
    ("rancher/external-service", "externalService"),
    ("rancher/lb-service-haproxy", "loadBalancerService"),
    ("rancher/load-balancer-service", "loadBalancerService"),
];

/// What kind of service an image stands for.
pub(super) fn kind_of_image(image: &str) -> &'static str {
    let plain = image
        .strip_prefix("sim:")
        .or_else(|| image.strip_prefix("docker:"))
        .unwrap_or(image);
    let plain = plain.split([':', '@']).next().unwrap_or_default();
    KINDS
        .iter()
        .find(|(known, _)| *known == plain)
        .map_or("service", |(_, kind)| kind)
}

fn kind_of(parts: &Parts) -> Read<&'static str> {
    let of_image = kind_of_image(parts.image.as_deref().unwrap_or_default());
    let kinds = ["service", "dnsService", "externalService", "loadBalancerService"];
    match parts.kind.as_deref() {
        None if !parts.outside_addresses.is_empty() => Ok("externalService"),
        None => Ok(of_image),
        Some(kind) => {
            let known = kinds.into_iter().find(|known| *known == kind);
            known.ok_or_else(|| Problem::new(format!("{kind} is not known")).within("type"))
        }
    }
}

fn service(reader: &mut Reader<'_>, mut parts: Parts, seconds: Vec<Value>) -> Read<Service> {
    let kind = kind_of(&parts)?;
    let has_containers = matches!(kind, "service" | "loadBalancerService");
    let mut fields = std::mem::take(&mut parts.fields);
    let balancing = match kind {
        "loadBalancerService" => Some(balancing::finish(&mut parts)?),
        _ if parts.balancing.is_empty() => None,
        _ => Some(balancing::finish(&mut parts)?),
    };
    if kind == "externalService" {
        let own = parts.config.remove("hostname").filter(|_| parts.outside_name.is_none());
        let name = parts.outside_name.take().map(Value::from).or(own);
        fields.extend(name.map(|name| ("hostname".to_owned(), name)));
        if !parts.outside_addresses.is_empty() {
            fields.insert("externalIpAddresses".into(), json!(parts.outside_addresses));
        }
        fields.extend(parts.health_check.take().map(|check| ("healthCheck".to_owned(), check)));
    } else if parts.outside_name.is_some() || !parts.outside_addresses.is_empty() {
        return Err(Problem::new("only an external service is elsewhere").within("hostname, external_ips"));
    }
    if has_containers {
        let mut config = launch(&parts)?;
        config.extend(parts.health_check.take().map(|check| ("healthCheck".to_owned(), check)));
        fields.insert("launchConfig".into(), Value::Object(config));
        if !seconds.is_empty() {
            fields.insert("secondaryLaunchConfigs".into(), Value::Array(seconds));
        }
    } else {
        if !seconds.is_empty() {
            return Err(Problem::new("a service without containers has none").within("io.rancher.sidekicks"));
        }
        for key in ["scale", "scalePolicy", "retainIp"] {
            if fields.remove(key).is_some() {
                reader.warn(Some(&parts.name), key, "there are no containers");
            }
        }
        if !parts.config.is_empty() {
            fields.insert("launchConfig".into(), Value::Object(std::mem::take(&mut parts.config)));
        }
    }
    Ok(Service {
        name: parts.name,
        kind: kind.to_owned(),
        fields,
        links: parts.links,
        balancing,
        pace: parts.pace,
    })
}

/// What is linked to first, as far as links do not go in circles; else as the file has it.
fn in_order(services: Vec<Service>) -> Vec<Service> {
    let needs = |service: &Service| -> Vec<String> {
        let rules = service
            .balancing
            .as_ref()
            .and_then(|b| b.get("portRules"))
            .and_then(Value::as_array);
        let targets = rules
            .into_iter()
            .flatten()
            .filter_map(|rule| rule.get(balancing::TARGET)?.as_str());
        let links = service.links.iter().map(|link| link.service.as_str());
        links.chain(targets).map(str::to_owned).collect()
    };
    let mut left = services;
    let mut ordered: Vec<Service> = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let open: BTreeSet<String> = left.iter().map(|service| service.name.clone()).collect();
        let is_ready = |service: &Service| {
            needs(service)
                .iter()
                .all(|name| *name == service.name || !open.contains(name))
        };
        let (mut ready, rest): (Vec<Service>, Vec<Service>) = left.into_iter().partition(is_ready);
        left = rest;
        if ready.is_empty() && !left.is_empty() {
            // A circle: one of it has to be first.
            ready.push(left.remove(0));
        }
        ordered.append(&mut ready);
    }
    ordered
}
