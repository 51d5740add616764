//! Each rule about the source finds what breaks it: a rule that cannot fail is none.

use super::*;

/// Checks that the planted texts make a rule say exactly this of them.
#[track_caller]
fn finds(rule: fn(&[Source]) -> Vec<String>, planted: &[(&str, &str)], expected: &[&str]) {
    let planted: Vec<_> = planted.iter().map(|(path, text)| Source::planted(path, text)).collect();
    let found = rule(&planted);
    // Of what stands in a list and not in the planted files the rule complains, too.
    let found: Vec<_> = found
        .iter()
        .map(String::as_str)
        .filter(|line| !line.contains(": take it o"))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn an_import_that_goes_up_is_found() {
    finds(
        wrong_imports,
        &[("store/a.rs", "use crate::engine::Engine;\n")],
        &["store/a.rs:1: store must not know engine"],
    );
    finds(
        wrong_imports,
        &[("store/a.rs", "\nfn f() { crate::api::g(drover::auth::H) }\n")],
        &[
            "store/a.rs:2: store must not know api",
            "store/a.rs:2: store must not know auth",
        ],
    );
    finds(
        wrong_imports,
        &[("store/a.rs", "use crate::{engine, model};\n")],
        &["store/a.rs:1: a group at the root hides what is imported"],
    );
    finds(
        wrong_imports,
        &[("attic/a.rs", "")],
        &["attic/a.rs: attic has no place in LAYERS"],
    );
    let fine = "use crate::schema::Registry;\n// use crate::engine::Engine;\n#[cfg(test)]\nmod tests {\n    use crate::engine::Engine;\n}\n";
    finds(
        wrong_imports,
        &[
            ("store/a.rs", fine),
            ("store/a_tests.rs", "use crate::engine::Engine;\n"),
        ],
        &[],
    );
}

#[test]
fn a_crate_outside_its_fence_is_found() {
    for (name, _) in FENCED_CRATES {
        let expected = format!("plan/a.rs:2: {name}: a crate for some modules only");
        finds(
            wrong_crates,
            &[("plan/a.rs", &format!("\nuse {name}::prelude::*;\n"))],
            &[&expected],
        );
    }
    finds(
        wrong_crates,
        &[("plan/a.rs", "use my_diesel::x;\nuse crate::diesel::x;\n// diesel::x\n")],
        &[],
    );
}

#[test]
fn a_call_outside_its_fence_is_found() {
    for (call, _, why) in FENCED_CALLS {
        let expected = format!("plan/a.rs:1: {call}: {why}");
        finds(
            wrong_calls,
            &[("plan/a.rs", &format!("fn f() {{ {call}1) }}\n"))],
            &[&expected],
        );
    }
}

#[test]
fn a_fence_around_nothing_is_found() {
    let nothing = [Source::planted("plan/a.rs", "")];
    for (call, places, _) in FENCED_CALLS {
        let found = wrong_calls(&nothing);
        assert!(
            places
                .iter()
                .all(|place| found.contains(&format!("{place} has no {call}: take it out of the fence"))),
            "{found:#?}"
        );
    }
    assert!(wrong_crates(&nothing).contains(&"store has no diesel: take it out of the fence".to_owned()));
}

#[test]
fn a_panic_is_found() {
    for word in NO_PANIC {
        finds(
            panics,
            &[("api/a.rs", &format!("fn f() {{\n    x{word}\n}}\n"))],
            &[&format!("api/a.rs:2: {word}")],
        );
    }
    finds(
        panics,
        &[
            (
                "api/a.rs",
                "// x.unwrap()\n#[cfg(test)]\nmod tests {\n    x.unwrap()\n}\n",
            ),
            ("api/tests/a.rs", "x.unwrap()\n"),
        ],
        &[],
    );
}

#[test]
fn a_module_that_does_not_say_what_it_is_for_is_found() {
    let planted = [
        ("src/a.rs", "//! Says it.\n"),
        ("src/b.rs", "use crate::model;\n//! Late.\n"),
        ("src/c.rs", "//!\n"),
        ("src/tests/d.rs", ""),
    ];
    finds(
        unexplained,
        &planted,
        &["src/b.rs: begins without //!", "src/c.rs: begins without //!"],
    );
}

#[test]
fn a_long_file_is_found() {
    let lines = |count: usize| "x\n".repeat(count);
    let (long, most) = (lines(MAX_LINES + 1), lines(MAX_LINES));
    let (long_test, most_test) = (lines(MAX_TEST_LINES + 1), lines(MAX_TEST_LINES));
    let planted = [
        ("src/a.rs", &*long),
        ("src/b.rs", &*most),
        ("tests/a.rs", &*long_test),
        ("tests/b.rs", &*most_test),
        ("docs/a.md", &*long_test),
    ];
    finds(
        |sources| long_files(sources, &[]),
        &planted,
        &[
            "src/a.rs: 501 lines, 500 are allowed",
            "tests/a.rs: 801 lines, 800 are allowed",
        ],
    );
    finds(
        |sources| long_files(sources, &[("src/a.rs", "a reason")]),
        &planted[..2],
        &[],
    );
    let unneeded = long_files(&[Source::planted("src/b.rs", &most)], &[("src/b.rs", "a reason")]);
    assert_eq!(unneeded, ["src/b.rs is short enough, or gone: take it off the list"]);
}

#[test]
fn a_long_function_is_found() {
    let function = |lines: usize| {
        format!(
            "impl A {{\n    fn f() {{\n{}    }}\n}}\n",
            "        x();\n".repeat(lines - 2)
        )
    };
    let (long, most) = (function(MAX_FUNCTION + 1), function(MAX_FUNCTION));
    let in_tests = format!("#[cfg(test)]\nmod tests {{\n{long}}}\n");
    let planted = [
        ("src/a.rs", &*long),
        ("src/b.rs", &*most),
        ("src/c.rs", &*in_tests),
        ("src/c/tests.rs", &*long),
    ];
    finds(
        |sources| long_functions(sources, &[]),
        &planted,
        &["src/a.rs f: 81 lines, 80 are allowed (line 2)"],
    );
    finds(
        |sources| long_functions(sources, &[("src/a.rs f", "a reason")]),
        &planted,
        &[],
    );
    let unneeded = long_functions(&[Source::planted("src/b.rs", &most)], &[("src/b.rs f", "a reason")]);
    assert_eq!(unneeded, ["src/b.rs f is short enough, or gone: take it off the list"]);
}

#[test]
fn an_unclean_line_is_found() {
    let (todo, fixme) = (concat!("TO", "DO"), concat!("FIX", "ME"));
    let text = format!("a \nb\t\n// {todo}: later\n// {todo}(#7): fine\n// {fixme}\nend");
    let expected = [
        "src/a.rs:1: a space at the end".to_owned(),
        "src/a.rs:2: a space at the end".to_owned(),
        format!("src/a.rs:3: write {todo}(#number), with an issue"),
        format!("src/a.rs:5: write {todo}(#number), with an issue"),
        "src/a.rs: ends without a newline".to_owned(),
    ];
    finds(
        unclean,
        &[("src/a.rs", &text), ("src/b.rs", "")],
        &expected.each_ref().map(String::as_str),
    );
}
