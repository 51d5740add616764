//! Images: what the project's engines have, and what registries say of others.

use actix_web::http::StatusCode;
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Value, json};

use super::caller::{Caller, Deed};
use super::image::is_reference;
use super::query::{Filters, Query};
use super::refusal::{Outcome, Refusal};
use crate::engine::{AskedRegistry, ImageDetails, ImageFound, RegistryAuth};

/// Credentials come with padding from some clients and without from others.
const HEADER: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// The longest header that is read, in bytes.
const LONGEST_HEADER: usize = 16 * 1024;

/// `GET /images/json`, the newest first.
pub async fn list(caller: &Caller, query: &Query) -> Outcome<Value> {
    may_see(caller)?;
    let filters = query.filters(&["dangling", "label", "before", "since", "reference"])?;
    let dangling = truth(&filters, "dangling")?;
    let mut all = caller.engine.images(&caller.scope, query.is_on("all")).await?;
    // By time; those of one second by name, so that the order is always the same.
    all.sort_by(|a, b| (b.created, &a.tags, &a.id).cmp(&(a.created, &b.tags, &b.id)));
    let made_at = |name: &str| -> Outcome<i64> {
        let found = all.iter().find(|image| is_called(image, name));
        found.map(|image| image.created).ok_or_else(|| missing(name))
    };
    let earliest = filters.of("since").unwrap_or_default().iter().map(|name| made_at(name));
    let earliest = earliest.collect::<Outcome<Vec<_>>>()?.into_iter().max();
    let latest = filters
        .of("before")
        .unwrap_or_default()
        .iter()
        .map(|name| made_at(name));
    let latest = latest.collect::<Outcome<Vec<_>>>()?.into_iter().min();
    let is_asked = |image: &&ImageFound| {
        earliest.is_none_or(|time| image.created > time)
            && latest.is_none_or(|time| image.created < time)
            && dangling.is_none_or(|wanted| image.tags.is_empty() == wanted)
            && filters.labels("label", &image.labels)
            && filters.fits("reference", |pattern| {
                image
                    .tags
                    .iter()
                    .chain(&image.digests)
                    .any(|name| is_like(name, pattern))
            })
    };
    Ok(all.iter().filter(is_asked).map(listed).collect())
}

/// `GET /images/{name}/json`.
pub async fn inspect(caller: &Caller, name: &str) -> Outcome<Value> {
    may_see(caller)?;
    let refuse = |refusal: Refusal| Refusal {
        message: format!("no such image: {name}: {}", refusal.message),
        ..refusal
    };
    let is_id = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_hexdigit());
    let is_known = name.starts_with("sim:") || is_id(name.strip_prefix("sha256:").unwrap_or(name));
    if !is_known {
        check_reference(name).map_err(refuse)?;
    }
    let found = caller.engine.image(&caller.scope, name).await?;
    found
        .map(|image| inspected(&image))
        .ok_or_else(|| refuse(missing(name)))
}

/// 400 for what is no name of an image.
fn check_reference(name: &str) -> Outcome<()> {
    let why = match (is_reference(name), is_reference(&name.to_lowercase())) {
        (true, _) => return Ok(()),
        (false, true) => ": repository name must be lowercase",
        (false, false) => "",
    };
    Err(Refusal::bad(format!("invalid reference format{why}")))
}

/// `GET /distribution/{name}/json`; `shown` is the header `X-Registry-Auth`.
pub async fn in_registry(caller: &Caller, name: &str, shown: Option<&str>) -> Outcome<Value> {
    // An engine goes to whatever registry is named, as it does for who may run an image.
    caller.may("service", Deed::Create)?;
    if !name.starts_with("sim:") {
        check_reference(name)?;
    }
    let auth = shown.map(credentials).transpose()?.flatten();
    match caller.engine.ask_registry(&caller.scope, name, auth).await? {
        AskedRegistry::Found(image) => {
            let platforms = image.platforms.iter().map(|platform| {
                let mut own = serde_json::Map::new();
                own.insert("architecture".into(), json!(platform.architecture));
                own.insert("os".into(), json!(platform.os));
                for (key, text) in [("os.version", &platform.os_version), ("variant", &platform.variant)] {
                    if !text.is_empty() {
                        own.insert(key.into(), json!(text));
                    }
                }
                Value::Object(own)
            });
            Ok(json!({
                "Descriptor": {"mediaType": image.media_type, "digest": image.digest, "size": image.size},
                "Platforms": platforms.collect::<Vec<_>>(),
            }))
        }
        AskedRegistry::Refused { status, message } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Err(Refusal::new(status, message))
        }
    }
}

