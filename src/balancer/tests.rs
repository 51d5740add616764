//! Tables and what HAProxy is told of them.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::config::{beginning, files};
use super::haproxy::{commands, complaint, read_connections, read_processes, read_servers};
use super::places::CERTIFICATES;
use super::routes::routes;
use super::sections::parse;
use super::slots::Slots;
use crate::model::balancer_table::Table;

fn table(value: Value) -> Table {
    serde_json::from_value(value).unwrap()
}

fn target(address: &str, port: u16) -> Value {
    json!({"address": address, "port": port})
}

/// A rule that leads to one server.
fn rule(host: &str, path: &str, server: &str) -> Value {
    json!({"host": host, "path": path, "targets": {server: target("10.42.0.2", 80)}})
}

fn cases() -> Vec<(&'static str, Value)> {
    let web = json!({"targets": {"a": target("10.42.0.2", 80), "b": target("10.42.0.3", 80)}});
    let pem = json!([{"cert": "CERT", "chain": "CHAIN", "key": "KEY"}, {"cert": "OTHER", "key": "OTHERKEY"}]);
    vec![
        ("nothing", json!({})),
        (
            "http",
            json!({"listeners": [{"port": 80, "protocol": "http", "rules": [web]}]}),
        ),
        (
            "nobody",
            json!({"listeners": [{"port": 80, "protocol": "http", "rules": [{"host": "a.example"}]}]}),
        ),
        (
            "order",
            json!({"listeners": [{"port": 80, "protocol": "http", "rules": [
                rule("", "", "default"), rule("", "/img", "path"), rule("", "/img/large", "longer-path"), rule("*.example.com", "", "wild"),
                rule("*.example.com", "/x", "wild-path"), rule("www.example.com", "", "host"), rule("www.example.com", "/x", "host-path"),
                rule("example.*", "*.php", "ends"),
                {"host": "", "path": "", "priority": 2, "targets": {"second": target("10.42.0.9", 80)}},
                {"host": "first.example", "priority": 1, "targets": {"first": target("10.42.0.8", 80)}}]}]}),
        ),
        (
            "merged",
            json!({"listeners": [{"port": 80, "protocol": "http", "rules": [
                {"host": "A.example", "weight": 10, "targets": {"a": target("10.42.0.2", 80)}},
                {"host": "a.example", "weight": 200, "targets": {"b": target("10.42.0.3", 81)}}]}]}),
        ),
        (
            "names",
            json!({"listeners": [{"port": 80, "protocol": "http", "rules": [
                {"host": "a.example", "backend": "mine", "targets": {"a": target("10.42.0.2", 80)}},
                {"host": "b.example", "backend": "mine", "targets": {"b": target("10.42.0.3", 80)}},
                rule("a_b", "", "one"), rule("a.b", "", "two")]}]}),
        ),
        (
            "https",
            json!({"certificates": pem, "listeners": [{"port": 443, "protocol": "https", "rules": [web]}]}),
        ),
        (
            "https-without-certificate",
            json!({"listeners": [{"port": 443, "protocol": "https", "rules": [web]}]}),
        ),
        (
            "tcp",
            json!({"listeners": [{"port": 5432, "protocol": "tcp", "rules": [web]}]}),
        ),
        (
            "tls",
            json!({"certificates": pem, "listeners": [{"port": 993, "protocol": "tls", "rules": [web, rule("mail.example", "", "m")]}]}),
        ),
        (
            "sni",
            json!({"listeners": [{"port": 443, "protocol": "sni", "rules": [rule("a.example", "", "a"), rule("*.b.example", "", "b")]}]}),
        ),
        (
            "proxied",
            json!({"listeners": [{"port": 80, "protocol": "http", "accepts_proxy": true, "rules": [web]}]}),
        ),
        (
            "sticky",
            json!({"stickiness": {"cookie": "STAY", "mode": "insert", "indirect": true, "nocache": true, "domain": ".example.com"},
                   "listeners": [{"port": 80, "protocol": "http", "rules": [web]}, {"port": 81, "protocol": "tcp", "rules": [web]}]}),
        ),
        (
            "sticky_posts",
            json!({"stickiness": {"cookie": "STAY", "mode": "rewrite", "postonly": true},
                   "listeners": [{"port": 80, "protocol": "http", "rules": [web]}]}),
        ),
        (
            "outside",
            json!({"listeners": [{"port": 80, "protocol": "http", "rules": [
                {"targets": {"one": target("db.example.com", 80), "two": target("2001:db8::1", 80)}}]}]}),
        ),
        (
            "config",
            json!({"config": "# mine\nglobal\n  maxconn 100\n  tune.bufsize 32768\ndefaults\n  timeout client 1m\n  option  httplog\nfrontend 80\n\
                   acl bad path_beg /admin\n http-request deny if bad\nbackend web\n  balance leastconn\n  server $IP check inter 1000\n\
                   userlist people\n  user me insecure-password x\n",
                   "listeners": [{"port": 80, "protocol": "http", "rules": [
                       {"backend": "web", "targets": {"a": target("10.42.0.2", 80)}}]}]}),
        ),
        (
            "injected",
            json!({"stickiness": {"cookie": "a\n  daemon"},
                   "listeners": [{"port": 80, "protocol": "http", "rules": [
                       {"host": "a\n  daemon", "targets": {"a": target("10.42.0.2", 80)}},
                       {"path": "/x if TRUE\n", "targets": {"b": target("10.42.0.2", 80)}},
                       {"backend": "b\nlisten y", "targets": {"c": target("10.42.0.2", 80)}},
                       {"targets": {"d": target("10.0.0.1 backup", 80)}}]}]}),
        ),
    ]
}

