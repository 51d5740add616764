//! Lines of words, as a shell reads them: quotes and backslashes keep together what has spaces, and nothing else means anything.

/// The words of a line; none if a quote is open at its end, or a backslash stands there.
pub fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut all = line.chars();
    while let Some(c) = all.next() {
        match c {
            c if c.is_whitespace() => words.extend(word.take()),
            '\\' => word.get_or_insert_default().push(all.next()?),
            '\'' => loop {
                match all.next()? {
                    '\'' => {
                        word.get_or_insert_default();
                        break;
                    }
                    c => word.get_or_insert_default().push(c),
                }
            },
            '"' => loop {
                match all.next()? {
                    '"' => {
                        word.get_or_insert_default();
                        break;
                    }
                    '\\' => match all.next()? {
                        c @ ('"' | '\\' | '$' | '`') => word.get_or_insert_default().push(c),
                        c => word.get_or_insert_default().extend(['\\', c]),
                    },
                    c => word.get_or_insert_default().push(c),
                }
            },
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

/// A line that has these words.
pub fn join(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    quoted.join(" ")
}

fn quoted(word: &str) -> String {
    let is_plain = |c: char| !c.is_whitespace() && !matches!(c, '\'' | '"' | '\\');
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_as_a_shell_does_and_joined_again() {
        for (line, words) in [
            ("", Some(vec![])),
            ("  ", Some(vec![])),
            ("sleep 10", Some(vec!["sleep", "10"])),
            (r#"sh -c "echo \"a b\" $X""#, Some(vec!["sh", "-c", r#"echo "a b" $X"#])),
            (r"a\ b '' 'c\d'e", Some(vec!["a b", "", r"c\de"])),
            (r#""a\n""#, Some(vec![r"a\n"])),
            ("'open", None),
            (r#"a "b"#, None),
            (r"a\", None),
        ] {
            let words = words.map(|words| words.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(split(line), words, "{line}");
            if let Some(words) = words {
                assert_eq!(split(&join(&words)), Some(words), "{line}");
            }
        }
    }
}