/// Images are what containers are made of: who sees the ones sees the others.
fn may_see(caller: &Caller) -> Outcome<()> {
    caller.may("container", Deed::Read)?;
    match caller.shows("imageUuid") {
        true => Ok(()),
        false => Err(Refusal::new(StatusCode::FORBIDDEN, "this role does not see images")),
    }
}

fn missing(name: &str) -> Refusal {
    let last = name.rsplit('/').next().unwrap_or_default();
    let is_bare = is_reference(name) && !last.contains([':', '@']);
    let tag = if is_bare { ":latest" } else { "" };
    Refusal::new(StatusCode::NOT_FOUND, format!("No such image: {name}{tag}"))
}

/// A filter that is `true` or `false`.
fn truth(filters: &Filters, name: &str) -> Outcome<Option<bool>> {
    match filters.of(name).unwrap_or_default() {
        [] => Ok(None),
        [one] if matches!(one.as_str(), "true" | "1") => Ok(Some(true)),
        [one] if matches!(one.as_str(), "false" | "0") => Ok(Some(false)),
        other => Err(Refusal::bad(format!("Invalid filter '{name}=[{}]'", other.join(" ")))),
    }
}

/// Whether a word names an image, by its id, as far as it goes, or by one of its names.
fn is_called(image: &ImageFound, word: &str) -> bool {
    let id = image.id.strip_prefix("sha256:").unwrap_or(&image.id);
    let plain = word.strip_prefix("sha256:").unwrap_or(word);
    let tagged = format!("{word}:latest");
    let names = || image.tags.iter().chain(&image.digests);
    names().any(|name| name == word || *name == tagged) || (plain.len() > 3 && id.starts_with(plain))
}

/// Whether a name, with its tag or without, is like a pattern in which `*` and `?` stand for anything in one part of a path.
fn is_like(name: &str, pattern: &str) -> bool {
    let untagged = name.split('@').next().unwrap_or_default();
    let untagged = match untagged.rsplit_once(':') {
        Some((rest, tag)) if !tag.contains('/') => rest,
        _ => untagged,
    };
    [name, untagged].into_iter().any(|name| {
        let (name, pattern): (Vec<char>, Vec<char>) = (name.chars().collect(), pattern.chars().collect());
        matches(&name, &pattern)
    })
}

/// Whether a text is like a pattern: where a star took too little, it takes one character more.
fn matches(text: &[char], pattern: &[char]) -> bool {
    let (mut at, mut of) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        let here = text.get(at).copied().unwrap_or_default();
        match pattern.get(of) {
            Some('*') => {
                star = Some((of, at));
                of += 1;
            }
            Some(c) if *c == here || (*c == '?' && here != '/') => (at, of) = (at + 1, of + 1),
            _ => match star {
                Some((place, taken)) if text.get(taken).is_some_and(|c| *c != '/') => {
                    star = Some((place, taken + 1));
                    (at, of) = (taken + 1, place + 1);
                }
                _ => return false,
            },
        }
    }
    pattern.get(of..).unwrap_or_default().iter().all(|c| *c == '*')
}

fn or_none(names: &[String], none: &str) -> Vec<String> {
    match names {
        [] => vec![none.to_owned()],
        names => names.to_vec(),
    }
}

fn listed(image: &ImageFound) -> Value {
    let has_none = image.tags.is_empty() && image.digests.is_empty();
    let digests = match has_none {
        true => json!(or_none(&image.digests, "<none>@<none>")),
        false if image.digests.is_empty() => Value::Null,
        false => json!(image.digests),
    };
    let labels = match image.labels.is_empty() {
        true => Value::Null,
        false => json!(image.labels),
    };
    json!({
        "Containers": -1, "Created": image.created, "Id": image.id, "Labels": labels, "ParentId": image.parent, "RepoDigests": digests,
        "RepoTags": or_none(&image.tags, "<none>:<none>"), "SharedSize": -1, "Size": image.size, "VirtualSize": image.size,
    })
}

