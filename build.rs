//! What the program knows of its own making: the schemas and pages that are built in, and the commit it is made from.

use std::process::Command;

fn main() {
    // Without this line a change of the schemas alone would not be noticed.
    println!("cargo::rerun-if-changed=schemas");
    println!("cargo::rerun-if-changed=web");
    println!("cargo::rerun-if-changed=.git/HEAD");
    println!("cargo::rerun-if-changed=.git/logs/HEAD");
    let commit = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    let commit = commit
        .ok()
        .filter(|o| o.status.success())
        .and_then(|o| String::from_utf8(o.stdout).ok());
    println!(
        "cargo::rustc-env=DROVER_COMMIT={}",
        commit.as_deref().map_or("unknown", str::trim)
    );
}
