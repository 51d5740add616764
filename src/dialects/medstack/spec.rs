//! A service in MedStack Control's words: read from a body, over what it was, and checked as far as that needs nobody else.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::read::Members;
use super::refusal::{Form, Outcome};
use super::words;

/// The most entries of a list of a service.
const MOST: usize = 100;
/// The most variables.
const MOST_VARIABLES: usize = 1_000;
/// The longest line of words, and the longest value of a variable, in bytes.
const LONGEST_LINE: usize = 32 * 1024;
/// The longest other text, in bytes.
const LONGEST_TEXT: usize = 512;
/// The longest time, in seconds.
const LONGEST_TIME: i64 = 3_600;
/// The most there are of what is counted in 32 bits.
const MOST_COUNTED: i64 = i32::MAX as i64;

/// A service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spec {
    /// What it is called, which never changes.
    pub name: String,
    /// Its image.
    pub image: String,
    /// How many containers.
    pub replicas: i64,
    /// What is run in place of the image's entry point, as a line of words.
    pub command: String,
    /// What that is given, as a line of words.
    pub args: String,
    /// Domains that lead to it.
    pub hosts: Vec<String>,
    /// Where its containers listen.
    pub port: Option<u16>,
    /// What they speak there.
    pub protocol: String,
    /// What is asked for there to know how one is.
    pub healthcheck_path: String,
    /// How often, in seconds.
    pub healthcheck_interval: Option<i64>,
    /// How long an answer may take, in seconds.
    pub healthcheck_timeout: Option<i64>,
    /// Secrets as files.
    pub secrets: Vec<File>,
    /// Configs as files.
    pub configs: Vec<File>,
    /// Volumes.
    pub mounts: Vec<Mount>,
    /// Variables, in their order.
    pub environment_variables: Vec<Variable>,
    /// Where containers may be.
    pub placement_constraints: Vec<String>,
    /// How it goes to a new version.
    pub update: Policy,
    /// How it goes back.
    pub rollback: Policy,
}

/// A secret or a config as a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct File {
    /// By what it was named.
    pub name: String,
    /// Where the file is.
    pub file_name: String,
    /// The number of its owner.
    pub uid: i64,
    /// The number of its group.
    pub gid: i64,
    /// As it was said.
    pub mode: String,
}

/// A volume in a container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Mount {
    /// By what the volume was named.
    pub source: String,
    /// Where it is.
    pub target: String,
    /// Whether nothing is written there.
    pub readonly: bool,
}

/// A variable of the environment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name.
    pub key: String,
    /// What it says.
    pub value: String,
}

/// How containers are replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// `stop-first`, `start-first`.
    pub order: String,
    /// Seconds between two batches.
    pub delay: i64,
    /// So many at a time; 0 is all.
    pub parallelism: i64,
    /// `continue`, `pause`, `rollback`.
    pub failure_action: String,
    /// Which share may fail.
    pub max_failure_ratio: f64,
    /// For how many seconds new ones are watched.
    pub monitor: i64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            order: "stop-first".to_owned(),
            delay: 0,
            parallelism: 1,
            failure_action: "pause".to_owned(),
            max_failure_ratio: 0.0,
            monitor: 5,
        }
    }
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            name: String::new(),
            image: String::new(),
            replicas: 1,
            command: String::new(),
            args: String::new(),
            hosts: Vec::new(),
            port: None,
            protocol: "http".to_owned(),
            healthcheck_path: String::new(),
            healthcheck_interval: None,
            healthcheck_timeout: None,
            secrets: Vec::new(),
            configs: Vec::new(),
            mounts: Vec::new(),
            environment_variables: Vec::new(),
            placement_constraints: Vec::new(),
            update: Policy::default(),
            rollback: Policy::default(),
        }
    }
}

