//! A service as Hyper's clients write it: read from a body, with what was left out, and checked as far as it says something by itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::body::Body;
use super::refusal::{Outcome, Refusal};

/// What a service is, in Hyper's words. No key of a certificate is in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Spec {
    /// Unique in a project.
    pub name: String,
    /// What its containers run.
    pub image: String,
    /// Where their program starts; empty for where the image says.
    pub working_dir: String,
    /// How large its balancer is.
    pub service_size: String,
    /// How large its containers are.
    pub container_size: String,
    /// As it was sent; `bridge` or empty.
    pub net_mode: String,
    /// What its containers are stopped with; empty for what the image says.
    pub stop_signal: String,
    /// Where its balancer listens.
    pub service_port: u16,
    /// Where its containers listen.
    pub container_port: u16,
    /// How many containers there are.
    pub replicas: i64,
    /// From one health check to the next, in seconds.
    pub health_check_interval: i64,
    /// So many failures in a row take a container out.
    pub health_check_fall: i64,
    /// So many successes in a row put it back.
    pub health_check_rise: i64,
    /// Whom the balancer asks next.
    pub algorithm: String,
    /// What the balancer speaks.
    pub protocol: String,
    /// Whether the standard input stays open.
    pub stdin: bool,
    /// Whether there is a terminal.
    pub tty: bool,
    /// Whether a client stays with its container.
    pub session_affinity: bool,
    /// In the place of the image's.
    pub entrypoint: Option<Vec<String>>,
    /// In the place of the image's.
    pub cmd: Option<Vec<String>>,
    /// `VAR=value`, or `VAR` for one that is taken out of the image's.
    pub env: Option<Vec<String>>,
    /// `volume:path`, or `volume:path:ro`.
    pub volumes: Option<Vec<String>>,
    /// Of its containers.
    pub labels: Option<BTreeMap<String, String>>,
}

/// A size: what it is called, mebibytes of memory, processors.
pub const SIZES: [(&str, i64, i64); 10] = [
    ("s1", 64, 1),
    ("s2", 128, 1),
    ("s3", 256, 1),
    ("s4", 512, 1),
    ("m1", 1_024, 1),
    ("m2", 2_048, 2),
    ("m3", 4_096, 2),
    ("l1", 4_096, 4),
    ("l2", 8_192, 4),
    ("l3", 16_384, 8),
];

/// What is taken for a size that is not given.
const USUAL_SIZE: &str = "s4";
const ALGORITHMS: [&str; 3] = ["roundrobin", "leastconn", "source"];
/// What a balancer speaks; TLS goes through it by `https`, and ends at it by `httpsTerm`.
const PROTOCOLS: [&str; 4] = ["http", "https", "tcp", "httpsTerm"];
/// The one protocol that needs a certificate.
pub const ENDS_TLS: &str = "httpsTerm";
/// The longest name: that of its balancer is longer by three characters, and a name in DNS has at most 63.
const LONGEST_NAME: usize = 60;
/// The longest name of an image: registry, path, tag and digest.
const LONGEST_IMAGE: usize = 512;
/// The longest interval between two health checks, in seconds, and the most of them.
const MOST_CHECKS: i64 = 3_600;

impl Spec {
    /// Reads the body of a create.
    ///
    /// # Errors
    /// 400 that names the field; 501 for what has no counterpart here.
    pub fn read(body: &Body) -> Outcome<Self> {
        let text = |name: &str| body.text(name).map(Option::unwrap_or_default);
        let image = text("Image")?;
        check_image(&image)?;
        let service_port =
            port(body, "ServicePort")?.ok_or_else(|| Refusal::field("ServicePort", "a port is needed"))?;
        let spec = Self {
            name: name(text("Name")?)?,
            image,
            working_dir: text("WorkingDir")?,
            service_size: size(body, "ServiceSize")?,
            container_size: size(body, "ContainerSize")?,
            net_mode: one_of(text("NetMode")?, "NetMode", &["", "bridge"], "")?,
            stop_signal: text("StopSignal")?,
            service_port,
            container_port: port(body, "ContainerPort")?.unwrap_or(service_port),
            replicas: replicas(body)?.unwrap_or(1),
            health_check_interval: checks(body, "HealthCheckInterval", 5)?,
            health_check_fall: checks(body, "HealthCheckFall", 3)?,
            health_check_rise: checks(body, "HealthCheckRise", 2)?,
            algorithm: one_of(text("Algorithm")?, "Algorithm", &ALGORITHMS, "roundrobin")?,
            protocol: one_of(text("Protocol")?, "Protocol", &PROTOCOLS, "tcp")?,
            stdin: body.truth("Stdin")?,
            tty: body.truth("Tty")?,
            session_affinity: body.truth("SessionAffinity")?,
            entrypoint: body.texts("Entrypoint", true)?,
            cmd: body.texts("Cmd", true)?,
            env: body.texts("Env", false)?,
            volumes: body.set("Volumes")?,
            labels: body.labels("Labels")?,
        };
        if body.set("SecurityGroups")?.is_some_and(|groups| !groups.is_empty()) {
            return Err(Refusal::not_built(
                "SecurityGroups: security groups are not part of this server",
            ));
        }
        check_words(&spec)?;
        Ok(spec)
    }

