//! Tests of reaching an engine, and of what its refusals mean.

use super::failure::*;
use super::*;

#[test]
fn the_engines_words_decide_what_a_refusal_means() {
    let kind = |e: &Error| match e {
        Error::Unreachable(_) => "unreachable",
        Error::Failed(_) => "failed",
        Error::PortTaken(_) => "port",
        Error::NameTaken(_) => "name",
        Error::AddressTaken(_) => "address",
        Error::NetworkGone(_) => "network",
        Error::Gone(_) => "gone",
    };
    for (status, message, expected) in [
        (
            500,
            "driver failed programming external connectivity on endpoint x (y): Bind for 0.0.0.0:80 failed: port is already allocated",
            "port",
        ),
        (
            500,
            "Error starting userland proxy: listen tcp4 0.0.0.0:80: bind: address already in use",
            "port",
        ),
        (
            500,
            "failed to bind host port for 0.0.0.0:80:10.0.0.2:80/tcp: address already in use",
            "port",
        ),
        (500, "bind: cannot assign requested address", "failed"),
        (403, "Address already in use", "address"),
        (
            500,
            "Invalid address 10.9.9.9: It does not belong to any of this network's subnets",
            "address",
        ),
        (
            400,
            "invalid config for network n: no configured subnet contains IP address 10.9.9.9",
            "address",
        ),
        (
            409,
            "Conflict. The container name \"/x\" is already in use by container \"ab\". You have to remove",
            "name",
        ),
        (409, "network with name n already exists", "name"),
        (409, "removal of container x is already in progress", "failed"),
        (409, "cannot join network of a non running container: ab", "failed"),
        (404, "No such container: ab", "gone"),
        (404, "No such image: nope:1", "gone"),
        (400, "Minimum memory limit allowed is 6MB", "failed"),
    ] {
        assert_eq!(kind(&refusal(status, message)), expected, "{message}");
    }
}

#[test]
fn a_start_that_misses_something_else_has_failed() {
    let gone = |m: &str| Error::Gone(m.into());
    assert_eq!(
        start_failure(gone("network n not found"), "ab"),
        Error::NetworkGone("network n not found".into())
    );
    assert_eq!(
        start_failure(gone("No such container: cd"), "ab"),
        Error::Failed("No such container: cd".into())
    );
    assert_eq!(
        start_failure(gone("No such container: ab"), "ab"),
        gone("No such container: ab")
    );
}

#[test]
fn addresses_are_understood_or_refused() {
    for (url, good) in [
        ("unix:///var/run/docker.sock", true),
        ("/var/run/docker.sock", true),
        ("tcp://127.0.0.1:2375", true),
        ("http://127.0.0.1:2375", true),
        ("https://127.0.0.1:2376", false),
        ("ftp://x", false),
        ("docker", false),
    ] {
        assert_eq!(Docker::connect(url, None, Owner::alone("s")).is_ok(), good, "{url}");
    }
    assert!(
        Docker::connect(
            "tcp://127.0.0.1:2376",
            Some(Path::new("/nonexistent")),
            Owner::alone("s")
        )
        .is_err()
    );
}

#[tokio::test]
async fn an_engine_that_is_away_is_unreachable_and_no_reason_to_fail_early() {
    for url in ["unix:///nonexistent/docker.sock", "tcp://127.0.0.1:1"] {
        let docker = Docker::connect(url, None, Owner::alone("s"));
        let result = match docker {
            Ok(docker) => Runtime::ping(&docker).await,
            Err(e) => Err(e),
        };
        assert!(matches!(result, Err(Error::Unreachable(_))), "{url}: {result:?}");
    }
}
