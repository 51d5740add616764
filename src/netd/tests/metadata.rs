//! Metadata: each edition, each form, `self`, and what is not there.

use serde_json::{Value, json};

use super::*;
use crate::model::network_table::{Network, Port};
use crate::netd::metadata::{Depth, Edition, Form, View, error};
use crate::netd::tables::Loaded;

fn project() -> Loaded {
    let mut w = World::new();
    w.with("Web.App", 11, &["running", "stopped"], |s| {
        linked(s, &[("Other/Db", "mydb"), ("App/cache", "")]);
        s.token = Some("secret".into());
        s.sidekicks = vec!["Log".into()];
        s.scale = Some(2);
        s.metadata = json!({"app/db": {"Big": [1, {"name": "x y"}, [true], null]}, "ratio": 0.5})
            .as_object()
            .unwrap()
            .clone();
    });
    w.with("Log.Web.App", 13, &["running"], |s| s.sidekicks = vec!["Log".into()]);
    w.with("Db.Other", 14, &["running"], |_| {});
    w.container("lone", 20, |c| {
        c.labels = [("io.example/a".to_owned(), "1".to_owned())].into();
        let port = |ip: Option<&str>, public| Port {
            ip: ip.map(Into::into),
            host_ip: "192.0.2.10".into(),
            public,
            private: 80,
            protocol: "tcp".into(),
        };
        c.ports = vec![
            port(None, 8080),
            port(Some("0.0.0.0"), 8081),
            port(Some("127.0.0.1"), 8082),
        ];
    });
    let network = Network {
        name: "managed".into(),
        uuid: "network-1".into(),
        is_default: true,
        ..Network::default()
    };
    w.0.networks.insert(network.uuid.clone(), network);
    Loaded::new(Index::new(w.0))
}

/// What is found: `latest/self/container`, from an address of the subnet, in a form.
fn found_as(loaded: &Loaded, from: u8, path: &str, form: Form) -> Option<String> {
    let mut parts = path.split('/').map(str::to_owned);
    let edition = Edition::find(&parts.next()?)?;
    let path: Vec<String> = parts.map(|part| part.replace("%2F", "/")).collect();
    let depth = if form == Form::Text {
        Depth::Listing
    } else {
        Depth::Whole
    };
    let view = View::new(loaded, edition, ip(&format!("10.42.0.{from}")));
    view.find(&path, depth).map(|value| form.write(value))
}

fn found(loaded: &Loaded, from: u8, path: &str) -> Option<String> {
    found_as(loaded, from, path, Form::Text)
}

fn json_of(loaded: &Loaded, from: u8, path: &str) -> Value {
    serde_json::from_str(&found_as(loaded, from, path, Form::Json).expect(path)).unwrap()
}

