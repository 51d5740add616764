#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

use serde_json::json;

use super::*;

fn read(text: &str) -> Value {
    parse(text).expect("is read").to_json()
}

fn refusal(text: &str) -> String {
    parse(text).expect_err("is refused").to_string()
}

#[test]
fn scalars_are_what_was_written() {
    let text = "a: 1.10\nb: 'yes'\nc: yes\nd: 0755\ne: -3\nf: ~\ng: !!str 5\nh: 1e3\n";
    assert_eq!(
        read(text),
        json!({"a": 1.10, "b": "yes", "c": "yes", "d": "0755", "e": -3, "f": null, "g": "5", "h": 1000.0})
    );
    assert_eq!(parse(text).unwrap().get("a").unwrap().as_text().unwrap(), "1.10");
    assert!(parse(text).unwrap().get("c").unwrap().as_bool().unwrap());
}

#[test]
fn aliases_and_merges_are_resolved() {
    let text = "x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3\nz: [*x]\n";
    assert_eq!(
        read(text),
        json!({"x": {"a": 1, "b": 2}, "y": {"b": 3, "a": 1}, "z": [{"a": 1, "b": 2}]})
    );
}

#[test]
fn what_is_not_understood_is_refused_with_its_line() {
    assert_eq!(refusal("a: 1\nb: 2\na: 3\n"), "\"a\" stands twice (line 3)");
    assert_eq!(
        refusal("a:\n\tb: 1\n"),
        "line 2 is indented by a tab: YAML wants spaces"
    );
    assert!(refusal("a: [1\n").starts_with("line "), "{}", refusal("a: [1\n"));
    assert_eq!(refusal("a: 1\n---\nb: 2\n"), "a second document begins at line 2");
    assert!(refusal("a: !env X\n").contains("has the tag"));
    assert!(refusal("? [a]\n: b\n").contains("has a key that is no text"));
    assert!(refusal("a: &a [*a]\n").contains("repeats what contains it") || refusal("a: &a [*a]\n").contains("YAML"));
}

#[test]
fn what_is_too_much_is_refused() {
    assert!(refusal(&"x".repeat(MAX_TEXT + 1)).contains("is larger than"));
    assert!(refusal(&"[".repeat(200)).contains("nested deeper"));
    let mut bomb = String::from("a: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for (from, to) in [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "f"), ("f", "g")] {
        bomb.push_str(&format!("{to}: &{to} [{}]\n", vec![format!("*{from}"); 10].join(", ")));
    }
    assert!(refusal(&bomb).contains("is too much"));
    let mut tower = String::from("a0: &a0 [x]\n");
    for n in 1..60 {
        tower.push_str(&format!("a{n}: &a{n} [*a{}]\n", n - 1));
    }
    assert!(refusal(&tower).contains("nested deeper"));
}
