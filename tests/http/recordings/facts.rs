//! What was recorded of schemas: for each one line of facts instead of the schema itself.

use serde_json::{Map, Value, json};

/// The letters of what a field allows.
const FLAGS: [(&str, &str); 6] = [
    ("c", "create"),
    ("u", "update"),
    ("n", "nullable"),
    ("r", "required"),
    ("U", "unique"),
    ("o", "readOnCreateOnly"),
];
/// Further attributes of a field, in alphabetical order.
const ATTRIBUTES: [&str; 8] = [
    "default",
    "invalidChars",
    "max",
    "maxLength",
    "min",
    "minLength",
    "options",
    "validChars",
];

/// The facts about all schemas of an answer.
pub fn of(answer: &Value) -> Value {
    json!({"data": answer["data"].as_array().into_iter().flatten().map(one).collect::<Vec<_>>()})
}

/// What of the facts differs from the first ones; fields that are gone are null.
pub fn since(first: &Value, facts: &Value) -> Value {
    let list = |facts: &Value| facts["data"].as_array().cloned().unwrap_or_default();
    let (before, now) = (list(first), list(facts));
    let find = |list: &[Value], id: &Value| list.iter().find(|schema| schema["id"] == *id).cloned();
    let mut gone: Vec<Value> = before
        .iter()
        .filter(|schema| find(&now, &schema["id"]).is_none())
        .map(|schema| schema["id"].clone())
        .collect();
    gone.sort_by_key(Value::to_string);
    let changed = now.iter().filter_map(|schema| match find(&before, &schema["id"]) {
        Some(base) => changes(&base, schema),
        None => {
            let mut schema = schema.clone();
            schema["fields"] = schema["fields"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, _)| Value::from(name.as_str()))
                .collect();
            Some(schema)
        }
    });
    json!({"data": changed.collect::<Vec<_>>(), "typesAbsent": gone})
}

fn changes(base: &Value, schema: &Value) -> Option<Value> {
    let mut changed = Map::new();
    for (key, value) in schema
        .as_object()?
        .iter()
        .filter(|(key, _)| !["fields", "links"].contains(&key.as_str()))
    {
        if base[key] != *value {
            changed.insert(key.clone(), value.clone());
        }
    }
    let names = base["fields"]
        .as_object()?
        .keys()
        .chain(schema["fields"].as_object()?.keys());
    let other = |name: &&String| base["fields"].get(*name) != schema["fields"].get(*name);
    let fields: Map<String, Value> = names
        .filter(other)
        .map(|name| (name.clone(), schema["fields"].get(name).cloned().unwrap_or(Value::Null)))
        .collect();
    if !fields.is_empty() {
        changed.insert("fields".to_owned(), fields.into());
    }
    if changed.is_empty() {
        return None;
    }
    changed.insert("id".to_owned(), schema["id"].clone());
    changed.insert("name".to_owned(), schema["id"].clone());
    Some(changed.into())
}

fn one(schema: &Value) -> Value {
    let keys = |member: &str| {
        let mut keys: Vec<&str> = schema[member]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, _)| key.as_str())
            .collect();
        keys.sort_unstable();
        keys
    };
    let sorted = |member: &str| {
        let mut words: Vec<&str> = schema[member]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        words.sort_unstable();
        words
    };
    let members = |member: &str| schema[member].as_object().cloned().unwrap_or_default();
    let fields: Map<String, Value> = members("resourceFields")
        .iter()
        .map(|(name, f)| (name.clone(), field(f)))
        .collect();
    let modifiers = |filter: &Value| {
        filter["modifiers"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(",")
    };
    let filters: Map<String, Value> = members("collectionFilters")
        .iter()
        .map(|(name, f)| (name.clone(), modifiers(f).into()))
        .collect();
    json!({
        "id": schema["id"], "name": schema["id"], "plural": schema["pluralName"],
        "coll": sorted("collectionMethods").join(","), "res": sorted("resourceMethods").join(","),
        "links": keys("links"), "actions": keys("resourceActions"), "collactions": keys("collectionActions"), "fields": fields,
        "filters": filters, "include": sorted("includeableLinks"),
    })
}

fn field(field: &Value) -> Value {
    let flags: String = FLAGS
        .iter()
        .filter(|(_, name)| field[*name] == true)
        .map(|(letter, _)| *letter)
        .collect();
    let more: Vec<String> = ATTRIBUTES
        .iter()
        .filter(|name| !field[**name].is_null())
        .map(|name| format!("\"{name}\": {}", spaced(&field[*name])))
        .collect();
    let more = if more.is_empty() {
        String::new()
    } else {
        format!(" {{{}}}", more.join(", "))
    };
    format!("{} {flags}{more}", field["type"].as_str().unwrap_or_default()).into()
}

/// JSON with a space after commas.
fn spaced(value: &Value) -> String {
    match value {
        Value::Array(list) => format!("[{}]", list.iter().map(spaced).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
