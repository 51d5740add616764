//! What the program knows of its own making: the schemas and pages that are built in, and the commit it is made from. Where there
//! is no repository around it, as in an image's build, DROVER_COMMIT says which.

use std::process::Command;

fn main() {
    // Without this line a change of the schemas alone would not be noticed.
    println!("cargo::rerun-if-changed=schemas");
    println!("cargo::rerun-if-changed=web");
    println!("cargo::rerun-if-changed=.git/HEAD");
    println!("cargo::rerun-if-changed=.git/logs/HEAD");
    println!("cargo::rerun-if-env-changed=DROVER_COMMIT");
    let said = std::env::var("DROVER_COMMIT").ok().filter(|said| !said.is_empty());
    let commit = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    let commit = commit
        .ok()
        .filter(|o| o.status.success())
        .and_then(|o| String::from_utf8(o.stdout).ok());
    println!(
        "cargo::rustc-env=DROVER_COMMIT={}",
        said.or(commit).as_deref().map_or("unknown", str::trim)
    );
}
