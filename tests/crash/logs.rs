//! Nothing that a server writes down at its most talkative is a secret.

use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client;

use crate::process::{PATIENCE, Server, drover, folder, text, write_private};

/// Asks, and collects what nobody may read.
struct Talk<'s> {
    server: &'s Server,
    secrets: Vec<String>,
}

impl Talk<'_> {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address)
    }

    fn hide(&mut self, secret: &str) -> String {
        assert!(secret.len() >= 8, "{secret:?} is no secret to look for");
        self.secrets.push(secret.to_owned());
        secret.to_owned()
    }

    /// Sends with a key; gives status and body.
    fn send(&self, request: reqwest::blocking::RequestBuilder, key: (&str, &str)) -> (u16, Value) {
        let answer = request.basic_auth(key.0, Some(key.1)).send().expect("an answer");
        (
            answer.status().as_u16(),
            serde_json::from_str(&answer.text().expect("text")).unwrap_or_default(),
        )
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.send(self.server.client.post(self.url(path)).json(body), SUPER);
        assert!(status < 300, "{path}: {status} {answer:#}");
        answer
    }

    /// Looks with the superadmin's key until a field of an active row is there.
    fn wait(&self, path: &str, field: &str) -> String {
        let started = Instant::now();
        loop {
            let (_, row) = self.send(self.server.client.get(self.url(path)), SUPER);
            if let (Some(value), Some("active")) = (row[field].as_str(), row["state"].as_str()) {
                return value.to_owned();
            }
            assert!(started.elapsed() < PATIENCE, "{path} has no {field}: {row:#}");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Sends bytes as they are, and reads the beginning of the answer.
    fn raw(&self, bytes: &str) -> String {
        use std::io::Read as _;
        let mut stream = TcpStream::connect(&self.server.address).expect("a server that listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.write_all(bytes.as_bytes()).expect("a server that reads");
        let mut answer = [0; 256];
        let length = stream.read(&mut answer).expect("an answer");
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }
}

const SUPER: (&str, &str) = ("SUPERKEY", "bootstrap-secret-of-superadmin");

/// Everything that the secret may look like: as it is, in a URL, and in base64 wherever it begins in it.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![
        secret.to_owned(),
        url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
    ];
    for before in 0..3 {
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let encoded = engine.encode([&vec![b'x'; before][..], secret.as_bytes()].concat());
            // The first and the last characters hold bits of what stands beside it.
            let start = [0, 2, 3][before];
            forms.push(encoded[start..encoded.len() - 1].to_owned());
        }
    }
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    forms.push(hex);
    forms
}

