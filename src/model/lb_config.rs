//! `lbConfig` in the API's own words: what a balancer is to do, and what a service says of itself to balancers that select it.

use serde::Deserialize;

use super::balancer_table::{Mode, Stickiness};

/// The image that Rancher's clients name for a balancer, whatever its version: this server runs what its setting says.
const ORIGINAL_IMAGES: [&str; 3] = [
    "rancher/lb-service-haproxy",
    "rancher/load-balancer-service",
    "rancher/agent-instance",
];

/// On a balancer: ports at which connections begin with a line of the PROXY protocol, with commas.
pub const LABEL_PROXY_PORTS: &str = "io.rancher.loadbalancer.proxy-protocol.ports";

/// On a balancer: whether containers on its own host are asked first, or alone.
pub const LABEL_TARGET: &str = "io.rancher.lb_service.target";

/// Where the servers of a balancer may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Nearness {
    /// Anywhere.
    #[default]
    Any,
    /// On the balancer's host, and elsewhere only as long as none is there.
    PreferLocal,
    /// On the balancer's host.
    OnlyLocal,
}

impl Nearness {
    /// By the word of [`LABEL_TARGET`]; none for a word that is none of its.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word.trim() {
            "any" => Self::Any,
            "prefer-local" => Self::PreferLocal,
            "only-local" => Self::OnlyLocal,
            _ => return None,
        })
    }
}

/// A balancer's own health is asked here, so nobody else can have it.
pub const RESERVED_PORT: i64 = 42;

/// `lbConfig` of a `loadBalancerService`.
#[expect(missing_docs, reason = "the fields carry the API's own names")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LbConfig {
    pub port_rules: Option<Vec<PortRule>>,
    /// Wire ids.
    pub certificate_ids: Option<Vec<String>>,
    /// Wire id.
    pub default_certificate_id: Option<String>,
    pub config: Option<String>,
    pub stickiness_policy: Option<StickinessPolicy>,
}

/// `portRule`; as `targetPortRule` it has fewer fields.
#[expect(missing_docs, reason = "the fields carry the API's own names")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PortRule {
    pub source_port: Option<u16>,
    pub target_port: Option<u16>,
    pub protocol: Option<String>,
    pub hostname: Option<String>,
    pub path: Option<String>,
    pub priority: Option<u32>,
    pub backend_name: Option<String>,
    /// Wire id.
    pub service_id: Option<String>,
    pub selector: Option<String>,
    pub weight: Option<u16>,
    pub region: Option<String>,
    pub environment: Option<String>,
}

/// `loadBalancerCookieStickinessPolicy`.
#[expect(missing_docs, reason = "the fields carry the API's own names")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct StickinessPolicy {
    pub cookie: Option<String>,
    pub domain: Option<String>,
    pub indirect: Option<bool>,
    pub mode: Option<String>,
    pub name: Option<String>,
    pub nocache: Option<bool>,
    pub postonly: Option<bool>,
}

impl StickinessPolicy {
    /// As a balancer is told. A cookie without a name has the policy's.
    pub fn told(&self) -> Option<Stickiness> {
        let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Some(Stickiness {
            cookie: text(&self.cookie).or_else(|| text(&self.name))?,
            domain: text(&self.domain).unwrap_or_default(),
            mode: match self.mode.as_deref() {
                Some("rewrite") => Mode::Rewrite,
                Some("prefix") => Mode::Prefix,
                _ => Mode::Insert,
            },
            indirect: self.indirect.unwrap_or(false),
            nocache: self.nocache.unwrap_or(false),
            postonly: self.postonly.unwrap_or(false),
        })
    }
}

/// Whether a client means the balancer's image of this server, and not one of its own: also if it names none.
pub fn means_balancer_image(image_uuid: &str) -> bool {
    let plain = image_uuid.strip_prefix("docker:").unwrap_or(image_uuid);
    let name = plain.split(':').next().unwrap_or_default();
    plain.trim().is_empty() || ORIGINAL_IMAGES.contains(&name)
}

/// On a balancer: the ports at which TLS ends, with commas. It stands for the protocol where there are no rules.
pub const LABEL_SSL_PORTS: &str = "io.rancher.loadbalancer.ssl.ports";

