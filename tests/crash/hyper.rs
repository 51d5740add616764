//! Services that Hyper's clients make, change and remove, as a scenario; and how these clients sign what they send.

use drover::model::Timestamp;
use drover::secret::{digits, hmac_sha256, sha256_digits};
use serde_json::{Value, json};

use crate::scenarios::matrix;
use crate::world::Step;

/// The headers of a request that is signed with a key.
pub fn sign(
    (access, secret): (&str, &str),
    method: &str,
    path: &str,
    body: &str,
    now: Timestamp,
) -> [(&'static str, String); 4] {
    let text = now.to_wire_millis();
    let stamp: String = text
        .chars()
        .filter(|c| c.is_ascii_digit() || *c == 'T')
        .take(15)
        .collect();
    let (day, stamp, content) = (
        &text[..10].replace('-', ""),
        format!("{stamp}Z"),
        sha256_digits(body.as_bytes()),
    );
    let names = "content-type;host;x-hyper-content-sha256;x-hyper-date";
    let headers = format!(
        "content-type:application/json\nhost:localhost\nx-hyper-content-sha256:{content}\nx-hyper-date:{stamp}\n"
    );
    let canonical = format!(
        "{method}\n{}\n\n{headers}\n{names}\n{content}",
        path.trim_start_matches('/')
    );
    let scope = format!("{day}/us-west-1/hyper/hyper_request");
    let mut key = hmac_sha256(format!("HYPER{secret}").as_bytes(), day.as_bytes());
    for word in ["us-west-1", "hyper", "hyper_request"] {
        key = hmac_sha256(&key, word.as_bytes());
    }
    let text = format!(
        "HYPER-HMAC-SHA256\n{stamp}\n{scope}\n{}",
        sha256_digits(canonical.as_bytes())
    );
    let signature = digits(&hmac_sha256(&key, text.as_bytes()));
    let shown = format!("HYPER-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={names}, Signature={signature}");
    [
        ("content-type", "application/json".to_owned()),
        ("x-hyper-date", stamp),
        ("x-hyper-content-sha256", content),
        ("authorization", shown),
    ]
}

#[test]
fn a_service_of_hypers_and_its_balancer_are_made_changed_and_removed_together() {
    let step = |path, body, shown| Step::Hyper { path, body, shown };
    let update = |body: Value| step("/services/http/update", Some(body.clone()), body);
    let body = json!({"Name": "http", "Image": "sim:one", "ServicePort": 80, "Replicas": 2, "Protocol": "http"});
    let then = vec![
        step("/services/create", Some(body), json!({"Name": "http"})),
        Step::Rest,
        update(json!({"Replicas": 3})),
        Step::Rest,
        update(json!({"Image": "sim:two"})),
        Step::Settle,
        update(json!({"Image": "sim:three"})),
        Step::Rest,
        step("/services/http", None, Value::Null),
        Step::Rest,
    ];
    matrix("hyper", vec![], then);
}
