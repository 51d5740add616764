//! Hyper's interface as its command line used it, over TLS and on real containers, with real balancers before them.

use rcgen::{CertificateParams, KeyPair};

use crate::support::{World, free_port, run_script};

/// Addresses of this machine that nobody else uses.
const FIPS: [&str; 2] = ["127.0.12.1", "127.0.12.2"];
const KEY: (&str, &str) = ("HYPERACCESS", "a-secret-of-hypers-own");

#[test]
fn services_and_floating_addresses_are_what_hypers_command_line_expects() {
    let port = free_port().to_string();
    let address = format!("127.0.0.1:{port}");
    let (key, pool) = (format!("1a5={}:{}", KEY.0, KEY.1), FIPS.join(","));
    let flags = [
        "--tls-listen",
        &address,
        "--tls-self-signed",
        "--bootstrap-key",
        &key,
        "--floating-pool",
        &pool,
    ];
    let Some(world) = World::begin(None, &flags) else {
        return;
    };
    world.wait_host();
    world.set("lb.instance.image", "drover-test/haproxy:1");
    world.remember_stack("hyper");
    let folder = tempfile::tempdir().unwrap();
    let pem = folder.path().join("pem");
    let own = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec!["web.example".to_owned()]).unwrap();
    let cert = cert.self_signed(&own).unwrap();
    std::fs::write(&pem, cert.pem() + &own.serialize_pem()).unwrap();
    let service_port = free_port().to_string();
    let pem = pem.display().to_string();
    let arguments = [
        port.as_str(),
        KEY.0,
        KEY.1,
        "drover-test/web:1",
        "drover-test/web:2",
        &service_port,
        FIPS[0],
        FIPS[1],
        &pem,
    ];
    let said = run_script("hyper_client.py", &arguments);
    assert!(said.is_empty() || said.trim() == "done", "{said}");
}
