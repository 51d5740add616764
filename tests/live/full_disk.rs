//! A disk without room: refusals that say so, and a server that is well again by itself when there is room.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::support::{Server, real_part, wait_until};

/// How long the server may take to see that there is room again.
const PATIENCE: Duration = Duration::from_secs(20);

/// A file system of its own, small; gone when this is dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(size: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = format!("size={size},mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "drover-test"])
            .arg(folder.path())
            .status();
        assert!(mounted.is_ok_and(|status| status.success()), "live tests run as root");
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_said_and_got_over() {
    if real_part("DROVER_TEST_DOCKER").is_none() {
        return;
    }
    let disk = SmallDisk::new("16m");
    let database = disk.path().join("drover.db");
    let server = Server::start_with("none", &["--database", &database.to_string_lossy()]);
    let api = server.api("v2-beta/projects/1a5/");
    let made = api.post("stacks", json!({"name": "before"}));
    // Nothing is left.
    let filler = disk.path().join("filler");
    let _ = std::fs::write(&filler, vec![7; 32 << 20]);
    // What the database has room for in its own files is used up, too.
    let small = json!({"kind": "x", "name": "x", "resourceData": {}});
    let is_full = (0..5_000).any(|_| api.send("POST", "genericobjects", Some(small.clone())).0 == 503);
    assert!(is_full, "small things are refused at last");
    let big = json!({"kind": "x", "name": "x", "resourceData": {"big": "x".repeat(900_000)}});
    for _ in 0..50 {
        let (status, refusal) = api.send("POST", "genericobjects", Some(big.clone()));
        assert_eq!(
            (status, &refusal["code"]),
            (503, &json!("Service Unavailable")),
            "{refusal}"
        );
    }
    assert_eq!(server.api("").send("GET", "readyz", None).0, 503, "{}", server.log());
    assert_eq!(api.reload(&made)["name"], "before", "reading goes on");
    let said = server.log().matches("the database cannot be written").count();
    assert!((1..=20).contains(&said), "said {said} times:\n{}", server.log());
    std::fs::remove_file(&filler).expect("the filler");
    wait_until("the server to be well again", PATIENCE, || {
        match server.api("").send("GET", "readyz", None).0 {
            200 => Ok(()),
            other => Err(other),
        }
    });
    api.post("stacks", json!({"name": "after"}));
    assert!(server.log().contains("the database can be written again"));
}
