//! The schemas are built in; without this line a change of them alone would not be noticed.

fn main() {
    println!("cargo::rerun-if-changed=schemas");
}