/// The service that a body describes over what it is without saying more: an empty one to make or to replace one, the service
/// as it is to change one.
///
/// # Errors
/// 400 for the first field that is wrong.
pub fn read(body: Value, over: Spec, is_new: bool) -> Outcome<Spec> {
    let mut own = Members::new(Form::Prefixed, unwrapped(body));
    let mut spec = over;
    read_name(&mut own, &mut spec, is_new)?;
    set_text(&mut own, "image", &mut spec.image, String::new())?;
    if spec.image.is_empty() {
        return own.wrong("image", "must be given");
    }
    if !spec.image.chars().all(|c| c.is_ascii_graphic()) {
        return own.wrong("image", "must be the reference of an image");
    }
    if let Some(replicas) = given(&mut own, "replicas", |own| own.number("replicas", 0, MOST_COUNTED))? {
        spec.replicas = replicas.unwrap_or(1);
    }
    for (field, line) in [("command", &mut spec.command), ("args", &mut spec.args)] {
        if let Some(text) = given(&mut own, field, |own| own.text(field))? {
            *line = text.unwrap_or_default();
        }
        if line.len() > LONGEST_LINE || words::split(line).is_none() {
            return own.wrong(field, "must be a line of words whose quotes are closed");
        }
    }
    read_routing(&mut own, &mut spec)?;
    read_lists(&mut own, &mut spec)?;
    read_policy(&mut own, "update", &mut spec.update, &["continue", "pause", "rollback"])?;
    read_policy(&mut own, "rollback", &mut spec.rollback, &["continue", "pause"])?;
    // Clients send back what they read.
    own.take("id");
    own.take("object");
    match own.text("mode")?.as_deref().filter(|_| !is_new) {
        None | Some("" | "replicated") => {}
        Some(_) => return own.wrong("mode", "must be replicated"),
    }
    own.end()?;
    Ok(spec)
}

/// The object inside `{"value": {…}}`, or what was sent without it.
fn unwrapped(body: Value) -> Value {
    match body {
        Value::Object(mut all) if all.len() == 1 && all.get("value").is_some_and(Value::is_object) => {
            all.shift_remove("value").unwrap_or_default()
        }
        body => body,
    }
}

/// Reads a member if it is there: what is not there stays as it is, and null is a default.
fn given<T>(
    own: &mut Members,
    field: &str,
    read: impl FnOnce(&mut Members) -> Outcome<Option<T>>,
) -> Outcome<Option<Option<T>>> {
    match own.has(field) {
        true => read(own).map(Some),
        false => Ok(None),
    }
}

fn set_text(own: &mut Members, field: &str, to: &mut String, default: String) -> Outcome<()> {
    if let Some(text) = given(own, field, |own| own.text(field))? {
        *to = text.unwrap_or(default);
    }
    match to.len() > LONGEST_TEXT {
        true => own.wrong(field, &format!("must have at most {LONGEST_TEXT} characters")),
        false => Ok(()),
    }
}

fn read_name(own: &mut Members, spec: &mut Spec, is_new: bool) -> Outcome<()> {
    let Some(name) = own.text("name")? else {
        return match is_new {
            true => own.wrong("name", "must be given"),
            false => Ok(()),
        };
    };
    let is_first = |c: char| c.is_ascii_alphanumeric();
    let is_other = |c: char| is_first(c) || "_.-".contains(c);
    if name.len() > 63 || !name.starts_with(is_first) || !name.chars().all(is_other) {
        return own.wrong(
            "name",
            "must have letters, digits, dots, hyphens and underscores, at most 63",
        );
    }
    if !is_new && name != spec.name {
        return own.wrong("name", "cannot be changed");
    }
    spec.name = name;
    Ok(())
}

