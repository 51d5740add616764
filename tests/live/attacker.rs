//! Somebody who may write, and means harm: random requests over all types, as an owner and as a member of two projects, with wild
//! values, rows of a third project, broken bodies and odd headers. Nothing of the third project is read or changed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::blocking::Client;
use serde_json::{Map, Value, json};

use crate::fuzz::{number_in, seed};
use crate::support::{PATIENCE, Server, wait_until};

/// How many requests an ordinary run makes; `DROVER_TEST_FUZZ` says another number.
const REQUESTS: u32 = 2000;

/// What stands in texts of the other project, and in no answer to an attacker.
const MARK: &str = "only-for-the-others-eyes";

/// What people make most.
const COMMON: [&str; 10] = [
    "stack",
    "environment",
    "service",
    "container",
    "volume",
    "genericObject",
    "apiKey",
    "registry",
    "secret",
    "externalService",
];

const ROOT: (&str, &str) = ("FUZZROOT", "secret-of-the-superadmin");

/// Numbers that are the same for the same seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    /// One of so many times.
    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<'l, T>(&mut self, list: &'l [T]) -> Option<&'l T> {
        list.get(self.below(list.len()))
    }
}

/// Who asks, and what it sees of the API in one version of one project.
struct Attacker {
    key: (String, String),
    root: String,
    types: Vec<Value>,
}

struct Attack {
    client: Client,
    server: Server,
    dice: Dice,
    attackers: Vec<Attacker>,
    /// Ids of the two projects, by type, as far as they were seen.
    own: BTreeMap<String, Vec<String>>,
    /// Ids of the third project.
    foreign: Vec<String>,
    /// What the run stands on: neither changed nor removed.
    kept: BTreeSet<String>,
    statuses: BTreeMap<u16, usize>,
    last: String,
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_default()
}

fn list<'v>(value: &'v Value, field: &str) -> impl Iterator<Item = &'v Value> {
    value[field].as_array().into_iter().flatten()
}

/// Texts that somebody might choose.
fn wild_text(dice: &mut Dice) -> String {
    const TEXTS: [&str; 22] = [
        "",
        " ",
        "a",
        "web",
        "sim:web",
        "docker:nginx",
        "null",
        "\u{0}",
        "a\u{0}b",
        "x\r\nSet-Cookie: token=evil",
        "' OR 1=1 --",
        "\"; DROP TABLE resource; --",
        "$.fields",
        "%",
        "_%_",
        "../../etc/passwd",
        "/var/run/docker.sock:/x",
        "<script>alert(1)</script>",
        "{{7*7}} ${x} %s %n",
        "\u{202e}\u{1F4A9}e\u{301}",
        "99999999999999999999",
        "1970-01-01T00:00:00Z",
    ];
    match dice.below(24) {
        0 => "x".repeat(70_000),
        1 => "\u{1F4A9}".repeat(300),
        _ => dice.pick(&TEXTS).map(|text| (*text).to_owned()).unwrap_or_default(),
    }
}

fn wild_number(dice: &mut Dice, name: &str) -> Value {
    // What makes so many rows as it says is small, or too much.
    if matches!(
        name,
        "scale" | "min" | "max" | "increment" | "count" | "finalScale" | "batchSize"
    ) {
        return [json!(0), json!(1), json!(2), json!(-1), json!(10_001), json!(i64::MAX)][dice.below(6)].clone();
    }
    let numbers = [
        json!(0),
        json!(-1),
        json!(80),
        json!(65_536),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1e308),
        json!(-0.5),
        json!("12"),
    ];
    numbers[dice.below(10)].clone()
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!("deep"), |inner, n| {
        if n % 2 == 0 {
            json!([inner])
        } else {
            json!({"d": inner})
        }
    })
}

impl Attack {
    fn ids(&mut self, of: &str, allows_foreign: bool) -> String {
        let foreign = self.foreign.clone();
        if allows_foreign && self.dice.one_in(3) {
            return self.dice.pick(&foreign).cloned().unwrap_or_default();
        }
        if self.dice.one_in(12) {
            return ["0", "-1", "1s999999", "1a1", "1a5", "9223372036854775808", "x", "1s%00"][self.dice.below(8)]
                .to_owned();
        }
        let all: Vec<String> = match self.own.get(of) {
            Some(ids) if !self.dice.one_in(4) => ids.clone(),
            _ => self.own.values().flatten().cloned().collect(),
        };
        self.dice.pick(&all).cloned().unwrap_or_default()
    }

