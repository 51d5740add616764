//! Which rules lead to which servers, and in which order they are asked.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::balancer_table::{Protocol, Rule, Table, Target, is_address, is_backend, is_host, is_path};

/// All of a table's ports and servers, with names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    /// One for each port.
    pub frontends: Vec<Frontend>,
    /// By name.
    pub backends: BTreeMap<String, Backend>,
}

/// A port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontend {
    /// The port.
    pub port: u16,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Whether connections begin with a line of the PROXY protocol.
    pub accepts_proxy: bool,
    /// The first that fits counts.
    pub routes: Vec<Route>,
}

/// Requests that go to the same servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// None is any.
    pub host: Option<Match>,
    /// None is any.
    pub path: Option<Match>,
    /// The name of the servers.
    pub backend: String,
}

/// How a text is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// This.
    Is(String),
    /// With this at its beginning.
    Begins(String),
    /// With this at its end.
    Ends(String),
}

/// Servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Whether requests are read.
    pub is_http: bool,
    /// By what they are told apart.
    pub servers: BTreeMap<String, Server>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Where it is.
    pub target: Target,
    /// 0 to 256.
    pub weight: u16,
}

/// What each server gets if nobody says otherwise: half of the most, so that others can get more.
const WEIGHT: u16 = 128;

/// The highest weight.
const MOST: u16 = 256;

/// Finds the way of everything in a table. What is no legal word is left out.
pub fn routes(table: &Table) -> Routes {
    let mut all = Routes::default();
    let mut ports = BTreeSet::new();
    for listener in table.listeners.iter().filter(|listener| ports.insert(listener.port)) {
        let mut rules: Vec<&Rule> = listener.rules.iter().filter(|rule| is_legal(rule)).collect();
        rules.sort_by_key(|rule| rank(rule));
        let mut routes: Vec<Route> = Vec::new();
        for rule in rules {
            let (host, path) = (host_of(rule, listener.protocol), path_of(rule, listener.protocol));
            let known = routes.iter().find(|route| route.host == host && route.path == path);
            let backend = match known {
                Some(route) => route.backend.clone(),
                None => {
                    let name = all.name(rule, listener.port, listener.protocol);
                    routes.push(Route {
                        host,
                        path,
                        backend: name.clone(),
                    });
                    name
                }
            };
            all.add(&backend, rule, listener.protocol);
        }
        all.frontends.push(Frontend {
            port: listener.port,
            protocol: listener.protocol,
            accepts_proxy: listener.accepts_proxy,
            routes,
        });
    }
    all
}

impl Routes {
    /// What the servers of a rule are called: as the user says, or by what leads to them.
    fn name(&self, rule: &Rule, port: u16, protocol: Protocol) -> String {
        let made = if rule.backend.is_empty() {
            let text = [port.to_string(), rule.host.clone(), rule.path.clone()].join("_");
            let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
            text.chars()
                .map(plain)
                .collect::<String>()
                .trim_end_matches('_')
                .to_owned()
        } else {
            rule.backend.clone()
        };
        let is_free = |name: &str| match self.backends.get(name) {
            None => true,
            // Who gives two rules one name means one set of servers.
            Some(there) => !rule.backend.is_empty() && there.is_http == protocol.is_http(),
        };
        if is_free(&made) {
            return made;
        }
        let more = (2..).map(|n: u32| format!("{made}_{n}"));
        more.into_iter().find(|name| is_free(name)).unwrap_or(made)
    }

    fn add(&mut self, backend: &str, rule: &Rule, protocol: Protocol) {
        let there = self.backends.entry(backend.to_owned()).or_insert_with(|| Backend {
            is_http: protocol.is_http(),
            servers: BTreeMap::new(),
        });
        let weight = rule.weight.unwrap_or(WEIGHT).min(MOST);
        for (id, target) in rule.targets.iter().filter(|(_, target)| is_address(&target.address)) {
            // A port tells one service's two rules apart that lead to the same place.
            let id = format!("{id}:{}", target.port);
            let target = target.clone();
            there.servers.entry(id).or_insert(Server { target, weight });
        }
    }
}

fn is_legal(rule: &Rule) -> bool {
    (rule.host.is_empty() || is_host(&rule.host))
        && (rule.path.is_empty() || is_path(&rule.path))
        && (rule.backend.is_empty() || is_backend(&rule.backend))
}

/// By what rules are asked first: a priority, a whole host name, a host name with a `*`, a path, the longer one first. One that
/// fits everything is the last, whatever its priority: it would hide all others.
fn rank(rule: &Rule) -> impl Ord {
    let host = match rule.host.as_str() {
        "" | "*" => 2,
        wild if wild.contains('*') => 1,
        _ => 0,
    };
    let longest_first = |text: &str| std::cmp::Reverse(text.len());
    (
        host == 2 && is_any_path(&rule.path),
        rule.priority.unwrap_or(u32::MAX),
        host,
        is_any_path(&rule.path),
        longest_first(&rule.host),
        longest_first(&rule.path),
    )
}

fn is_any_path(path: &str) -> bool {
    matches!(path, "" | "/" | "*" | "/*")
}

/// As it is looked for: host names have no capital letters.
fn host_of(rule: &Rule, protocol: Protocol) -> Option<Match> {
    let host = rule.host.to_ascii_lowercase();
    if !protocol.knows_host() || host.is_empty() || host == "*" {
        return None;
    }
    if let Some(end) = host.strip_prefix('*') {
        return Some(Match::Ends(end.to_owned()));
    }
    Some(match host.strip_suffix('*') {
        Some(beginning) => Match::Begins(beginning.to_owned()),
        None => Match::Is(host),
    })
}

fn path_of(rule: &Rule, protocol: Protocol) -> Option<Match> {
    if !protocol.is_http() || is_any_path(&rule.path) {
        return None;
    }
    let path = rule.path.strip_suffix('*').unwrap_or(&rule.path);
    Some(match path.strip_prefix('*') {
        Some(end) => Match::Ends(end.to_owned()),
        None => Match::Begins(path.to_owned()),
    })
}
