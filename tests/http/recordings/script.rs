//! What a file of `tests/recordings` says: who asks for what, and what the original answered.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

/// One scenario.
pub struct Script {
    pub name: String,
    /// Roles whose key is another's.
    pub keys: HashMap<String, String>,
    pub steps: Vec<Step>,
}

/// One line: something asked, or a pause, or something that is set up.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// The number of a request whose answer is compared; others only prepare something.
    pub n: Option<u32>,
    /// `role METHOD path`.
    pub ask: Option<String>,
    pub body: Option<Value>,
    /// A body that is sent as it stands.
    pub raw: Option<String>,
    /// Further headers of the request.
    #[serde(default)]
    pub with: HashMap<String, String>,
    /// Whether it is asked again until nothing is in transition.
    #[serde(default)]
    pub poll: bool,
    /// The name of what it makes.
    pub makes: Option<String>,
    /// Whether the answer is kept as facts about schemas.
    #[serde(default)]
    pub facts: bool,
    pub note: Option<String>,
    /// Which members of the answer were kept; its rows are id and name.
    pub show: Option<usize>,
    /// Which members of the rows of the answer were kept.
    pub rows: Option<usize>,
    pub settled: Option<bool>,
    /// Whether the original did not answer this the same twice.
    #[serde(default)]
    pub unstable: bool,
    pub status: Option<u16>,
    pub headers: Option<usize>,
    #[serde(default)]
    pub answer: Value,
    /// Seconds that pass.
    pub advance: Option<f64>,
    /// A project to set up, by its title.
    pub project: Option<String>,
    pub id: Option<String>,
    /// The hosts of the project and their agents.
    #[serde(default)]
    pub hosts: Vec<(String, String)>,
    #[serde(default)]
    pub driver: bool,
    /// What [`Step::show`] means.
    #[serde(skip)]
    pub shown: Option<Vec<String>>,
    /// What [`Step::rows`] means.
    #[serde(skip)]
    pub row_members: Option<Vec<String>>,
    /// What [`Step::headers`] means.
    #[serde(skip)]
    pub wanted_headers: HashMap<String, String>,
}

/// The first line.
#[derive(Deserialize)]
struct First {
    keys: HashMap<String, String>,
    headers: Vec<HashMap<String, String>>,
    members: Vec<Vec<String>>,
    named: Vec<Value>,
}

/// The folder of all scenarios.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings")
}

/// The names of the scenarios, sorted.
pub fn names() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).expect("the recordings can be listed");
    let files = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = files
        .filter_map(|file| file.strip_suffix(".jsonl").map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// Reads one scenario.
pub fn read(name: &str) -> Script {
    let text = std::fs::read_to_string(folder().join(format!("{name}.jsonl"))).expect("a recording can be read");
    let mut lines = text.lines();
    let first: First = parse(name, 1, lines.next().expect("a recording has a first line"));
    let mut steps: Vec<Step> = lines.enumerate().map(|(i, line)| parse(name, i + 2, line)).collect();
    for step in &mut steps {
        step.answer = spell_out(step.answer.take(), &first.named);
        step.shown = step.show.map(|set| first.members[set].clone());
        step.row_members = step.rows.map(|set| first.members[set].clone());
        step.wanted_headers = step.headers.map(|set| first.headers[set].clone()).unwrap_or_default();
    }
    Script {
        name: name.to_owned(),
        keys: first.keys,
        steps,
    }
}

fn parse<'l, T: Deserialize<'l>>(name: &str, nth: usize, line: &'l str) -> T {
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{name}, line {nth}: {e}"))
}

/// Puts in what `@n` stands for.
fn spell_out(value: Value, named: &[Value]) -> Value {
    match value {
        Value::String(text) => match text
            .strip_prefix('@')
            .and_then(|n| n.parse::<usize>().ok())
            .and_then(|n| named.get(n))
        {
            Some(meant) => spell_out(meant.clone(), named),
            None => Value::String(text),
        },
        Value::Array(list) => list.into_iter().map(|v| spell_out(v, named)).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(k, v)| (k, spell_out(v, named)))
            .collect::<Map<_, _>>()
            .into(),
        other => other,
    }
}