    /// A value of a field's type, mostly; `depth` bounds types in types.
    fn value(&mut self, types: &[Value], name: &str, ty: &str, options: &Value, depth: usize) -> Value {
        if self.dice.one_in(14) {
            return match self.dice.below(6) {
                0 => Value::Null,
                1 => json!(vec![0; 2_000]),
                2 => nested(10),
                3 => nested(80),
                4 => json!({"type": "x", "id": "1a1", "accountId": "1a5"}),
                _ => json!(true),
            };
        }
        if name == "imageUuid" && !self.dice.one_in(4) {
            return json!("sim:web");
        }
        if let Some((outer, inner)) = ty.strip_suffix(']').and_then(|ty| ty.split_once('[')) {
            if outer == "reference" {
                return json!(self.ids(inner, true));
            }
            let count = if self.dice.one_in(20) { 150 } else { self.dice.below(4) };
            let elements: Vec<Value> = (0..count.min(if depth > 2 { 1 } else { 150 }))
                .map(|_| self.value(types, name, inner, options, depth + 1))
                .collect();
            if outer == "array" {
                return Value::Array(elements);
            }
            let keyed = elements.into_iter().map(|value| (wild_text(&mut self.dice), value));
            return Value::Object(keyed.collect());
        }
        match ty {
            "int" | "float" => wild_number(&mut self.dice, name),
            "boolean" => json!(self.dice.one_in(2)),
            "enum" => match options.as_array().filter(|_| !self.dice.one_in(8)) {
                Some(options) => self.dice.pick(options).cloned().unwrap_or_default(),
                None => json!(wild_text(&mut self.dice)),
            },
            "json" => nested(1 + self.dice.below(70)),
            "string" | "password" | "date" | "blob" => json!(wild_text(&mut self.dice)),
            _ if depth > 4 => Value::Null,
            embedded => match types.iter().find(|ty| text(ty, "id").eq_ignore_ascii_case(embedded)) {
                Some(ty) => self.body(types, ty, "create", depth + 1),
                None => json!(wild_text(&mut self.dice)),
            },
        }
    }

    /// A body for a type: of the fields that may be given most, and now and then one that may not.
    fn body(&mut self, types: &[Value], ty: &Value, purpose: &str, depth: usize) -> Value {
        let mut body = Map::new();
        for (name, field) in ty["resourceFields"].as_object().into_iter().flatten() {
            let may = field[purpose] == true;
            let is_needed = field["required"] == true || name == "imageUuid" || name == "launchConfig";
            if may && (is_needed || self.dice.one_in(if depth == 0 { 3 } else { 8 })) || self.dice.one_in(60) {
                let value = self.value(types, name, text(field, "type"), &field["options"], depth);
                body.insert(name.clone(), value);
            }
        }
        // Most have a name that can be one.
        if depth == 0 && body.contains_key("name") && !self.dice.one_in(3) {
            body.insert("name".into(), json!(format!("n{}", self.dice.below(100_000))));
        }
        Value::Object(body)
    }

    fn query(&mut self, ty: &Value) -> String {
        let filters: Vec<String> = ty["collectionFilters"]
            .as_object()
            .map(|all| all.keys().cloned().collect())
            .unwrap_or_default();
        let hidden = [
            "secretValue",
            "data",
            "environment",
            "internal",
            "accountId",
            "uuid",
            "fields",
            "1",
        ];
        let mut out = Vec::new();
        for _ in 0..self.dice.below(4) {
            let name = match self.dice.one_in(4) {
                true => self
                    .dice
                    .pick(&hidden)
                    .map(|name| (*name).to_owned())
                    .unwrap_or_default(),
                false => self.dice.pick(&filters).cloned().unwrap_or_default(),
            };
            let suffix = ["", "_ne", "_like", "_prefix", "_null", "_notnull", "_gt", "_lt", "_odd"][self.dice.below(9)];
            let value = if self.dice.one_in(3) {
                self.ids("", true)
            } else {
                wild_text(&mut self.dice)
            };
            let value: String = value.chars().take(2_000).collect();
            let value: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
            out.push(match self.dice.below(5) {
                0 => format!("sort={name}&order=desc"),
                1 => format!("include={name}"),
                2 => format!(
                    "limit={}&marker={value}",
                    ["0", "-1", "1", "x", "99999999999"][self.dice.below(5)]
                ),
                _ => format!("{name}{suffix}={value}"),
            });
        }
        out.join("&")
    }