fn read_routing(own: &mut Members, spec: &mut Spec) -> Outcome<()> {
    if let Some(hosts) = given(own, "hosts", |own| own.list("hosts", MOST))? {
        let texts = hosts.unwrap_or_default().into_iter().map(|host| match host {
            Value::String(host) if is_domain(&host) => Ok(host.to_ascii_lowercase()),
            Value::String(_) => own.wrong("hosts", "must be names of domains"),
            _ => own.wrong("hosts", "must be an array of strings"),
        });
        spec.hosts = texts.collect::<Outcome<_>>()?;
        let mut seen = std::collections::HashSet::new();
        spec.hosts.retain(|host| seen.insert(host.clone()));
    }
    if let Some(port) = given(own, "port", |own| own.number("port", 1, 65_535))? {
        spec.port = port.and_then(|port| u16::try_from(port).ok());
    }
    set_text(own, "protocol", &mut spec.protocol, "http".to_owned())?;
    if spec.protocol != "http" {
        return own.wrong("protocol", "must be http: so the balancer speaks to containers");
    }
    set_text(own, "healthcheck_path", &mut spec.healthcheck_path, String::new())?;
    let path = &spec.healthcheck_path;
    let is_path = path.starts_with('/') && path.chars().all(|c| c.is_ascii_graphic());
    if !path.is_empty() && !is_path {
        return own.wrong("healthcheck_path", "must be a path that begins with a slash");
    }
    for (field, time) in [
        ("healthcheck_interval", &mut spec.healthcheck_interval),
        ("healthcheck_timeout", &mut spec.healthcheck_timeout),
    ] {
        if let Some(seconds) = given(own, field, |own| own.number(field, 1, LONGEST_TIME))? {
            *time = seconds;
        }
    }
    if spec.port.is_none() && (!spec.hosts.is_empty() || !spec.healthcheck_path.is_empty()) {
        return own.wrong("port", "must be given with hosts and with healthcheck_path");
    }
    Ok(())
}

fn read_lists(own: &mut Members, spec: &mut Spec) -> Outcome<()> {
    for (field, files) in [("secrets", &mut spec.secrets), ("configs", &mut spec.configs)] {
        if let Some(list) = given(own, field, |own| own.list(field, MOST))? {
            let read = list.unwrap_or_default().into_iter().map(|one| file(own, field, one));
            *files = read.collect::<Outcome<_>>()?;
        }
        let mut seen = std::collections::HashSet::new();
        if !files.iter().all(|file| seen.insert(file.file_name.as_str())) {
            return own.wrong(field, "must have a file_name of their own each");
        }
    }
    if let Some(list) = given(own, "mounts", |own| own.list("mounts", MOST))? {
        let read = list.unwrap_or_default().into_iter().map(|one| mount(own, one));
        spec.mounts = read.collect::<Outcome<_>>()?;
    }
    let field = "environment_variables";
    if let Some(list) = given(own, field, |own| own.list(field, MOST_VARIABLES))? {
        let read = list.unwrap_or_default().into_iter().map(|one| variable(own, one));
        spec.environment_variables = read.collect::<Outcome<_>>()?;
    }
    let field = "placement_constraints";
    if let Some(list) = given(own, field, |own| own.list(field, MOST))? {
        let texts = list.unwrap_or_default().into_iter().map(|one| match one {
            Value::String(text) if text.len() <= LONGEST_TEXT => Ok(text),
            _ => own.wrong(field, "must be an array of strings"),
        });
        spec.placement_constraints = texts.collect::<Outcome<_>>()?;
    }
    Ok(())
}

/// The members of an entry of a list; what is wrong with one is wrong with the list.
fn entry(own: &Members, list: &str, one: Value, known: &[&str]) -> Outcome<Members> {
    let Value::Object(members) = &one else {
        return own.wrong(list, "must be an array of objects");
    };
    match members.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => own.wrong(list, &format!("has no member {key}")),
        None => Ok(Members::new(Form::Prefixed, one)),
    }
}

/// A text of an entry of a list; none is an empty one.
fn text_of(own: &Members, list: &str, entry: &mut Members, field: &str) -> Outcome<String> {
    match entry.take(field) {
        None => Ok(String::new()),
        Some(Value::String(text)) if text.len() <= LONGEST_LINE && !text.contains('\0') => Ok(text),
        Some(Value::String(_)) => own.wrong(list, &format!("{field} is no text that can be kept")),
        Some(_) => own.wrong(list, &format!("{field} must be a string")),
    }
}

fn file(own: &Members, list: &str, one: Value) -> Outcome<File> {
    let mut members = entry(own, list, one, &["id", "name", "file_name", "uid", "gid", "mode"])?;
    let mut text = |field| text_of(own, list, &mut members, field);
    let (name, file_name, mode) = (text("name")?, text("file_name")?, text("mode")?);
    let numbers = (text("uid")?, text("gid")?);
    let number = |text: &str, field: &str| match text {
        "" => Ok(0),
        text => match text.parse::<u32>() {
            Ok(number) => Ok(i64::from(number)),
            Err(_) => own.wrong(list, &format!("{field} must be a number in a string")),
        },
    };
    if name.is_empty() {
        return own.wrong(list, "name must be given");
    }
    if super::project::mode_of(&mode).is_none() {
        return own.wrong(list, "mode must be a mode of a file, such as 0444");
    }
    Ok(File {
        uid: number(&numbers.0, "uid")?,
        gid: number(&numbers.1, "gid")?,
        file_name: if file_name.is_empty() { name.clone() } else { file_name },
        name,
        mode,
    })
}

