//! From a table to what HAProxy reads: its configuration, and files with certificates. Pure.
//!
//! No word of a user's gets into a line but by `routes.rs`, which knows only plain ones. A user's own lines (`config`) are laid
//! over by `sections.rs`; HAProxy checks them before they are used.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::places::{CERTIFICATES, STATISTICS};
use super::routes::{Backend, Frontend, Match, Route, Routes, Server};
use super::sections::{Section, merge, parse};
use super::slots::{Slots, is_named};
use crate::model::balancer_table::{Certificate, Mode, Protocol, Stickiness, Table, is_cookie, is_domain};

/// Where a balancer says that it goes by a table. Reserved for this in the API.
pub const HEALTH_PORT: u16 = 42;

/// What HAProxy reads, and how it is known again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Of all that cannot change while it runs.
    pub digest: String,
    /// The configuration.
    pub config: String,
    /// By their names.
    pub certificates: BTreeMap<String, String>,
}

/// What a balancer begins with, before it is told anything: it listens nowhere.
pub fn beginning() -> String {
    let sections = [global("beginning"), defaults()];
    write(&sections)
}

/// Writes everything down.
pub fn files(table: &Table, routes: &Routes, slots: &Slots) -> Files {
    let certificates: Vec<(String, String)> = table.certificates.iter().map(certificate_file).collect();
    let (custom, own_server_words) = parse(&table.config);
    let text = |digest: &str, who: Seats<'_>| {
        let mut sections = vec![global(digest), defaults(), resolvers(), health()];
        // Without a certificate nobody can be greeted: then nobody is listened to.
        let can_greet = |frontend: &&Frontend| !frontend.protocol.ends_tls() || !certificates.is_empty();
        let all = routes.frontends.iter().filter(can_greet);
        sections.extend(all.map(|frontend| frontend_section(frontend, &certificates)));
        sections.extend(routes.backends.iter().map(|(name, backend)| {
            let words = own_server_words.get(name).map_or("", String::as_str);
            backend_section(name, backend, table.stickiness.as_ref(), words, who)
        }));
        write(&merge(sections, &custom))
    };
    let digest = digest(text("", Seats::Blank(slots)).as_bytes());
    Files {
        config: text(&digest, Seats::Taken(slots)),
        digest,
        certificates: certificates.into_iter().collect(),
    }
}

