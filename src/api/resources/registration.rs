//! What is shown of registration tokens and of registrations beyond what any row shows: addresses that depend on how the server
//! is reached, and keys for those who know one already.

use serde_json::{Map, Value};

use super::resource::Writer;
use crate::engine::Engine;
use crate::model::{Resource, State};

/// The image in the command, unless the setting `bootstrap.required.image` names another.
const IMAGE: &str = "rancher/agent:v1.2.11";
/// The fields of a registration that are for its maker alone.
const FOR_ITS_MAKER: [&str; 3] = ["key", "accessKey", "secretKey"];

/// Puts the last touches to the row that `out` ends with, from `start` on.
pub fn finish(out: &mut String, start: usize, writer: &Writer<'_>, row: &Resource) {
    let change: fn(&mut Map<String, Value>, &Writer<'_>, &Resource) = match row.kind.as_str() {
        "registrationToken" if row.root == "credential" => show_command,
        "register" if row.root == "genericObject" => hide_keys,
        _ => return,
    };
    let Some(Ok(Value::Object(mut object))) = out.get(start..).map(serde_json::from_str) else {
        return;
    };
    change(&mut object, writer, row);
    out.truncate(start);
    out.push_str(&Value::Object(object).to_string());
}

/// How a host joins with this token.
fn show_command(object: &mut Map<String, Value>, writer: &Writer<'_>, _: &Resource) {
    let Some(token) = object.get("token").and_then(Value::as_str) else {
        return;
    };
    let url = format!("{}/scripts/{token}", api_root(writer));
    let image = image(writer.engine);
    let mounts = "-v /var/run/docker.sock:/var/run/docker.sock -v /var/lib/rancher:/var/lib/rancher";
    let command = format!("sudo docker run --rm --privileged {mounts} {image} {url}");
    // Quirk: no schema has this one (cattle: `RegistrationTokenOutputFilter`).
    let windows = format!("docker run --rm -v '//./pipe/docker_engine://./pipe/docker_engine' {image} {url}");
    if let Some(links) = object.get_mut("links").and_then(Value::as_object_mut) {
        links.insert("registrationUrl".into(), url.clone().into());
    }
    for (name, value) in [("command", command), ("image", image), ("registrationUrl", url)] {
        if object.contains_key(name) {
            object.insert(name.into(), value.into());
        }
    }
    object.insert("windowsCommand".into(), windows.into());
}

/// Where hosts reach the API: as the caller did, or at the setting `api.host`.
fn api_root(writer: &Writer<'_>) -> String {
    match writer.engine.setting("api.host").filter(|host| !host.is_empty()) {
        Some(host) => with_host(writer.root, &host),
        None => writer.root.to_owned(),
    }
}

/// `root` at another host; `host` may come with a scheme, or without.
fn with_host(root: &str, host: &str) -> String {
    let path = root
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('/'))
        .map_or("", |(_, path)| path);
    let host = host.trim_end_matches('/');
    let origin = if host.contains("://") {
        host.to_owned()
    } else {
        format!("http://{host}")
    };
    format!("{origin}/{path}")
}

/// Quirk: who does not give the right `key` does not even learn that there are such fields (cattle: `RegisterOutputFilter`).
fn hide_keys(object: &mut Map<String, Value>, writer: &Writer<'_>, row: &Resource) {
    let is_known =
        row.state == State::ACTIVE && writer.key.is_some() && object.get("key").and_then(Value::as_str) == writer.key;
    if !is_known {
        FOR_ITS_MAKER.iter().for_each(|name| drop(object.shift_remove(*name)));
    }
}

/// What a host runs that joins with this token; `root` is where the API is.
pub fn script(engine: &Engine, root: &str, token: &str) -> String {
    format!(
        include_str!("join.sh"),
        url = quoted(root),
        token = quoted(token),
        image = quoted(&image(engine))
    )
}

fn image(engine: &Engine) -> String {
    engine
        .setting("bootstrap.required.image")
        .filter(|i| !i.is_empty())
        .unwrap_or_else(|| IMAGE.into())
}

/// A word of a shell that means nothing but itself, whatever a client sent.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_script_are_quoted() {
        assert_eq!(quoted("http://h/v1"), "'http://h/v1'");
        assert_eq!(quoted("a'; rm -rf '/"), r"'a'\''; rm -rf '\''/'");
    }

    #[test]
    fn another_host_keeps_the_path() {
        let root = "http://one:8080/v2-beta/projects/1a5";
        assert_eq!(with_host(root, "two"), "http://two/v2-beta/projects/1a5");
        assert_eq!(
            with_host(root, "https://two:444/"),
            "https://two:444/v2-beta/projects/1a5"
        );
    }
}
