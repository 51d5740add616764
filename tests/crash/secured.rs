//! Addresses that speak TLS, and the one for Docker's interface alone: what is shown there, and to whom.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;

use crate::process::{PATIENCE, drover, ended};

/// A server, and where it says that it listens, in its order.
struct Server {
    child: Child,
    urls: Vec<String>,
}

/// The arguments of a server in this folder, and some more.
fn serving<'a>(data: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let own = [
        "serve",
        "--docker",
        "none",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        data,
    ];
    [&own[..], more].concat()
}

impl Server {
    fn start(folder: &Path, more: &[&str]) -> Self {
        let data = folder.join("data").display().to_string();
        let arguments = serving(&data, more);
        let mut child = drover(&arguments).spawn().expect("the program runs");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let urls = lines
            .map(|line| line.expect("UTF-8"))
            .take_while(|line| !line.trim_start().starts_with("database"))
            .filter_map(|line| {
                line.split_whitespace()
                    .find(|word| word.starts_with("http"))
                    .map(str::to_owned)
            })
            .collect();
        Self { child, urls }
    }

    /// The address that it listens at, by its place among all.
    fn at(&self, nth: usize) -> String {
        let url = self.urls.get(nth).unwrap_or_else(|| panic!("{:?}", self.urls));
        url.split_once("://").expect("a scheme").1.to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn request(path: &str, host: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

/// A POST of JSON, with this said of the connection.
fn post(path: &str, host: &str, body: &serde_json::Value, connection: &str) -> String {
    let body = body.to_string();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: {connection}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// What is answered in TLS, to one who believes `authority` and may show a certificate; or why nothing is.
pub fn ask(address: &str, path: &str, authority: &[u8], own: Option<(&str, &str)>) -> Result<String, String> {
    send(address, &request(path, address), authority, own)
}

/// The same for a whole request.
fn send(address: &str, request: &str, authority: &[u8], own: Option<(&str, &str)>) -> Result<String, String> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(authority) {
        roots.add(root.expect("PEM")).expect("a certificate");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match own {
        None => config.with_no_client_auth(),
        Some((cert, key)) => config
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(cert.as_bytes()).expect("PEM")],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM"),
            )
            .expect("a pair"),
    };
    let name = ServerName::try_from("127.0.0.1").expect("a name");
    let client = ClientConnection::new(Arc::new(config), name).map_err(|e| e.to_string())?;
    let stream = TcpStream::connect(address).map_err(|e| e.to_string())?;
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut stream = StreamOwned::new(client, stream);
    stream.write_all(request.as_bytes()).map_err(|e| e.to_string())?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(e) if answer.is_empty() => Err(e.to_string()),
        _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}

fn ask_plainly(address: &str, path: &str, host: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    stream.write_all(request(path, host).as_bytes()).expect("it is heard");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// An authority and a pair that it signed, as files.
pub struct Signed {
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

pub fn signed(folder: &Path, name: &str) -> Signed {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let own = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let authority = params.self_signed(&ca_key).unwrap();
    let own = own.signed_by(&key, &Issuer::from_params(&params, &ca_key)).unwrap();
    let file = |what: &str, text: &str| {
        let path = folder.join(format!("{name}.{what}"));
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    Signed {
        ca: file("ca", &authority.pem()),
        cert: file("crt", &own.pem()),
        key: file("key", &key.serialize_pem()),
    }
}

pub fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a file")
}

pub fn flag(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn all_is_said_in_tls_with_a_certificate_of_ones_own_making() {
    let place = tempfile::tempdir().expect("a folder");
    let flags = ["--tls-listen", "127.0.0.1:0", "--tls-self-signed"];
    let mut first = None;
    for _ in 0..2 {
        let server = Server::start(place.path(), &flags);
        assert!(server.urls[0].starts_with("http://") && server.urls[1].starts_with("https://"));
        let certificate = std::fs::read(place.path().join("data/tls.crt")).expect("it is kept");
        let key = std::fs::metadata(place.path().join("data/tls.key")).expect("so is its key");
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
        let address = server.at(1);
        let answer = ask(&address, "/v2-beta", &certificate, None).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        // Links lead where the request came from.
        assert!(
            answer.contains(&format!("\"self\":\"https://{address}/v2-beta\"")),
            "{answer}"
        );
        let answer = ask_plainly(&server.at(0), "/v2-beta", &server.at(0));
        assert!(
            answer.contains(&format!("\"self\":\"http://{}/v2-beta\"", server.at(0))),
            "{answer}"
        );
        let before = first.get_or_insert_with(|| certificate.clone());
        assert_eq!(*before, certificate, "the next start shows the same");
    }
}

#[test]
fn a_certificate_that_is_written_anew_is_shown_without_a_start() {
    let place = tempfile::tempdir().expect("a folder");
    let (old, new) = (signed(place.path(), "old"), signed(place.path(), "new"));
    let [cert, key] = [&old.cert, &old.key].map(|path| flag(path));
    let flags = ["--tls-listen", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key];
    let server = Server::start(place.path(), &flags);
    let shows = |signed: &Signed| ask(&server.at(1), "/ping", text(&signed.ca).as_bytes(), None).is_ok();
    assert!(shows(&old) && !shows(&new));
    // A key without its certificate cannot be shown: the old pair stays. It is looked at once in a second.
    std::fs::write(&old.key, text(&new.key)).expect("it is written");
    let looked_at = Instant::now() + Duration::from_millis(1100);
    while Instant::now() < looked_at {
        assert!(shows(&old) && !shows(&new));
    }
    std::fs::write(&old.cert, text(&new.cert)).expect("it is written");
    let until = Instant::now() + PATIENCE;
    while !shows(&new) {
        assert!(Instant::now() < until, "the new one is never shown");
        std::thread::yield_now();
    }
    assert!(!shows(&old));
}

#[test]
fn dockers_interface_has_an_address_of_its_own_for_those_with_certificates() {
    let place = tempfile::tempdir().expect("a folder");
    let (ours, theirs) = (signed(place.path(), "ours"), signed(place.path(), "theirs"));
    let [ca, cert, key] = [&ours.ca, &ours.cert, &ours.key].map(|path| flag(path));
    // Whoever has a certificate is known: it may be reached from anywhere.
    let flags = [
        "--docker-api-listen",
        "0.0.0.0:0",
        "--tls-cert",
        &cert,
        "--tls-key",
        &key,
        "--tls-client-ca",
        &ca,
    ];
    let server = Server::start(place.path(), &flags);
    let port = server.at(1).rsplit_once(':').expect("a port").1.to_owned();
    let address = format!("127.0.0.1:{port}");
    let authority = std::fs::read(&ours.ca).expect("a file");
    let with = |pair: &Signed| {
        ask(
            &address,
            "/v1.41/services",
            &authority,
            Some((&text(&pair.cert), &text(&pair.key))),
        )
    };
    let answer = with(&ours).expect("an answer");
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("[]\n"),
        "{answer}"
    );
    let refused = with(&theirs).expect_err("another authority's certificate");
    assert!(refused.contains("alert") || refused.contains("reset"), "{refused}");
    ask(&address, "/v1.41/services", &authority, None).expect_err("no certificate");
    // Nothing of Rancher's is there.
    let own = (text(&ours.cert), text(&ours.key));
    let answer = ask(&address, "/v2-beta", &authority, Some((&own.0, &own.1))).expect("an answer");
    assert!(answer.contains("page not found"), "{answer}");
}

#[test]
fn a_command_writes_in_tls_what_it_writes_and_nothing_between() {
    let place = tempfile::tempdir().expect("a folder");
    let server = Server::start(
        place.path(),
        &["--docker-api-listen", "127.0.0.1:0", "--tls-self-signed"],
    );
    let authority = std::fs::read(place.path().join("data/tls.crt")).expect("it is kept");
    let address = server.at(1);
    let say = |request: &str| send(&address, request, &authority, None).expect("an answer");
    let body_of = |answer: &str| -> serde_json::Value {
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {answer}"))
    };
    let spec = json!({"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "sim:latest"}}});
    let made = say(&post("/services/create", &address, &spec, "close"));
    assert!(made.starts_with("HTTP/1.1 201"), "{made}");
    let begun = Instant::now();
    let id = loop {
        let all = body_of(&say(&request("/containers/json", &address)));
        match all[0]["Id"].as_str() {
            Some(id) => break id.to_owned(),
            None => assert!(begun.elapsed() < PATIENCE, "nothing runs"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let command = json!({"Cmd": ["echo", "hi"], "AttachStdout": true, "Tty": true});
    let exec = body_of(&say(&post(
        &format!("/containers/{id}/exec"),
        &address,
        &command,
        "close",
    )));
    let path = format!("/exec/{}/start", exec["Id"].as_str().expect("an id"));
    let started = say(&post(&path, &address, &json!({"Tty": true}), "Upgrade\r\nUpgrade: tcp"));
    let (head, written) = started.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(!head.to_lowercase().contains("chunked"), "{head}");
    let length = written.split_once("\r\n").map(|(first, _)| first);
    let is_length = length.is_some_and(|first| usize::from_str_radix(first, 16).is_ok());
    assert!(!written.is_empty() && !is_length, "{written:?}");
}

#[test]
fn without_tls_pages_of_other_sites_are_kept_out_of_it() {
    let place = tempfile::tempdir().expect("a folder");
    let server = Server::start(place.path(), &["--docker-api-listen", "127.0.0.1:0"]);
    let address = server.at(1);
    let answer = ask_plainly(&address, "/services", &address);
    assert!(answer.ends_with("[]\n"), "{answer}");
    let answer = ask_plainly(&address, "/services", "evil.example");
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
}

#[test]
fn what_does_not_fit_together_is_said_before_anything_is_done() {
    let place = tempfile::tempdir().expect("a folder");
    let pair = signed(place.path(), "pair");
    let [ca, cert, key] = [&pair.ca, &pair.cert, &pair.key].map(|path| flag(path));
    let open = place.path().join("open.key");
    std::fs::copy(&pair.key, &open).expect("a copy");
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
    let (open, data) = (flag(&open), place.path().join("data").display().to_string());
    let tls = "--tls-listen";
    for (flags, why) in [
        (&[tls, "127.0.0.1:0"][..], "needs a certificate"),
        (&["--tls-self-signed"], "nowhere to show it"),
        (&[tls, "127.0.0.1:0", "--tls-cert", &cert], "--tls-cert needs --tls-key"),
        (&[tls, "127.0.0.1:0", "--tls-key", &key], "--tls-key needs --tls-cert"),
        (
            &[tls, "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &open],
            "chmod 600",
        ),
        (
            &[tls, "127.0.0.1:0", "--tls-cert", &key, "--tls-key", &key],
            "holds no certificate",
        ),
        (
            &[tls, "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &ca],
            "holds no private key",
        ),
        (
            &[tls, "127.0.0.1:0", "--tls-cert", &ca, "--tls-key", &key],
            "cannot be used",
        ),
        (
            &[tls, "nowhere", "--tls-self-signed"],
            "--tls-listen \"nowhere\" is not an address",
        ),
        (&["--tls-client-ca", &ca], "--docker-api-listen, which is not given"),
        (
            &["--docker-api-listen", "127.0.0.1:0", "--tls-client-ca", &ca],
            "--tls-client-ca needs",
        ),
        (
            &["--docker-api-listen", "0.0.0.0:0"],
            "can be reached from other machines",
        ),
        (
            &[
                "--docker-api-socket",
                "/tmp/none/d.sock",
                "--docker-api-socket-group",
                "no such group",
            ],
            "there is no group",
        ),
    ] {
        let arguments = serving(&data, flags);
        let (status, _, told) = ended(&arguments);
        assert_eq!(status, 78, "{flags:?}: {told}");
        assert!(told.contains(why), "{flags:?}: {told}");
    }
}
