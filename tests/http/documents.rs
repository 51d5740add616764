//! The documents against the program: flags, exit statuses, `--help`, links between files.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{ArgAction, Command, CommandFactory as _};
use drover::cli::Cli;
use drover::failure::Status;

use crate::source::{files, none, root};

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Each command with subcommands taken apart: `drover serve`, `drover schema check` …
fn commands(command: &Command, name: &str, found: &mut Vec<(String, Command)>) {
    found.push((name.to_owned(), command.clone()));
    for sub in command.get_subcommands().filter(|s| s.get_name() != "help") {
        commands(sub, &format!("{name} {}", sub.get_name()), found);
    }
}

fn all_commands() -> Vec<(String, Command)> {
    let mut found = Vec::new();
    commands(&Cli::command(), "drover", &mut found);
    found
}

/// The row of a Markdown table that begins with this code.
fn row<'t>(text: &'t str, code: &str) -> Option<&'t str> {
    text.lines().find(|line| line.starts_with(&format!("| `{code}")))
}

#[test]
fn every_flag_and_variable_is_in_the_operators_guide() {
    let text = read("docs/operating.md");
    let mut problems = String::new();
    let mut flags = BTreeSet::new();
    for (name, command) in all_commands() {
        for argument in command.get_arguments() {
            let is_builtin = matches!(
                argument.get_action(),
                ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
            );
            let Some(long) = argument.get_long().filter(|_| !is_builtin) else {
                continue;
            };
            let flag = format!("--{long}");
            flags.insert(flag.clone());
            let Some(row) = row(&text, &flag) else {
                let _ = writeln!(problems, "{name} {flag} has no row");
                continue;
            };
            let variable = argument.get_env().map(|v| format!("`{}`", v.to_string_lossy()));
            if variable.as_ref().is_some_and(|v| !row.contains(v)) {
                let _ = writeln!(problems, "{name} {flag}: its row lacks {variable:?}");
            }
            let is_switch = !argument.get_action().takes_values();
            for default in argument.get_default_values().iter().filter(|_| !is_switch) {
                if !row.contains(&format!("`{}`", default.to_string_lossy())) {
                    let _ = writeln!(problems, "{name} {flag}: its row lacks the default {default:?}");
                }
            }
        }
    }
    for line in text.lines().filter(|line| line.starts_with("| `--")) {
        let flag = line
            .trim_start_matches("| `")
            .split(['`', ' '])
            .next()
            .unwrap_or_default();
        if !flags.contains(flag) {
            let _ = writeln!(problems, "there is no {flag}");
        }
    }
    assert!(problems.is_empty(), "docs/operating.md:\n{problems}");
}

#[test]
fn every_exit_status_is_in_the_operators_guide() {
    let text = read("docs/operating.md");
    for status in Status::ALL {
        assert!(
            row(&text, &status.code().to_string()).is_some(),
            "{status:?} ({}) has no row",
            status.code()
        );
    }
}

#[test]
fn the_help_is_what_was_reviewed() {
    // The commit in the version is left out: only the text of the flags is looked at.
    let mut actual = String::new();
    for (name, command) in all_commands() {
        let help = command
            .bin_name(name.clone())
            .disable_help_subcommand(true)
            .term_width(100)
            .render_long_help()
            .to_string();
        let _ = writeln!(actual, "$ {name} --help\n{}\n", without_values(&help).trim_end());
    }
    let path = root().join("tests/golden/help.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap_or(root()))
            .and_then(|()| std::fs::write(&path, &actual))
            .expect("a golden file");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        actual, expected,
        "the help changed; read it, then UPDATE_GOLDEN=1 cargo test --test http"
    );
}

/// The help shows what variables are set to; a test must not depend on that.
fn without_values(help: &str) -> String {
    let line = |line: &str| match line.split_once("[env: ") {
        Some((before, rest)) => {
            let (variable, after) = rest.split_once(']').unwrap_or((rest, ""));
            let name = variable.split('=').next().unwrap_or_default();
            format!("{before}[env: {name}]{after}")
        }
        None => line.to_owned(),
    };
    help.lines().map(|l| line(l).trim_end().to_owned() + "\n").collect()
}

fn documents() -> Vec<PathBuf> {
    let mut found = vec![root().join("README.md"), root().join("schemas/README.md")];
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("docs can be read").flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path if path.extension().is_some_and(|e| e == "md") => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

/// The targets of `[text](target)` outside code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        // What stands between backquotes is code, too.
        let prose: String = line.split('`').step_by(2).collect();
        let targets = prose
            .split("](")
            .skip(1)
            .filter(|_| !in_code)
            .filter_map(|rest| rest.split_once(')'));
        found.extend(targets.map(|(target, _)| target.to_owned()));
    }
    found
}