    /// Whether the balancer reads what it passes on.
    pub fn is_http(&self) -> bool {
        matches!(self.protocol.as_str(), "http" | ENDS_TLS)
    }
}

/// Checks the name of an image.
///
/// # Errors
/// 400 for what cannot be one.
pub fn check_image(image: &str) -> Outcome<()> {
    let is_known = |c: char| c.is_ascii_alphanumeric() || "._-/:@+".contains(c);
    match !image.is_empty() && image.len() <= LONGEST_IMAGE && image.chars().all(is_known) {
        true => Ok(()),
        false => Err(Refusal::field("Image", "the name of an image is needed")),
    }
}

/// How many containers a body asks for.
pub fn replicas(body: &Body) -> Outcome<Option<i64>> {
    match body.number("Replicas")? {
        Some(count) if count < 1 => Err(Refusal::field("Replicas", "at least 1")),
        count => Ok(count),
    }
}

fn name(given: String) -> Outcome<String> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let is_edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let (first, last) = (given.chars().next(), given.chars().last());
    if given.is_empty() {
        return Ok(given);
    }
    match given.len() <= LONGEST_NAME && given.chars().all(is_good) && is_edge(first) && is_edge(last) {
        true => Ok(given),
        false => Err(Refusal::field(
            "Name",
            format!("letters, digits, and hyphens between them, at most {LONGEST_NAME} in all"),
        )),
    }
}

fn port(body: &Body, name: &str) -> Outcome<Option<u16>> {
    match body.number(name)? {
        // The command line sends this for none.
        None | Some(0) => Ok(None),
        Some(number) => match u16::try_from(number) {
            Ok(port) => Ok(Some(port)),
            Err(_) => Err(Refusal::field(name, "a port, 1 to 65535")),
        },
    }
}

fn size(body: &Body, name: &str) -> Outcome<String> {
    let names: Vec<&str> = SIZES.iter().map(|(name, ..)| *name).collect();
    one_of(body.text(name)?.unwrap_or_default(), name, &names, USUAL_SIZE)
}

fn one_of(given: String, name: &str, known: &[&str], usual: &str) -> Outcome<String> {
    if given.is_empty() {
        return Ok(usual.to_owned());
    }
    match known.contains(&given.as_str()) {
        true => Ok(given),
        false => {
            let known: Vec<&str> = known.iter().filter(|word| !word.is_empty()).copied().collect();
            Err(Refusal::field(name, format!("{} (not {given:?})", known.join(", "))))
        }
    }
}

fn checks(body: &Body, name: &str, usual: i64) -> Outcome<i64> {
    match body.number(name)? {
        None | Some(0) => Ok(usual),
        Some(count) if (1..=MOST_CHECKS).contains(&count) => Ok(count),
        Some(_) => Err(Refusal::field(name, format!("1 to {MOST_CHECKS}"))),
    }
}

fn check_words(spec: &Spec) -> Outcome<()> {
    let is_signal = |c: char| c.is_ascii_alphanumeric() || "+-".contains(c);
    if !spec.stop_signal.chars().all(is_signal) {
        return Err(Refusal::field("StopSignal", "the name or the number of a signal"));
    }
    for volume in spec.volumes.iter().flatten() {
        let parts: Vec<&str> = volume.split(':').collect();
        let is_good = match parts.as_slice() {
            [name, path] | [name, path, "ro" | "rw"] => !name.is_empty() && path.starts_with('/'),
            _ => false,
        };
        if !is_good {
            return Err(Refusal::field(
                "Volumes",
                format!("{volume:?} is not volume:/path or volume:/path:ro"),
            ));
        }
    }
    let bad = spec
        .env
        .iter()
        .flatten()
        .find(|line| line.starts_with('=') || line.contains('\0'));
    match bad {
        Some(line) => Err(Refusal::field("Env", format!("{line:?} is not VAR=value"))),
        None => Ok(()),
    }
}

/// A certificate as it stands in `SSLCert`: the first one, those that signed it, and the key, whatever their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pem {
    /// The certificate.
    pub cert: String,
    /// Who signed it; may be empty.
    pub chain: String,
    /// The key.
    pub key: String,
}