    /// One request of a random sort.
    fn step(&mut self) {
        let whose = self.dice.below(self.attackers.len());
        let types = self.attackers[whose].types.clone();
        let sort = self.dice.below(12);
        // Mostly what the schemas have; what they do not is refused, and quickly known.
        let (field, method) = match sort {
            0 | 1 => ("collectionMethods", "GET"),
            2 => ("resourceMethods", "GET"),
            3..=6 => ("collectionMethods", "POST"),
            7 | 8 => ("resourceMethods", "PUT"),
            9 => ("resourceActions", ""),
            _ => ("resourceMethods", "DELETE"),
        };
        let is_able = |ty: &&Value| match field {
            "resourceActions" => ty[field].as_object().is_some_and(|actions| !actions.is_empty()),
            _ => list(ty, field).any(|m| m == method),
        };
        let (is_any, is_common) = (self.dice.one_in(12), self.dice.one_in(2));
        let fits = |ty: &&Value| is_any || is_able(ty) && (!is_common || COMMON.contains(&text(ty, "id")));
        let able: Vec<Value> = types.iter().filter(fits).cloned().collect();
        let Some(ty) = self.dice.pick(&able).cloned() else {
            return;
        };
        let (id, plural) = (text(&ty, "id").to_owned(), text(&ty, "pluralName").to_lowercase());
        let is_account = matches!(id.as_str(), "project" | "account" | "projectMember");
        match sort {
            0 | 1 => {
                let query = self.query(&ty);
                self.send(whose, Method::GET, &format!("{plural}?{query}"), None, false);
            }
            2 => {
                let row = self.ids(&id, true);
                let links = ["", "/account", "/instances", "/services", "/credentials", "/nonsense"];
                let link = links[self.dice.below(links.len())];
                self.send(whose, Method::GET, &format!("{plural}/{row}{link}"), None, true);
            }
            3..=6 => {
                let body = self.body(&types, &ty, "create", 0);
                self.send(whose, Method::POST, &plural, Some(body.to_string()), true);
            }
            7 | 8 => {
                let row = self.ids(&id, true);
                let body = self.body(&types, &ty, "update", 0);
                if !self.kept.contains(&row) {
                    self.send(
                        whose,
                        Method::PUT,
                        &format!("{plural}/{row}"),
                        Some(body.to_string()),
                        true,
                    );
                }
            }
            9 => {
                let row = self.ids(&id, true);
                let actions: Vec<(String, Value)> = ty["resourceActions"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(name, action)| (name.clone(), action.clone()))
                    .collect();
                let Some((name, action)) = self.dice.pick(&actions).cloned() else {
                    return;
                };
                let input = types.iter().find(|ty| ty["id"] == action["input"]).cloned();
                let body = input.map_or(json!({}), |input| self.body(&types, &input, "create", 0));
                if !is_account && !self.kept.contains(&row) {
                    let path = format!("{plural}/{row}?action={name}");
                    self.send(whose, Method::POST, &path, Some(body.to_string()), true);
                }
            }
            _ if self.dice.one_in(3) => self.odd(whose, &plural),
            _ => {
                let row = self.ids(&id, true);
                if !is_account && !self.kept.contains(&row) {
                    self.send(whose, Method::DELETE, &format!("{plural}/{row}"), None, true);
                }
            }
        }
    }