fn keys(value: &Value) -> String {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn text_lists_names_and_shows_values_bare() {
    let loaded = project();
    for (path, expected) in [
        (
            "latest",
            "containers/\nenvironments/\nhosts/\nname\nnetworks/\nregion_name\nself/\nservices/\nstacks/\nuuid\nversion\n",
        ),
        (
            "2015-07-25",
            "containers/\nhosts/\nname\nnetworks/\nregion_name\nself/\nservices/\nstacks/\nuuid\nversion\n",
        ),
        ("latest/name", "default"),
        ("latest/uuid", "environment-1"),
        ("latest/region_name", ""),
        ("latest/environments/0/name", "default"),
        (
            "latest/containers",
            "0=db-other-1\n1=log-web-app-1\n2=web-app-1\n3=web-app-2\n4=lone\n",
        ),
        (
            "2015-12-19/containers",
            "0=Db-Other-1\n1=Log-Web-App-1\n2=Web-App-1\n3=Web-App-2\n4=lone\n",
        ),
        ("latest/services", "0=db\n1=log\n2=web\n"),
        ("latest/stacks", "0=app\n1=other\n"),
        ("latest/hosts", "0=Host-1\n"),
        ("latest/networks/managed/is_default", "true"),
        ("latest/services/web/containers", "0=web-app-1\n1=web-app-2\n"),
        ("2015-07-25/services/Web/containers", "0\n1\n"),
        ("2015-07-25/services/Web/containers/1", "Web-App-2"),
        ("2015-12-19/services/Web/containers/1/state", "stopped"),
        ("latest/services/web/metadata", "app%2Fdb/\nratio\n"),
        ("latest/services/web/metadata/app%2Fdb", "Big/\n"),
        ("latest/services/web/metadata/app%2Fdb/Big", "0\n1=x+y\n2/\n3\n"),
        ("latest/services/web/metadata/app%2Fdb/Big/x y/name", "x y"),
        ("latest/services/web/metadata/app%2Fdb/Big/2/0", "true"),
        ("latest/services/web/metadata/app%2Fdb/Big/3", ""),
        ("latest/services/web/metadata/ratio", "0.5"),
        ("latest/services/web/scale", "2"),
        ("latest/services/web/vip", ""),
        ("latest/services/2/name", "web"),
        ("latest/containers/uuid-lone/labels", "io.example%2Fa\n"),
        ("latest/containers/uuid-lone/labels/io.example%2Fa", "1"),
        ("latest/containers/lone/ports", "0\n1\n2\n"),
        // Lower-cased as a whole, if there is nothing else.
        ("latest/Services/WEB/Name", "web"),
        ("2015-12-19/services/web", "(none)"),
        ("latest/services/web/metadata/app%2Fdb/big", "(none)"),
        ("latest/containers/9", "(none)"),
        ("latest/containers/nope", "(none)"),
        ("latest/name/x", "(none)"),
        ("latest/nope", "(none)"),
        ("2015-07-25/environments", "(none)"),
        ("2014-01-01", "(none)"),
    ] {
        assert_eq!(
            found(&loaded, 1, path).as_deref().unwrap_or("(none)"),
            expected,
            "{path}"
        );
    }
}

#[test]
fn objects_have_the_fields_of_the_original() {
    let loaded = project();
    for (path, expected) in [
        (
            "latest/containers/0",
            "create_index dns dns_search environment_uuid external_id health_check health_check_hosts health_state host_uuid \
             hostname ips labels links memory_reservation metadata_kind milli_cpu_reservation name network_from_container_uuid \
             network_uuid ports primary_ip primary_mac_address service_index service_name service_uuid stack_name stack_uuid \
             start_count state system uuid",
        ),
        (
            "latest/services/0",
            "containers create_index environment_uuid expose external_ips fqdn health_check hostname kind labels lb_config links \
             metadata metadata_kind name ports primary_service_name scale sidekicks stack_name stack_uuid state system token uuid vip",
        ),
        (
            "latest/stacks/0",
            "environment_name environment_uuid metadata_kind name services system uuid",
        ),
        (
            "latest/hosts/0",
            "agent_ip agent_state environment_uuid hostname labels local_storage_mb memory metadata_kind milli_cpu name state uuid",
        ),
        (
            "2015-12-19/hosts/0",
            "agent_ip agent_state environment_uuid hostId hostname labels local_storage_mb memory metadata_kind milli_cpu name \
             state uuid",
        ),
        (
            "latest/networks/0",
            "default_policy_action environment_uuid host_ports is_default metadata metadata_kind name policy uuid",
        ),
    ] {
        assert_eq!(keys(&json_of(&loaded, 1, path)), expected, "{path}");
    }
    let service = json_of(&loaded, 1, "latest/services/web");
    assert_eq!(service["links"], json!({"other/db": "mydb", "app/cache": ""}));
    assert_eq!(service["sidekicks"], json!(["log"]));
    assert_eq!(service["token"], Value::Null);
    let old = json_of(&loaded, 1, "2015-12-19/services/Web");
    assert_eq!(old["links"], json!({"Other/Db": "mydb", "App/cache": ""}));
    assert_eq!(
        (&old["sidekicks"], &old["containers"][0]["service_name"]),
        (&json!(["Log"]), &json!("Web"))
    );
    let sidekick = json_of(&loaded, 1, "latest/services/log");
    assert_eq!(
        (&sidekick["uuid"], &sidekick["primary_service_name"]),
        (&json!("uuid-Web-App"), &json!("web"))
    );
    assert_eq!(json_of(&loaded, 1, "latest/services/uuid-Web-App")["name"], "web");
    assert_eq!(
        json_of(&loaded, 1, "2015-07-25/stacks/App")["services"],
        json!(["Log", "Web"])
    );
    assert_eq!(
        json_of(&loaded, 1, "latest/stacks/app")["services"][1]["containers"][0]["name"],
        "web-app-1"
    );
    let ports = |edition: &str| json_of(&loaded, 1, &format!("{edition}/containers/lone/ports"));
    let own = "127.0.0.1:8082:80/tcp";
    assert_eq!(
        ports("latest"),
        json!(["0.0.0.0:8080:80/tcp", "0.0.0.0:8081:80/tcp", own])
    );
    assert_eq!(
        ports("2015-07-25"),
        json!(["192.0.2.10:8080:80/tcp", "192.0.2.10:8081:80/tcp", own])
    );
    let whole = json_of(&loaded, 11, "latest");
    assert_eq!(whole["containers"].as_array().unwrap().len(), 5);
    assert_eq!(whole["containers"][4], json_of(&loaded, 11, "latest/containers/lone"));
}

#[test]
fn everybody_sees_themselves_and_their_own_token_alone() {
    let loaded = project();
    for (from, path, expected) in [
        (11, "latest/self", "container/\nhost/\nservice/\nstack/\n"),
        (20, "latest/self", "container/\nhost/\n"),
        (1, "latest/self", "host/\n"),
        (99, "latest/self", "host/\n"),
        (11, "latest/self/container/name", "web-app-1"),
        (12, "latest/self/container/name", "web-app-2"),
        (20, "latest/self/container/name", "lone"),
        (1, "latest/self/container", "(none)"),
        (1, "latest/self/host/name", "Host-1"),
        (11, "latest/self/service/token", "secret"),
        (14, "latest/self/service/token", ""),
        (14, "latest/services/web/token", ""),
        (11, "latest/services/web/token", ""),
        (11, "latest/self/stack/services/web/token", ""),
        (11, "2015-12-19/self/service/name", "Web"),
        (11, "2015-07-25/self/service/containers/0", "Web-App-1"),
        (13, "latest/self/service/name", "log"),
        (13, "latest/self/service/primary_service_name", "web"),
        (13, "latest/self/stack/name", "app"),
    ] {
        assert_eq!(
            found(&loaded, from, path).as_deref().unwrap_or("(none)"),
            expected,
            "{path} from {from}"
        );
    }
}

#[test]
fn what_a_client_accepts_decides_the_form() {
    for (accept, expected) in [
        ("", Form::Text),
        ("*/*", Form::Text),
        ("text/plain", Form::Text),
        ("application/json", Form::Json),
        ("Application/JSON; charset=utf-8", Form::Json),
        ("application/*", Form::Json),
        ("application/yaml", Form::Yaml),
        ("application/x-yaml", Form::Yaml),
        ("text/yaml", Form::Yaml),
        ("text/x-yaml, */*", Form::Yaml),
        ("text/*;q=0.2, application/json;q=0.1", Form::Text),
        ("text/plain;q=0.1, application/json;q=0.9", Form::Json),
        ("application/json;q=0", Form::Text),
        ("text/html,application/xhtml+xml,*/*;q=0.8", Form::Text),
        ("image/png", Form::Text),
        ("junk", Form::Text),
    ] {
        assert_eq!(Form::accepted(accept), expected, "{accept:?}");
    }
}

#[test]
fn json_is_sorted_and_yaml_is_read_as_the_same() {
    let loaded = project();
    let json = found_as(&loaded, 1, "latest/services/web/metadata", Form::Json).unwrap();
    assert_eq!(json, r#"{"app/db":{"Big":[1,{"name":"x y"},[true],null]},"ratio":0.5}"#);
    let yaml = Form::Yaml.write(json!({
        "b": [{"x": 1, "y": [1, "two"]}, [true, [2]], {}, []],
        "a b": {"no": "no", "empty": "", "nested": {"k": null}, "number": "1.5", "colon": "a: b\n", "plain": "web-1.app"},
        "z": {},
    }));
    let expected = "\
\"a b\":
  colon: \"a: b\\n\"
  empty: \"\"
  nested:
    k: null
  \"no\": \"no\"
  number: \"1.5\"
  plain: web-1.app
b:
- x: 1
  \"y\":
  - 1
  - two
- - true
  - - 2
- {}
- []
z: {}
";
    assert_eq!(yaml, expected);
    assert_eq!(Form::Yaml.write(json!("x")), "x\n");
    assert_eq!(error(Form::Text, 404, "Not found"), "Not found\n");
    assert_eq!(
        error(Form::Json, 404, "Not found"),
        "{\"code\":404,\"message\":\"Not found\",\"type\":\"error\"}\n"
    );
}
