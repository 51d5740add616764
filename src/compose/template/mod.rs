//! Templates of catalogs: the part of Go's that files of stacks use, within bounds.
//!
//! `if` with `else if` and `else`, `range`, variables, comments, trimming by `-`, pipelines, and the functions of [`run::call`]. What
//! is known is `.Values` (the stack's variables) and `.Stack.Name`. Anything else refuses the file: nothing is guessed.

mod run;
mod syntax;

use std::collections::BTreeMap;

use super::problem::Read;

/// What a template is carried out with.
pub struct Facts<'a> {
    /// `.Values`
    pub values: &'a BTreeMap<String, String>,
    /// `.Stack.Name`
    pub stack: &'a str,
}

/// Whether a text is a template: it asks for something that one is carried out with (rancher-compose: `# notemplating`).
pub fn is_template(text: &str) -> bool {
    let asks = [".Values", ".Stack.", ".Release", ".Cluster"]
        .iter()
        .any(|name| text.contains(name));
    asks && text.contains("{{") && !text.starts_with("# notemplating")
}

/// Carries a template out.
pub fn carry_out(text: &str, facts: &Facts<'_>) -> Read<String> {
    run::run(&syntax::nodes(text)?, facts)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;

    fn run(text: &str) -> Read<String> {
        let values = [("A", "true"), ("N", "3"), ("L", "x,y"), ("E", "")];
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
        carry_out(
            text,
            &Facts {
                values: &BTreeMap::from(values),
                stack: "shop",
            },
        )
    }

    #[test]
    fn templates_are_carried_out() {
        for (text, expected) in [
            ("plain {x}", "plain {x}"),
            ("a\n{{- if eq .Values.A \"true\" }}\nb\n{{- end }}\nc", "a\nb\nc"),
            ("{{if eq .Values.A \"x\"}}1{{else if .Values.E}}2{{else}}3{{end}}", "3"),
            ("{{ .Stack.Name }}-{{ .Values.N | add 1 }}", "shop-4"),
            (
                "{{range $i, $x := splitList \",\" .Values.L}}{{$i}}={{$x}}={{.}};{{end}}",
                "0=x=x;1=y=y;",
            ),
            ("{{range .Values.NONE}}x{{else}}none{{end}}", "none"),
            (
                "{{/* a note */}}{{ $a := .Values.N }}{{ if and (gt $a 2) (not .Values.E) }}{{ \"}}\" }}{{end}}",
                "}}",
            ),
            ("{{ .Values.E | default \"d\" | upper | quote }}", "\"D\""),
            ("{{ range until 3 }}{{ . }}{{ end }}", "012"),
        ] {
            assert_eq!(run(text).expect(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (text, words) in [
            ("{{ .Name }}", "{{.Name}}: .Name is not known"),
            ("{{ exec 1 }}", "exec cannot be called so"),
            ("{{ if .Values.A }}x", "an if has no end"),
            ("{{ end }}", "belongs to nothing"),
            ("{{ with .Values.A }}{{ end }}", "with is not known"),
            ("{{ .Values.A", "is not closed"),
            ("{{ (.Values.A }}", "is not understood"),
            ("{{ $x }}", "$x is not known"),
            (
                "{{ $a := \"xxxxxxxx\" }}{{ range until 99 }}{{ $a = join \"\" (list $a $a) }}{{ end }}",
                "is too large",
            ),
            (&"{{if 1}}".repeat(99), "nested too deeply"),
            (
                &format!("{}{}", "{{range until 1000}}".repeat(4), "{{end}}".repeat(4)),
                "does too much",
            ),
        ] {
            let refusal = run(text).expect_err(text).to_string();
            assert!(refusal.contains(words), "{text}: {refusal}");
        }
    }
}