/// A heading as a link names it.
fn anchor(heading: &str) -> String {
    let keep = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
        _ => None,
    };
    heading
        .trim_start_matches('#')
        .trim()
        .chars()
        .filter_map(keep)
        .collect()
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut problems = String::new();
    for document in documents() {
        let text = std::fs::read_to_string(&document).expect("a document can be read");
        for link in links(&text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, fragment) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() {
                document.clone()
            } else {
                document.parent().unwrap_or(root()).join(path)
            };
            if !target.exists() {
                let _ = writeln!(problems, "{}: {link}", document.display());
            } else if !fragment.is_empty() && target.is_file() {
                let headings = std::fs::read_to_string(&target).unwrap_or_default();
                if !headings
                    .lines()
                    .filter(|l| l.starts_with('#'))
                    .any(|h| anchor(h) == fragment)
                {
                    let _ = writeln!(problems, "{}: {link}: no such heading", document.display());
                }
            }
        }
    }
    assert!(problems.is_empty(), "links that lead nowhere:\n{problems}");
}

/// Paths in backquotes that look like files of this repository.
fn paths(text: &str) -> Vec<String> {
    let is_path = |t: &&str| {
        let begins = [
            "src/",
            "tests/",
            "docs/",
            "schemas/",
            "scripts/",
            "migrations/",
            "benches/",
            ".ci/",
        ]
        .iter()
        .any(|p| t.starts_with(p));
        begins && !t.contains(['*', '<', '{', ' ', '…', ':', '=', '$'])
    };
    text.lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(is_path)
        .map(str::to_owned)
        .collect()
}

#[test]
fn files_that_documents_name_exist() {
    /// Examples of files that are yet to be made.
    const EXAMPLES: [&str; 2] = ["schemas/types/toolBox.json", "schemas/processes/toolBox.json"];
    let mut problems = String::new();
    for document in documents() {
        let text = std::fs::read_to_string(&document).expect("a document can be read");
        for path in paths(&text).iter().filter(|p| !EXAMPLES.contains(&p.as_str())) {
            if !root().join(path).exists() {
                let _ = writeln!(problems, "{}: {path}", document.display());
            }
        }
    }
    assert!(
        problems.is_empty(),
        "documents name files that are not there:\n{problems}"
    );
}

/// Names in backquotes of files of Rust without a folder: `credentials.rs`.
fn bare_names(text: &str) -> Vec<&str> {
    let words = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    words
        .filter(|word| word.ends_with(".rs") && !word.contains(['/', ' ', '<', '*']))
        .collect()
}

#[test]
fn files_that_documents_name_without_their_folder_exist() {
    let code = files(&["src", "tests", "benches"], &[".rs"], "");
    let there: BTreeSet<&str> = code
        .iter()
        .filter_map(|source| source.path.rsplit('/').next())
        .collect();
    let mut problems = Vec::new();
    for document in documents() {
        let text = std::fs::read_to_string(&document).expect("a document can be read");
        let gone = bare_names(&text).into_iter().filter(|name| !there.contains(name));
        problems.extend(gone.map(|name| format!("{}: {name}", document.display())));
    }
    none(problems);
}

#[test]
fn names_of_files_are_found_in_documents() {
    let text = "`src/a.rs`, `b.rs` and b.rs, `tests/`, `c.md`\n`docs/<name>.md` `x y.rs`";
    assert_eq!(paths(text), ["src/a.rs", "tests/"]);
    assert_eq!(bare_names(text), ["b.rs"]);
    assert_eq!(
        tests_named("`a::one_two_three_four` `short_name` one_two_three_four"),
        ["one_two_three_four"]
    );
}

/// Names of tests in backquotes that documents lean on: `module::a_sentence_about_behaviour` or the sentence alone.
fn tests_named(text: &str) -> Vec<String> {
    let words = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let is_test = |t: &str| {
        t.matches('_').count() >= 3
            && t.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    words
        .map(|w| w.rsplit("::").next().unwrap_or(w).to_owned())
        .filter(|w| is_test(w))
        .collect()
}

#[test]
fn tests_that_documents_lean_on_exist() {
    let mut code = String::new();
    let mut folders = vec![root().join("src"), root().join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder can be read").flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path if path.extension().is_some_and(|e| e == "rs") => {
                    code += &std::fs::read_to_string(&path).expect("a source file")
                }
                _ => {}
            }
        }
    }
    let mut problems = String::new();
    for document in documents() {
        let text = std::fs::read_to_string(&document).expect("a document can be read");
        for test in tests_named(&text) {
            if !code.contains(&format!("fn {test}(")) && !code.contains(&format!("fn {test}<")) {
                let _ = writeln!(problems, "{}: {test}", document.display());
            }
        }
    }
    assert!(
        problems.is_empty(),
        "documents name tests that are not there:\n{problems}"
    );
}