/// Whether places are shown with who is in them.
#[derive(Clone, Copy)]
enum Seats<'a> {
    Blank(&'a Slots),
    Taken(&'a Slots),
}

/// What tells a text from others.
fn digest(text: &[u8]) -> String {
    let hash = Sha256::digest(text);
    hash.iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

/// The certificate, who signed it, and the key: in one file, whose name changes with it.
fn certificate_file(certificate: &Certificate) -> (String, String) {
    let parts = [&certificate.cert, &certificate.chain, &certificate.key];
    let mut text = String::new();
    for part in parts.map(|part| part.trim()).iter().filter(|part| !part.is_empty()) {
        text.push_str(part);
        text.push('\n');
    }
    (format!("{}.pem", digest(text.as_bytes())), text)
}

/// A section of ours. The last lines of it are never replaced.
fn section(head: &str, lines: Vec<String>, fixed: Vec<String>) -> Section {
    Section {
        head: head.to_owned(),
        lines,
        fixed,
    }
}

fn owned<const N: usize>(lines: [&str; N]) -> Vec<String> {
    lines.map(str::to_owned).to_vec()
}

fn global(digest: &str) -> Section {
    section(
        "global",
        owned([
            "log stdout format raw local0 notice",
            "maxconn 4096",
            "tune.ssl.default-dh-param 2048",
            "ssl-default-bind-options ssl-min-ver TLSv1.2",
            // Who never ends would keep the old process for ever at each new beginning.
            "hard-stop-after 1h",
        ]),
        vec![
            format!("stats socket {STATISTICS} mode 600 level admin expose-fd listeners"),
            format!("description drover {digest}"),
        ],
    )
}

fn defaults() -> Section {
    let lines = owned([
        "mode http",
        "log global",
        "balance roundrobin",
        "option dontlognull",
        "option redispatch",
        "retries 3",
        "timeout connect 5s",
        "timeout client 50s",
        "timeout server 50s",
        "timeout tunnel 1h",
    ]);
    section("defaults", lines, Vec::new())
}

/// Who is asked about servers that are known by a name.
fn resolvers() -> Section {
    section(
        "resolvers drover",
        owned(["parse-resolv-conf", "hold valid 10s"]),
        Vec::new(),
    )
}

fn health() -> Section {
    let lines = vec![
        format!("bind :{HEALTH_PORT}"),
        "mode http".to_owned(),
        "http-request return status 200".to_owned(),
    ];
    section("frontend drover_health", Vec::new(), lines)
}

fn frontend_section(frontend: &Frontend, certificates: &[(String, String)]) -> Section {
    let protocol = frontend.protocol;
    let mut bind = format!("bind :{}", frontend.port);
    if frontend.accepts_proxy {
        bind.push_str(" accept-proxy");
    }
    if protocol.ends_tls() {
        bind.push_str(" ssl");
        for (name, _) in certificates {
            let _ = write!(bind, " crt {CERTIFICATES}/{name}");
        }
        if protocol == Protocol::Https {
            bind.push_str(" alpn h2,http/1.1");
        }
    }
    let mut lines = vec![format!("mode {}", mode(protocol.is_http()))];
    if protocol.is_http() {
        let scheme = if protocol == Protocol::Https { "https" } else { "http" };
        lines.push("option forwardfor".to_owned());
        lines.push("http-request set-header X-Forwarded-Port %[dst_port]".to_owned());
        lines.push(format!("http-request set-header X-Forwarded-Proto {scheme}"));
    }
    let mut fixed = Vec::new();
    fixed.push(bind);
    if protocol == Protocol::Sni {
        fixed.push("tcp-request inspect-delay 5s".to_owned());
        fixed.push("tcp-request content accept if { req.ssl_hello_type 1 }".to_owned());
    }
    for (n, route) in frontend.routes.iter().enumerate() {
        fixed.extend(route_lines(n + 1, route, protocol));
    }
    section(&format!("frontend {}", frontend.port), lines, fixed)
}

fn mode(is_http: bool) -> &'static str {
    if is_http { "http" } else { "tcp" }
}

fn route_lines(n: usize, route: &Route, protocol: Protocol) -> Vec<String> {
    let host = match protocol {
        Protocol::Http | Protocol::Https => "req.hdr(host),field(1,:)",
        Protocol::Tls => "ssl_fc_sni",
        Protocol::Sni | Protocol::Tcp => "req.ssl_sni",
    };
    let mut lines = Vec::new();
    let mut conditions = Vec::new();
    for (what, of, text) in [("host", host, &route.host), ("path", "path", &route.path)] {
        if let Some(text) = text {
            let (how, word) = match text {
                Match::Is(word) => ("str", word),
                Match::Begins(word) => ("beg", word),
                Match::Ends(word) => ("end", word),
            };
            lines.push(format!("acl {what}_{n} {of} -i -m {how} -- {word}"));
            conditions.push(format!("{what}_{n}"));
        }
    }
    lines.push(match conditions.is_empty() {
        true => format!("default_backend {}", route.backend),
        false => format!("use_backend {} if {}", route.backend, conditions.join(" ")),
    });
    lines
}

fn backend_section(
    name: &str,
    backend: &Backend,
    stickiness: Option<&Stickiness>,
    words: &str,
    who: Seats<'_>,
) -> Section {
    let cookie = stickiness.filter(|policy| backend.is_http && is_cookie(&policy.cookie));
    let mut lines = vec![format!("mode {}", mode(backend.is_http))];
    lines.extend(cookie.map(cookie_line));
    let mut fixed = Vec::new();
    let sticks = |server: &str| cookie.map_or(String::new(), |_| format!(" cookie {server}"));
    let (Seats::Blank(slots) | Seats::Taken(slots)) = who;
    let is_blank = matches!(who, Seats::Blank(_));
    for (n, id) in slots.0.get(name).into_iter().flatten().enumerate() {
        let server = server_name(n);
        let there = id.as_ref().filter(|_| !is_blank).and_then(|id| backend.servers.get(id));
        let (place, end) = match there {
            Some(there) => (place_of(there), ""),
            None => ("127.0.0.1:9 weight 1".to_owned(), " disabled"),
        };
        fixed.push(format!("server {server} {place}{}{words}{end}", sticks(&server)));
    }
    let named = backend
        .servers
        .iter()
        .filter(|(_, server)| is_named(&server.target.address));
    for (n, (_, there)) in named.enumerate() {
        let server = format!("n{}", n + 1);
        let place = place_of(there);
        fixed.push(format!(
            "server {server} {place} resolvers drover init-addr libc,none{}{words}",
            sticks(&server)
        ));
    }
    section(&format!("backend {name}"), lines, fixed)
}

/// What the server in a place is called.
pub fn server_name(place: usize) -> String {
    format!("s{}", place + 1)
}

fn place_of(server: &Server) -> String {
    let address = match server.target.address.parse() {
        Ok(std::net::IpAddr::V6(address)) => format!("[{address}]"),
        Ok(std::net::IpAddr::V4(_)) | Err(_) => server.target.address.clone(),
    };
    format!("{address}:{} weight {}", server.target.port, server.weight)
}

fn cookie_line(policy: &Stickiness) -> String {
    let mode = match policy.mode {
        Mode::Insert => "insert",
        Mode::Rewrite => "rewrite",
        Mode::Prefix => "prefix",
    };
    let mut line = format!("cookie {} {mode}", policy.cookie);
    for (is_so, word) in [
        (policy.indirect, " indirect"),
        (policy.nocache, " nocache"),
        (policy.postonly, " postonly"),
    ] {
        if is_so {
            line.push_str(word);
        }
    }
    if is_domain(&policy.domain) {
        let _ = write!(line, " domain {}", policy.domain);
    }
    line
}

fn write(sections: &[Section]) -> String {
    let mut text = String::from("# Written by Drover; the next change writes it anew.\n");
    for section in sections {
        let _ = writeln!(text, "\n{}", section.head);
        for line in section.lines.iter().chain(&section.fixed) {
            let _ = writeln!(text, "    {line}");
        }
    }
    text
}