fn inspected(image: &ImageDetails) -> Value {
    // Clients rely on these, whatever an engine says.
    let mut config = json!({
        "Hostname": "", "Domainname": "", "User": "", "AttachStdin": false, "AttachStdout": false, "AttachStderr": false, "Tty": false,
        "OpenStdin": false, "StdinOnce": false, "Env": null, "Cmd": null, "Image": "", "Volumes": null, "WorkingDir": "",
        "Entrypoint": null, "OnBuild": null, "Labels": null,
    });
    if let Some(config) = config.as_object_mut() {
        let said = image.config.iter().filter(|(_, value)| **value != json!({}));
        config.extend(said.map(|(name, value)| (name.clone(), value.clone())));
    }
    json!({
        "Id": image.id, "RepoTags": image.tags, "RepoDigests": image.digests, "Parent": "", "Comment": image.comment,
        "Created": image.created, "Container": "", "DockerVersion": "", "Author": image.author, "Config": config,
        "Architecture": image.architecture, "Os": image.os, "Size": image.size, "VirtualSize": image.size,
        "RootFS": {"Type": "layers", "Layers": image.layers},
    })
}

/// What `X-Registry-Auth` says; none if that is nothing.
fn credentials(header: &str) -> Outcome<Option<RegistryAuth>> {
    let wrong = || Refusal::bad("invalid X-Registry-Auth header: neither JSON nor empty");
    if header.len() > LONGEST_HEADER {
        return Err(wrong());
    }
    // Some clients write it as other headers are written.
    let text = header.trim().replace('+', "-").replace('/', "_");
    if text.is_empty() {
        return Ok(None);
    }
    let read = HEADER.decode(text).map_err(|_| wrong())?;
    let read: Value = serde_json::from_slice(&read).map_err(|_| wrong())?;
    let text = |name: &str| {
        let members = read.as_object().into_iter().flatten();
        let mut found = members.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found
            .find_map(|(_, value)| value.as_str())
            .unwrap_or_default()
            .to_owned()
    };
    if !text("identitytoken").is_empty() || !text("registrytoken").is_empty() {
        return Err(Refusal::not_built(
            "X-Registry-Auth: tokens of registries are not part of this build",
        ));
    }
    let (username, password) = (text("username"), text("password"));
    Ok((!username.is_empty()).then(|| RegistryAuth {
        username,
        password,
        server: text("serveraddress"),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use base64::engine::general_purpose::{STANDARD, URL_SAFE as PADDED, URL_SAFE_NO_PAD};

    use super::*;

    #[test]
    fn patterns_stay_within_a_part_of_a_path() {
        for (name, pattern, fits) in [
            ("busybox:latest", "busybox", true),
            ("busybox:latest", "busy*:la?est", true),
            ("busybox:latest", "busy", false),
            ("a/b:1", "*", false),
            ("a/b:1", "a/*", true),
            ("a/b:1", "*/b:*", true),
            ("host:5000/a/b:1", "host:5000/a/b", true),
            ("a@sha256:0f", "a", true),
            ("aaaaaaaaaaaaaaaaaaaaaaaa:1", "*a*a*a*a*a*a*b", false),
        ] {
            assert_eq!(is_like(name, pattern), fits, "{name} {pattern}");
        }
    }

    #[test]
    fn credentials_are_read_however_they_are_written() {
        let said = br#"{"username":"anna","password":"hush>?>","serveraddress":"host:5000"}"#;
        for header in [STANDARD.encode(said), PADDED.encode(said), URL_SAFE_NO_PAD.encode(said)] {
            let read = credentials(&header).unwrap().unwrap();
            assert_eq!(
                (read.username.as_str(), read.password.as_str(), read.server.as_str()),
                ("anna", "hush>?>", "host:5000")
            );
        }
        for nothing in ["", "e30=", "e30"] {
            assert!(credentials(nothing).unwrap().is_none());
        }
        for (bad, status) in [
            ("%%%".to_owned(), 400),
            (PADDED.encode("x"), 400),
            (PADDED.encode(r#"{"identitytoken":"t"}"#), 501),
        ] {
            assert_eq!(credentials(&bad).err().unwrap().status, status);
        }
    }
}