/// Where a target was said to be before there were rules: one entry of a link's `ports`, `[source:][host][/path][=port]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OlderTarget {
    /// Only at this port of the balancer; none is each.
    pub source: Option<u16>,
    /// Only for this host name.
    pub hostname: Option<String>,
    /// Only below this path.
    pub path: Option<String>,
    /// The target's port; none is the balancer's own.
    pub port: Option<u16>,
}

impl OlderTarget {
    /// Reads an entry; none if it is none.
    pub fn parse(entry: &str) -> Option<Self> {
        let (place, port) = entry.trim().split_once('=').unwrap_or((entry.trim(), ""));
        let port = match port {
            "" => None,
            text => Some(text.parse().ok()?),
        };
        let (place, path) = match place.find('/') {
            Some(at) => place.split_at(at),
            None => (place, ""),
        };
        let (source, host) = match (place.split_once(':'), place.parse::<u16>()) {
            (Some((first, host)), _) if first.parse::<u16>().is_ok() => (first, host),
            // The other way round is written as well.
            (Some((host, last)), _) => (last, host),
            (None, Ok(_)) => (place, ""),
            (None, Err(_)) => ("", place),
        };
        let source = match source {
            "" => None,
            text => Some(text.parse().ok()?),
        };
        let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Some(Self {
            source,
            hostname: said(host),
            path: said(path),
            port,
        })
    }
}

/// Whether TLS ends at a port, as the label of a balancer says it.
pub fn is_ssl_port(label: Option<&str>, port: u16) -> bool {
    let ports = label.unwrap_or_default().split(',');
    ports.into_iter().any(|text| text.trim() == port.to_string())
}

/// Lines for HAProxy as one text, of the two sections that could be said before.
pub fn older_lines(global: Option<&str>, defaults: Option<&str>) -> String {
    let sections = [("global", global), ("defaults", defaults)];
    let said = sections
        .into_iter()
        .filter_map(|(head, lines)| Some((head, lines?.trim_end())).filter(|(_, lines)| !lines.is_empty()));
    said.map(|(head, lines)| format!("{head}\n{lines}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_originals_images_mean_our_own() {
        for (image, expected) in [
            ("docker:rancher/lb-service-haproxy:v0.9.14", true),
            ("rancher/lb-service-haproxy", true),
            ("docker:rancher/agent-instance:v0.8.1", true),
            ("", true),
            ("docker:haproxy:3.0", false),
            ("docker:me/lb-service-haproxy:1", false),
            ("sim:lb", false),
        ] {
            assert_eq!(means_balancer_image(image), expected, "{image}");
        }
    }

    #[test]
    fn older_targets_are_read() {
        let target = |source, hostname: &str, path: &str, port| OlderTarget {
            source,
            hostname: (!hostname.is_empty()).then(|| hostname.to_owned()),
            path: (!path.is_empty()).then(|| path.to_owned()),
            port,
        };
        for (entry, expected) in [
            ("80", Some(target(Some(80), "", "", None))),
            ("80=8080", Some(target(Some(80), "", "", Some(8080)))),
            ("a.example", Some(target(None, "a.example", "", None))),
            ("a.example/x=81", Some(target(None, "a.example", "/x", Some(81)))),
            (
                "a.example:443/x=81",
                Some(target(Some(443), "a.example", "/x", Some(81))),
            ),
            ("443:a.example/x", Some(target(Some(443), "a.example", "/x", None))),
            ("/x/y", Some(target(None, "", "/x/y", None))),
            ("a=b", None),
            ("a:b", None),
            ("a=70000", None),
        ] {
            assert_eq!(OlderTarget::parse(entry), expected, "{entry}");
        }
    }

    #[test]
    fn a_cookie_without_a_name_has_the_policys() {
        let policy = StickinessPolicy {
            name: Some("stay".into()),
            cookie: Some(String::new()),
            mode: Some("prefix".into()),
            ..StickinessPolicy::default()
        };
        let told = policy.told().unwrap_or_default();
        assert_eq!((told.cookie.as_str(), told.mode), ("stay", Mode::Prefix));
        assert_eq!(StickinessPolicy::default().told(), None);
    }
}