    /// Bytes that no client sends.
    fn odd(&mut self, whose: usize, plural: &str) {
        let (root, key) = (self.attackers[whose].root.clone(), self.attackers[whose].key.clone());
        let broken = [
            "{",
            "{\"name\": \"a\", \"name\": \"b\"}",
            "[[[[[[",
            "{\"name\": 1e999999}",
            "\u{feff}{}",
            "null",
            "\"text\"",
            "{\"a\": \"\\ud800\"}",
        ][self.dice.below(8)];
        let headers = [
            ("content-type", "text/xml"),
            ("content-type", "application/x-www-form-urlencoded"),
            ("x-api-project-id", "1a5"),
            ("x-http-method-override", "DELETE"),
            ("x-forwarded-for", "127.0.0.1, ::1, x"),
            ("x-api-client-access-key", ROOT.0),
            ("accept", "\u{7f}"),
            ("cookie", "token=; token=x; CSRF=y"),
            ("expect", "100-continue"),
            ("range", "bytes=0-1"),
        ];
        let (name, value) = headers[self.dice.below(headers.len())];
        if self.dice.one_in(3) {
            let lines = [
                format!(
                    "POST {root}/{plural} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n"
                ),
                format!("GET {root}/{plural}?\u{0} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                "\u{16}\u{3}\u{1}\r\n\r\n".to_owned(),
                format!("GET {root}/%zz%00 HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n"),
                format!("POST {root}/{plural} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            ];
            let line = &lines[self.dice.below(lines.len())];
            let address = self.server.url("").replace("http://", "");
            let mut stream = TcpStream::connect(address).expect("it listens");
            stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            stream.write_all(line.as_bytes()).unwrap();
            let mut answer = [0; 512];
            let length = stream.read(&mut answer).unwrap_or(0);
            let said = String::from_utf8_lossy(&answer[..length]).into_owned();
            assert!(!said.starts_with("HTTP/1.1 5"), "{line:?}: {said}");
            return;
        }
        let methods = ["POST", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "HEAD", "MADE-UP"];
        let method = Method::from_bytes(methods[self.dice.below(methods.len())].as_bytes()).unwrap();
        let path = format!("{root}/{plural}");
        let request = self.client.request(method.clone(), self.server.url(&path));
        let request = request
            .basic_auth(&key.0, Some(&key.1))
            .header(name, value)
            .body(broken);
        self.judge(&format!("{method} {path} {name}: {value} {broken}"), request, true);
    }

    fn send(&mut self, whose: usize, method: Method, path: &str, body: Option<String>, shows_ids: bool) {
        let attacker = &self.attackers[whose];
        let url = self.server.url(&format!("{}/{path}", attacker.root));
        let request = self
            .client
            .request(method.clone(), url)
            .basic_auth(&attacker.key.0, Some(&attacker.key.1));
        let mut what = format!(
            "{method} {}/{path} {}",
            attacker.root,
            body.as_deref().unwrap_or_default()
        );
        what = what.chars().take(1_000).collect();
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body),
            None => request,
        };
        self.judge(&what, request, shows_ids);
    }

    /// Sends it, and says what is wrong with the answer.
    fn judge(&mut self, what: &str, request: reqwest::blocking::RequestBuilder, shows_ids: bool) {
        self.last = what.to_owned();
        // What cannot be sent at all proves nothing.
        let request = match request.build() {
            Ok(request) => request,
            Err(_) => return,
        };
        let answer = self.client.execute(request).unwrap_or_else(|e| panic!("{what}: {e}"));
        let status = answer.status().as_u16();
        *self.statuses.entry(status).or_default() += 1;
        let said = answer.text().unwrap_or_default();
        assert!(status < 500 || status == 501, "{what}: {status} {said:.1000}");
        assert!(
            !said.contains(MARK),
            "{what}: {status} shows what is another project's: {said:.2000}"
        );
        // A list says again what it was asked for.
        if shows_ids {
            let shown = self.foreign.iter().find(|id| said.contains(&format!("\"{id}\"")));
            assert_eq!(shown, None, "{what}: {status} {said:.2000}");
        }
        let Ok(row) = serde_json::from_str::<Value>(&said) else {
            return;
        };
        let rows: Vec<&Value> = match row["data"].as_array() {
            Some(rows) => rows.iter().collect(),
            None if status < 300 => vec![&row],
            None => Vec::new(),
        };
        for row in rows {
            let (id, ty) = (text(row, "id").to_owned(), text(row, "type").to_owned());
            let known = self.own.entry(ty).or_default();
            if known.len() < 60 && !id.is_empty() && !known.contains(&id) {
                known.push(id);
            }
        }
    }

    fn root(&self, method: Method, path: &str, body: Value) -> Value {
        let request = self
            .client
            .request(method, self.server.url(path))
            .basic_auth(ROOT.0, Some(ROOT.1));
        let answer = request.json(&body).send().expect("an answer");
        let status = answer.status();
        let said: Value = answer.json().unwrap_or_default();
        assert!(status.is_success(), "{path}: {status} {said}");
        said
    }

    /// All rows of the third project, but for what changes by itself.
    fn of_others(&self) -> BTreeMap<String, Value> {
        let mut rows = BTreeMap::new();
        let schemas = self.root(Method::GET, "/v2-beta/projects/1a5/schemas", json!({}));
        for ty in list(&schemas, "data").filter(|ty| list(ty, "collectionMethods").any(|m| m == "GET")) {
            let path = format!(
                "/v2-beta/projects/1a5/{}?limit=1000&removed_null",
                text(ty, "pluralName").to_lowercase()
            );
            let found = self.root(Method::GET, &path, json!({}));
            for row in list(&found, "data").filter(|row| row["accountId"] == "1a5") {
                if matches!(text(row, "type"), "auditLog" | "serviceLog" | "processInstance") {
                    continue;
                }
                let mut row = row.clone();
                for volatile in ["links", "actions", "info"] {
                    row.as_object_mut().map(|row| row.remove(volatile));
                }
                rows.insert(format!("{} {}", text(&row, "type"), text(&row, "id")), row);
            }
        }
        rows
    }

    /// Two projects with an owner and a member, and a third one that is full of marked rows.
    fn begin(seed: u32) -> Self {
        let flag = format!("superadmin={}:{}", ROOT.0, ROOT.1);
        let server = Server::start_with("none", &["--access-control", "on", "--bootstrap-key", &flag]);
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let mut attack = Self {
            client,
            server,
            dice: Dice(u64::from(seed)),
            attackers: Vec::new(),
            own: BTreeMap::new(),
            foreign: Vec::new(),
            kept: BTreeSet::new(),
            statuses: BTreeMap::new(),
            last: String::new(),
        };
        attack.fill_others();
        let post = |path: &str, body: Value| attack.root(Method::POST, path, body);
        let mut members = Vec::new();
        for (name, role) in [("olga", "owner"), ("mia", "member")] {
            let account = post("/v2-beta/accounts", json!({"kind": "user", "name": name}));
            let id = text(&account, "id").to_owned();
            members.push((id, name, role));
        }
        let keys: Vec<(String, String)> = members
            .iter()
            .map(|(id, name, _)| {
                let key = (format!("KEY{name}"), format!("a-secret-of-{name}"));
                wait_until("an account", PATIENCE, || {
                    let row = attack.root(Method::GET, &format!("/v2-beta/accounts/{id}"), json!({}));
                    if row["state"] == "active" { Ok(()) } else { Err(row) }
                });
                post(
                    "/v2-beta/apiKeys",
                    json!({"publicValue": key.0, "secretValue": key.1, "accountId": id}),
                );
                key
            })
            .collect();
        let mut attackers = Vec::new();
        for project in ["one", "two"] {
            let list: Vec<Value> = members
                .iter()
                .map(|(id, _, role)| json!({"externalId": id, "externalIdType": "rancher_id", "role": role}))
                .collect();
            let made = post(
                "/v2-beta/projects",
                json!({"name": project, "members": list, "hostPolicy": {}}),
            );
            let id = text(&made, "id").to_owned();
            wait_until("a project", PATIENCE, || {
                let row = attack.root(Method::GET, &format!("/v2-beta/projects/{id}"), json!({}));
                if row["state"] == "active" { Ok(()) } else { Err(row) }
            });
            for key in &keys {
                for version in ["v1", "v2-beta"] {
                    for root in [format!("/{version}/projects/{id}"), format!("/{version}")] {
                        attackers.push(Attacker {
                            key: key.clone(),
                            root,
                            types: Vec::new(),
                        });
                    }
                }
            }
        }
        attack.attackers = attackers;
        attack.look_around();
        attack
    }

    fn fill_others(&mut self) {
        let post = |path: &str, body: Value| self.root(Method::POST, &format!("/v2-beta/projects/1a5/{path}"), body);
        let stack = post("stacks", json!({"name": "others", "description": MARK}));
        let launch = json!({"imageUuid": "sim:web", "environment": {"PASSWORD": MARK}, "labels": {"a": MARK}});
        let body = json!({"name": "web", "stackId": stack["id"], "launchConfig": launch, "metadata": {"m": MARK}});
        post("services", body);
        post(
            "containers",
            json!({"imageUuid": "sim:web", "name": "c", "description": MARK, "startOnCreate": false}),
        );
        post("volumes", json!({"name": "v", "driver": "local", "description": MARK}));
        post(
            "secrets",
            json!({"name": "s", "value": "b25seQ==", "description": MARK}),
        );
        post(
            "genericobjects",
            json!({"name": "g", "kind": "x", "key": "k", "resourceData": {"m": MARK}}),
        );
        post("apiKeys", json!({"name": "k", "description": MARK}));
        post(
            "registries",
            json!({"serverAddress": "others.example", "description": MARK}),
        );
        post("registrationTokens", json!({"description": MARK}));
        wait_until("the other project to rest", PATIENCE, || {
            let moving = self
                .of_others()
                .into_iter()
                .find(|(_, row)| row["transitioning"] == "yes");
            moving.map_or(Ok(()), Err)
        });
        let public = |id: &String| id.starts_with("1a");
        let others = self.of_others();
        let ids = others.values().map(|row| text(row, "id").to_owned());
        self.foreign = ids.filter(|id| !id.is_empty() && !public(id)).collect();
        assert!(self.foreign.len() > 12, "{:?}", self.foreign);
    }

    /// What each attacker can ask for, and whom it asks as.
    fn look_around(&mut self) {
        for attacker in &mut self.attackers {
            let url = self.server.url(&format!("{}/schemas", attacker.root));
            let request = self.client.get(url).basic_auth(&attacker.key.0, Some(&attacker.key.1));
            let schemas: Value = request.send().and_then(|answer| answer.json()).expect("schemas");
            attacker.types = list(&schemas, "data").cloned().collect();
            assert!(attacker.types.len() > 20, "{}: {schemas:.500}", attacker.root);
        }
        let keys = self.root(Method::GET, "/v2-beta/apiKeys?limit=1000&all=true", json!({}));
        for key in list(&keys, "data") {
            self.kept.insert(text(key, "id").to_owned());
        }
    }
}

#[test]
fn who_may_write_reads_and_changes_nothing_of_others() {
    let requests = number_in("DROVER_TEST_FUZZ").unwrap_or(REQUESTS);
    let seed = seed(requests, REQUESTS);
    let _ = writeln!(
        std::io::stderr(),
        "{requests} requests of attackers, to be repeated with DROVER_TEST_FUZZ_SEED={seed}"
    );
    let mut attack = Attack::begin(seed);
    let before = attack.of_others();
    let started = Instant::now();
    for _ in 0..requests {
        attack.step();
    }
    let took = started.elapsed();
    let after = attack.of_others();
    for (what, row) in &before {
        assert_eq!(after.get(what), Some(row), "seed {seed}");
    }
    let added: Vec<&String> = after.keys().filter(|what| !before.contains_key(*what)).collect();
    assert!(added.is_empty(), "seed {seed}: {added:?}");
    let ready = attack
        .client
        .get(attack.server.url("/readyz"))
        .send()
        .expect("an answer");
    assert_eq!(ready.status().as_u16(), 200, "seed {seed}");
    let log = attack.server.log();
    for bad in ["panicked at", " ERROR "] {
        let line = log.lines().find(|line| line.contains(bad));
        assert_eq!(line, None, "seed {seed}, last {}", attack.last);
    }
    let _ = writeln!(
        std::io::stderr(),
        "in {took:.1?}, rows seen {}, statuses {:?}",
        attack.own.values().map(Vec::len).sum::<usize>(),
        attack.statuses
    );
    // Attackers that get nowhere prove nothing.
    let made = attack.statuses.get(&201).copied().unwrap_or(0);
    assert!(
        made * 40 > usize::try_from(requests).unwrap(),
        "{made} of {requests} made something"
    );
}