impl Pem {
    /// Takes a text apart.
    ///
    /// # Errors
    /// 400 for what has not a certificate and a key in it, or something else beside them.
    pub fn read(text: &str) -> Outcome<Self> {
        let bad = |why: &str| Refusal::field("SSLCert", why);
        let mut pem = Self::default();
        let mut rest = text;
        while let Some(at) = rest.find("-----BEGIN ") {
            let block = rest.get(at..).unwrap_or_default();
            let label = block
                .get(11..)
                .and_then(|block| block.split_once("-----"))
                .map(|(label, _)| label);
            let label = label.ok_or_else(|| bad("it is not PEM"))?;
            let foot = format!("-----END {label}-----");
            let end = block
                .find(&foot)
                .ok_or_else(|| bad("it is not PEM: a block has no end"))?;
            let (block, after) = block.split_at(end + foot.len());
            let into = match label {
                "CERTIFICATE" if pem.cert.is_empty() => &mut pem.cert,
                "CERTIFICATE" => &mut pem.chain,
                label if label.ends_with("PRIVATE KEY") && pem.key.is_empty() => &mut pem.key,
                // Curves' names, which some tools write before a key.
                "EC PARAMETERS" => {
                    rest = after;
                    continue;
                }
                _ => {
                    return Err(bad(
                        "a certificate, those that signed it, and one private key are needed",
                    ));
                }
            };
            into.push_str(block);
            into.push('\n');
            rest = after;
        }
        match (pem.cert.is_empty(), pem.key.is_empty()) {
            (true, true) => Err(bad("it is not PEM")),
            (true, _) => Err(bad("there is no certificate in it")),
            (_, true) => Err(bad("there is no private key in it")),
            _ => Ok(pem),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    fn read(json: &str) -> Outcome<Spec> {
        Spec::read(&Body::parse(json.as_bytes()).unwrap())
    }

    #[test]
    fn what_is_left_out_is_what_hyper_takes_for_it() {
        let spec = read(r#"{"Name": "http", "Image": "nginx", "ServicePort": 80, "ContainerPort": 0}"#).unwrap();
        let words = [
            &spec.service_size,
            &spec.container_size,
            &spec.algorithm,
            &spec.protocol,
        ];
        assert_eq!(words, ["s4", "s4", "roundrobin", "tcp"]);
        let checks = [
            spec.health_check_interval,
            spec.health_check_fall,
            spec.health_check_rise,
        ];
        assert_eq!((checks, spec.container_port, spec.replicas), ([5, 3, 2], 80, 1));
        assert_eq!((spec.env, spec.labels, spec.net_mode.as_str()), (None, None, ""));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let with = |more: &str| read(&format!(r#"{{"Image": "nginx", "ServicePort": 80, {more}}}"#));
        for (more, field) in [
            (r#""Name": "a_b""#, "Name"),
            (r#""Name": "-a""#, "Name"),
            (r#""ServicePort": 0"#, "ServicePort"),
            (r#""ServicePort": 65536"#, "ServicePort"),
            (r#""ContainerPort": -1"#, "ContainerPort"),
            (r#""ContainerSize": "xl""#, "ContainerSize"),
            (r#""ServiceSize": "s5""#, "ServiceSize"),
            (r#""NetMode": "host""#, "NetMode"),
            (r#""Replicas": 0"#, "Replicas"),
            (r#""Replicas": "2""#, "Replicas"),
            (r#""Algorithm": "first""#, "Algorithm"),
            (r#""Protocol": "udp""#, "Protocol"),
            (r#""HealthCheckInterval": -1"#, "HealthCheckInterval"),
            (r#""HealthCheckFall": 4000"#, "HealthCheckFall"),
            (r#""StopSignal": "; rm""#, "StopSignal"),
            (r#""Volumes": ["a"]"#, "Volumes"),
            (r#""Volumes": ["a:b"]"#, "Volumes"),
            (r#""Volumes": ["a:/b:rx"]"#, "Volumes"),
            (r#""Env": ["=a"]"#, "Env"),
            (r#""Image": " ""#, "Image"),
        ] {
            let refusal = with(more).unwrap_err();
            assert_eq!(refusal.status.as_u16(), 400, "{more}");
            assert!(
                refusal.message.starts_with(&format!("{field}: ")),
                "{more}: {}",
                refusal.message
            );
        }
        assert_eq!(
            with(r#""SecurityGroups": {"web": {}}"#).unwrap_err().status.as_u16(),
            501
        );
        assert!(with(r#""SecurityGroups": {}, "Volumes": {"a:/b:ro": {}}"#).is_ok());
    }

    #[test]
    fn a_certificate_is_taken_apart_whatever_its_order() {
        let block = |label: &str, text: &str| format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n");
        let (one, two, key) = (
            block("CERTIFICATE", "QQ=="),
            block("CERTIFICATE", "Qg=="),
            block("RSA PRIVATE KEY", "Qw=="),
        );
        for text in [format!("{one}{two}{key}"), format!("note\n{key}{one}\n\n{two}")] {
            let pem = Pem::read(&text).unwrap();
            assert_eq!((pem.cert, pem.chain, pem.key), (one.clone(), two.clone(), key.clone()));
        }
        for bad in [
            String::new(),
            "x".to_owned(),
            one.clone(),
            key.clone(),
            format!("{one}{key}{key}"),
            format!("{one}{}", block("PGP MESSAGE", "")),
            format!("{one}-----BEGIN PRIVATE KEY-----\nQw=="),
            "-----BEGIN ".to_owned(),
        ] {
            let refusal = Pem::read(&bad).unwrap_err();
            assert!(refusal.message.starts_with("SSLCert: "), "{bad}");
        }
    }
}
