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