#[test]
fn each_table_becomes_the_configuration_that_was_reviewed() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/balancer");
    for (name, value) in cases() {
        let table = table(value);
        let routes = routes(&table);
        let made = files(&table, &routes, &Slots::default().fit(&routes));
        let mut text = made.config.replace(&made.digest, "DIGEST");
        for (file, pem) in &made.certificates {
            text.push_str(&format!("\n== {file}\n{pem}"));
        }
        let file = folder.join(format!("{name}.cfg"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&file, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), text, "{name}");
    }
}

/// HAProxy itself reads what is written, where it is installed.
#[test]
fn haproxy_takes_every_configuration() {
    let version = Command::new("haproxy").arg("-v").output();
    if !version.is_ok_and(|version| version.status.success()) {
        assert!(
            std::env::var_os("DROVER_TEST_LIVE").is_none(),
            "haproxy is not installed"
        );
        eprintln!("skipped: haproxy is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().to_str().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let cert = rcgen::CertificateParams::new(["a.example".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let pem = format!("{}{}", cert.pem(), key.serialize_pem());
    let mut all: Vec<(&str, String)> = vec![("beginning", beginning())];
    for (name, value) in cases() {
        let table = table(value);
        let routes = routes(&table);
        let made = files(&table, &routes, &Slots::default().fit(&routes));
        for file in made.certificates.keys() {
            std::fs::write(folder.path().join(file), &pem).unwrap();
        }
        all.push((name, made.config));
    }
    for (name, text) in all {
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, text.replace(CERTIFICATES, here)).unwrap();
        let done = Command::new("haproxy").arg("-c").arg("-f").arg(&file).output().unwrap();
        assert!(
            done.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
}

fn many(count: usize) -> Table {
    let targets: serde_json::Map<String, Value> = (0..count)
        .map(|n| (format!("t{n:02}"), target(&format!("10.42.0.{n}"), 80)))
        .collect();
    table(json!({"listeners": [{"port": 80, "protocol": "http", "rules": [{"backend": "web", "targets": targets}]}]}))
}

#[test]
fn servers_keep_their_places_and_there_are_some_to_spare() {
    let two = Slots::default().fit(&routes(&many(2)));
    assert_eq!(two.0["web"].len(), 8);
    let mut table = many(3);
    table.listeners[0].rules[0].targets.remove("t00");
    let next = two.fit(&routes(&table));
    // Who has left, has left a place; who comes takes another one first, as old cookies mean it.
    let names: Vec<Option<&str>> = next.0["web"].iter().map(Option::as_deref).collect();
    assert_eq!(names[..3], [None, Some("t01:80"), Some("t02:80")]);
    let nine = next.fit(&routes(&many(9)));
    assert_eq!(nine.0["web"].len(), 16);
    assert_eq!(nine.0["web"][1].as_deref(), Some("t01:80"));
    // All of them fit, none to spare: nothing begins anew until it has to.
    let eight = two.fit(&routes(&many(8)));
    assert_eq!(eight.0["web"].len(), 8);
    assert!(eight.0["web"].iter().all(Option::is_some));
    assert_eq!(nine.fit(&routes(&many(1))).0["web"].len(), 16);
}

#[test]
fn only_what_cannot_change_at_run_time_changes_the_digest() {
    let digest = |table: &Table, slots: &Slots| {
        let routes = routes(table);
        files(table, &routes, &slots.fit(&routes)).digest
    };
    let slots = Slots::default().fit(&routes(&many(2)));
    let before = digest(&many(2), &slots);
    assert_eq!(digest(&many(5), &slots), before);
    let mut drains = many(2);
    drains.listeners[0].rules[0].weight = Some(3);
    drains.listeners[0].rules[0].targets.get_mut("t00").unwrap().is_draining = true;
    assert_eq!(digest(&drains, &slots), before);
    assert_ne!(digest(&many(9), &slots), before);
    let custom = Table {
        config: "global\n maxconn 7".into(),
        ..many(2)
    };
    assert_ne!(digest(&custom, &slots), before);
}

const STATE: &str = "1\n\
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status \
srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl \
srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n\
3 web 1 s1 10.42.0.0 2 0 128 1 0 1 0 0 8 0 0 0 - 80 - 0 0 - - 0\n\
3 web 2 s2 10.42.0.9 2 0 128 128 0 1 0 0 8 0 0 0 - 80 - 0 0 - - 0\n\
3 web 3 s3 127.0.0.1 0 5 1 9 0 1 0 0 8 0 0 0 - 9 - 0 0 - - 0\n\
3 web 4 s4 10.42.0.7 0 8 128 128 0 1 0 0 8 0 0 0 - 80 - 0 0 - - 0\n";

#[test]
fn haproxy_is_told_what_it_does_not_know_and_who_comes_before_who_goes() {
    let table = many(3);
    let routes_now = routes(&table);
    let slots = Slots::default().fit(&routes_now);
    let told = commands(&read_servers(STATE), &routes_now, &slots);
    let expected = [
        "set server web/s2 state maint",
        "set server web/s2 addr 10.42.0.1 port 80",
        "set server web/s2 state ready",
        "set server web/s3 addr 10.42.0.2 port 80",
        "set server web/s3 weight 128",
        "set server web/s3 state ready",
        "set server web/s4 state maint",
    ];
    assert_eq!(told, expected);
    let mut table = many(1);
    table.listeners[0].rules[0].targets.get_mut("t00").unwrap().is_draining = true;
    let routes_then = routes(&table);
    let told = commands(&read_servers(STATE), &routes_then, &slots.fit(&routes_then));
    assert!(told.contains(&"set server web/s1 state drain".to_owned()), "{told:?}");
}

#[test]
fn what_haproxy_says_is_understood() {
    let processes = "#<PID>          <type>          <reloads>       <uptime>        <version>      \n\
        27667           master          1 [failed: 0]   0d00h00m03s     2.6.12-1+deb12u4\n# workers\n\
        27883           worker          0               0d00h00m01s     2.6.12\n# old workers\n\
        27670           worker          1               0d00h00m03s     2.6.12\n# programs\n";
    assert_eq!(read_processes(processes), ["27883", "27670"]);
    let counts = read_connections("# pxname,svname,qcur,qmax,scur,smax\nweb,s1,0,0,3,9\nweb,BACKEND,0,0,x,9\n");
    assert_eq!(counts[&("web".to_owned(), "s1".to_owned())], 3);
    let said = "[NOTICE]   (1) : haproxy version is 2.6\n[ALERT]    (1) : config : parsing [/drover/next.cfg:3] : unknown keyword 'x' in 'global' section\n\
        [ALERT]    (1) : config : Error(s) found in configuration file : /drover/next.cfg\n[ALERT]    (1) : config : Fatal errors found in configuration.\n";
    assert_eq!(
        complaint(said),
        "parsing [config:3] : unknown keyword 'x' in 'global' section"
    );
    assert_eq!(complaint(""), "HAProxy refuses the configuration");
}

#[test]
fn a_users_lines_are_sections_and_words_for_servers() {
    let (sections, words) = parse("maxconn 3\n\nbackend  web\n server $IP  check   inter 5\n server other 1.2.3.4\n");
    assert_eq!(sections[0].head, "maxconn 3");
    assert_eq!(
        (sections[1].head.as_str(), &sections[1].lines[..]),
        ("backend web", &["server other 1.2.3.4".to_owned()][..])
    );
    assert_eq!(words["web"], " check inter 5");
}