fn mount(own: &Members, one: Value) -> Outcome<Mount> {
    let list = "mounts";
    let mut members = entry(own, list, one, &["type", "target", "source", "readonly"])?;
    let mut text = |field| text_of(own, list, &mut members, field);
    let (kind, target, source) = (text("type")?, text("target")?, text("source")?);
    if !matches!(kind.as_str(), "" | "volume") {
        return own.wrong(list, "type must be volume");
    }
    let is_word = |c: char| !c.is_control() && c != ':';
    if !target.starts_with('/') || target.len() < 2 || !target.chars().all(is_word) {
        return own.wrong(list, "target must be a path from the root on, without a colon");
    }
    let is_first = |c: char| c.is_ascii_alphanumeric();
    let is_other = |c: char| is_first(c) || "_.-".contains(c);
    if source.len() < 2 || source.len() > 255 || !source.starts_with(is_first) || !source.chars().all(is_other) {
        return own.wrong(list, "source must be the name or the id of a volume");
    }
    let readonly = match members.take("readonly") {
        None => false,
        Some(Value::Bool(readonly)) => readonly,
        Some(_) => return own.wrong(list, "readonly must be true or false"),
    };
    Ok(Mount {
        source,
        target,
        readonly,
    })
}

fn variable(own: &Members, one: Value) -> Outcome<Variable> {
    let list = "environment_variables";
    let mut members = entry(own, list, one, &["key", "value"])?;
    let mut text = |field| text_of(own, list, &mut members, field);
    let (key, value) = (text("key")?, text("value")?);
    match key.is_empty() || key.contains('=') || key.len() > LONGEST_TEXT {
        true => own.wrong(list, "key must be given, without an equals sign"),
        false => Ok(Variable { key, value }),
    }
}

fn read_policy(own: &mut Members, which: &str, policy: &mut Policy, actions: &[&str]) -> Outcome<()> {
    let default = Policy::default();
    let field = format!("{which}_order");
    set_text(own, &field, &mut policy.order, default.order)?;
    if !matches!(policy.order.as_str(), "stop-first" | "start-first") {
        return own.wrong(&field, "must be one of stop-first, start-first");
    }
    let field = format!("{which}_failure_action");
    set_text(own, &field, &mut policy.failure_action, default.failure_action)?;
    if !actions.contains(&policy.failure_action.as_str()) {
        return own.wrong(&field, &format!("must be one of {}", actions.join(", ")));
    }
    for (what, most, default, to) in [
        ("delay", LONGEST_TIME, 0, &mut policy.delay),
        ("parallelism", MOST_COUNTED, 1, &mut policy.parallelism),
        ("monitor", LONGEST_TIME, 5, &mut policy.monitor),
    ] {
        let field = format!("{which}_{what}");
        if let Some(number) = given(own, &field, |own| own.number(&field, 0, most))? {
            *to = number.unwrap_or(default);
        }
    }
    let field = format!("{which}_max_failure_ratio");
    if let Some(ratio) = given(own, &field, |own| Ok(own.take(&field)))? {
        let ratio = ratio.unwrap_or_else(|| Value::from(0));
        match ratio.as_f64() {
            Some(ratio) if (0.0..=1.0).contains(&ratio) => policy.max_failure_ratio = ratio,
            Some(_) => return own.wrong(&field, "must be a number from 0 to 1"),
            None => return own.wrong(&field, "must be a number"),
        }
    }
    Ok(())
}

/// Whether this is the name of a domain.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let is_edge = label.starts_with('-') || label.ends_with('-');
        (1..=63).contains(&label.len()) && label.chars().all(is_inner) && !is_edge
    };
    text.len() <= 253 && text.split('.').all(is_label)
}