/// Keys, passwords, tokens: right ones, wrong ones, and in every place where one can be.
fn talk(talk: &mut Talk<'_>) {
    let client = talk.server.client.clone();
    talk.hide(SUPER.1);
    // A password, and logins with it, right and wrong.
    let password = talk.hide("correct horse battery staple");
    let on = json!({"username": "root", "password": password, "enabled": true});
    talk.post("/v2-beta/localAuthConfig", &on);
    for wrong in ["wrong-password-1", "wrong:password:2"] {
        let wrong = talk.hide(wrong);
        let code = json!({"code": format!("root:{wrong}"), "authProvider": "localauthconfig"});
        assert_eq!(
            client
                .post(talk.url("/v2-beta/token"))
                .json(&code)
                .send()
                .expect("an answer")
                .status(),
            401
        );
        assert_eq!(
            talk.send(client.get(talk.url("/v2-beta/projects")), ("root", &wrong)).0,
            401
        );
    }
    let code = json!({"code": format!("root:{password}")});
    let token: Value = client
        .post(talk.url("/v1/token"))
        .json(&code)
        .send()
        .and_then(|r| r.json())
        .expect("a token");
    let token = talk.hide(token["jwt"].as_str().expect("a token"));
    let form = format!("code=root%3A{}", password.replace(' ', "+"));
    let form = client
        .post(talk.url("/v2-beta/token"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let other: Value = form.send().and_then(|r| r.json()).expect("a token");
    let other = talk.hide(other["jwt"].as_str().expect("a token"));
    // Tokens in every place, good ones and bad ones.
    let wrong_token = talk.hide("Wrong-Token-0123456789abcdef");
    for (token, status) in [(&token, 200), (&other, 200), (&wrong_token, 401)] {
        let path = format!("/v2-beta/projects?token={token}&limit=1");
        assert_eq!(client.get(talk.url(&path)).send().expect("an answer").status(), status);
        for (name, value) in [
            ("cookie", format!("token={token}")),
            ("authorization", format!("Bearer {token}")),
        ] {
            assert_eq!(
                client
                    .get(talk.url("/v2-beta/projects"))
                    .header(name, value)
                    .send()
                    .expect("an answer")
                    .status(),
                status
            );
        }
        assert_eq!(
            talk.send(client.get(talk.url("/v2-beta/projects")), ("x-api-bearer=1a5", token))
                .0,
            status
        );
        let page = client
            .get(talk.url(&path))
            .header("accept", "text/html")
            .header("user-agent", "Mozilla/5.0");
        assert!(page.send().expect("an answer").status().as_u16() < 500);
        // A socket, with the token in its address.
        let stream = TcpStream::connect(&talk.server.address).expect("a server that listens");
        let address = format!(
            "ws://{}/v2-beta/projects/1a5/subscribe?eventNames=*&token={token}",
            talk.server.address
        );
        assert_eq!(client_of(&address, stream), status == 200);
    }
    let bye = client
        .delete(talk.url("/v2-beta/token/current"))
        .header("cookie", format!("token={other}"));
    assert_eq!(bye.send().expect("an answer").status(), 204);

    // Keys that the server makes, and what is sealed in it.
    let made = talk.post("/v2-beta/projects/1a5/apikeys", &json!({"name": "ci"}));
    let (name, secret) = (
        made["publicValue"].as_str().expect("a name").to_owned(),
        made["secretValue"].as_str().expect("a secret"),
    );
    let secret = talk.hide(secret);
    let path = format!("/v2-beta/projects/1a5/apikeys/{}", made["id"].as_str().expect("an id"));
    talk.wait(&path, "publicValue");
    assert_eq!(
        talk.send(client.get(talk.url("/v2-beta/services")), (&name, &secret)).0,
        200
    );
    let chosen = talk.hide("a-secret-of-my-own-choice");
    talk.post(
        "/v2-beta/apikeys",
        &json!({"publicValue": "MINE", "secretValue": chosen}),
    );
    let words = talk.hide("password-of-a-second-user");
    talk.post(
        "/v2-beta/passwords",
        &json!({"publicValue": "ann", "secretValue": words}),
    );
    let registry = talk.post(
        "/v2-beta/projects/1a5/registries",
        &json!({"serverAddress": "127.0.0.1:1"}),
    );
    let sealed = talk.hide("registry-password-%+/=");
    let body = json!({"registryId": registry["id"], "publicValue": "user", "secretValue": sealed});
    let made = talk.post("/v2-beta/projects/1a5/registrycredentials", &body);
    let path = format!(
        "/v2-beta/projects/1a5/registrycredentials/{}",
        made["id"].as_str().expect("an id")
    );
    let changed = talk.hide("registry-password-changed");
    talk.send(
        client.put(talk.url(&path)).json(&json!({"secretValue": changed})),
        SUPER,
    );
    let setting = talk.hide("value-of-a-secret-setting");
    talk.post("/v2-beta/settings", &json!({"name": "my.password", "value": setting}));

    // A host that joins.
    let made = talk.post("/v2-beta/projects/1a5/registrationtokens", &json!({}));
    let join = talk.wait(
        &format!(
            "/v2-beta/projects/1a5/registrationtokens/{}",
            made["id"].as_str().expect("an id")
        ),
        "token",
    );
    let join = talk.hide(&join);
    let signature = join.rsplit(':').next().expect("a signature").to_owned();
    talk.hide(&signature);
    assert!(
        client
            .get(talk.url(&format!("/v2-beta/scripts/{join}")))
            .send()
            .expect("an answer")
            .status()
            .is_success()
    );
    let own = talk.hide("key-of-a-registration");
    let register = client
        .post(talk.url("/v2-beta/register"))
        .json(&json!({"key": own, "agentUriFormat": "sim://%s"}));
    let (status, made) = talk.send(register, ("registrationToken", &join));
    assert_eq!(status, 201, "{made:#}");
    let path = format!("/v2-beta/register/{}?key={own}", made["id"].as_str().expect("an id"));
    let agents = talk.wait(&path, "secretKey");
    let agents = talk.hide(&agents);
    let agents_name = talk.wait(&path, "accessKey");
    talk.send(client.get(talk.url("/v2-beta/agents")), (&agents_name, &agents));

    // What is refused, or cannot even be read.
    let refused = talk.hide("secret-of-a-refused-body");
    for body in [
        json!({"registryId": "1sp99999", "secretValue": refused}),
        json!({"publicValue": ["x"], "secretValue": refused}),
    ] {
        let (status, _) = talk.send(
            client
                .post(talk.url("/v2-beta/projects/1a5/registrycredentials"))
                .json(&body),
            SUPER,
        );
        assert_eq!(status, 422);
    }
    let broken = format!("{{\"secretValue\": \"{refused}\", ");
    assert_eq!(
        talk.send(client.post(talk.url("/v2-beta/apikeys")).body(broken), SUPER)
            .0,
        400
    );
    let by_query = format!("/v2-beta/apikeys?secretValue={refused}&_method=PATCH");
    talk.send(client.post(talk.url(&by_query)), SUPER);
    let head = format!(
        "Host: {}\r\nAuthorization: Basic {}\r\nCookie: token={token}\r\n",
        talk.server.address,
        STANDARD.encode(format!("x:{refused}"))
    );
    for line in [
        "GET /v2-beta HTTP/9.9",
        "GET /v2-beta\u{1} HTTP/1.1",
        "NONSENSE",
        "GET /v2-beta HTTP/1.1\r\nContent-Length: x",
        "GET /%zz HTTP/1.1",
    ] {
        talk.raw(&format!("{line}\r\n{head}\r\n"));
    }
    talk.raw(&format!(
        "GET /v2-beta?token={token} HTTP/1.1\r\n{head}Bad\u{7f}Header: {refused}\r\n\r\n"
    ));
    talk.raw(&format!(
        "GET /v2-beta/projects?token={token}\u{0} HTTP/1.1\r\n{head}\r\n"
    ));
}

/// Whether a handshake succeeds.
fn client_of(address: &str, stream: TcpStream) -> bool {
    client(address, stream).is_ok_and(|(mut socket, _)| socket.read().is_ok())
}

#[test]
fn a_secret_is_found_wherever_it_stands_in_base64() {
    for name in ["", "a", "ab", "abc"] {
        for after in ["", "1", "12", "123"] {
            let encoded = STANDARD.encode(format!("{name}hunter2-hunter2{after}"));
            assert!(
                forms("hunter2-hunter2").iter().any(|form| encoded.contains(form)),
                "{encoded}"
            );
        }
    }
}

#[test]
fn what_is_no_secret_is_not_taken_for_one() {
    let forms = forms("hunter2-hunter2");
    // A form of a few characters would be found in anything.
    assert!(
        forms.iter().all(|form| form.len() >= "hunter2-hunter2".len()),
        "{forms:?}"
    );
    for name in ["", "a", "ab", "abc"] {
        for other in ["hunter3-hunter3", "hunter2-hunte", "unter2-hunter2", "retnuh2-retnuh2"] {
            let hex: String = other.bytes().map(|byte| format!("{byte:02x}")).collect();
            for text in [
                STANDARD.encode(format!("{name}{other}{name}")),
                format!("{name}{other}"),
                hex,
            ] {
                let found: Vec<_> = forms.iter().filter(|form| text.contains(form.as_str())).collect();
                assert!(found.is_empty(), "{found:?} in {text}");
            }
        }
    }
}

#[test]
fn no_secret_is_logged_at_any_level() {
    let folder = folder();
    let (keys, log) = (folder.path().join("keys"), folder.path().join("log"));
    write_private(&keys, &format!("superadmin={}:{}\n", SUPER.0, SUPER.1));
    // An engine that does not answer: what is said to it is written, too, if anything is.
    let place = ["--data-dir", text(folder.path())];
    let engine = ["--docker", "tcp://127.0.0.1:1", "--simulator"];
    let arguments = [
        &["serve", "--listen", "127.0.0.1:0", "--access-control", "on"][..],
        &place,
        &engine,
    ]
    .concat();
    let mut command: Command = drover(&arguments);
    command
        .env("RUST_LOG", "trace")
        .env("DROVER_BOOTSTRAP_KEYS", format!("@{}", text(&keys)));
    command.stderr(std::fs::File::create(&log).expect("a file"));
    let server = Server::of(command.spawn().expect("the program starts"));
    let mut talk_to = Talk {
        server: &server,
        secrets: Vec::new(),
    };
    talk(&mut talk_to);
    let mut secrets = talk_to.secrets;
    let key = std::fs::read_to_string(folder.path().join("secret.key")).expect("the server's key");
    secrets.push(key.trim().to_owned());
    assert_eq!(server.terminate().code(), Some(0));

    let logged = std::fs::read_to_string(&log).expect("the log");
    let lines = |level: &str| logged.lines().filter(|line| line.contains(level)).count();
    assert!(
        lines("TRACE") > 100 && lines("DEBUG") > 0 && lines("INFO") > 0,
        "{logged}"
    );
    assert!(
        !logged.contains("bollard::"),
        "environments of containers are in what is said to the engine"
    );
    for secret in secrets {
        for form in forms(&secret) {
            let lines: Vec<&str> = logged.lines().filter(|line| line.contains(&form)).take(3).collect();
            assert!(lines.is_empty(), "{secret} is logged as {form}: {lines:#?}");
        }
    }
}
