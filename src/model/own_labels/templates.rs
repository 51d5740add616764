//! A label by which texts of a launch configuration are templates: what stands in two braces is put in when a container is made.

use std::collections::BTreeMap;

use super::bad;
use crate::model::Result;
use crate::model::launch::LaunchConfig;

/// `rancher` or `docker`: in `hostname`, in the values of `environment` and in `dataVolumes`, `{{.Node.Hostname}}` and the like stand
/// for what they are of each container. Whose ids are meant says the value.
pub const TEMPLATES: &str = "io.drover.templates";

/// What a template can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    /// `.Service.ID`
    ServiceId,
    /// `.Service.Name`
    ServiceName,
    /// `.Stack.Name`
    StackName,
    /// `.Node.ID`: of the host.
    NodeId,
    /// `.Node.Hostname`
    NodeHostname,
    /// `.Node.Platform.OS`
    NodeOs,
    /// `.Node.Platform.Architecture`
    NodeArchitecture,
    /// `.Task.ID`: of the container.
    TaskId,
    /// `.Task.Name`: of the container.
    TaskName,
    /// `.Task.Slot`: the number of the unit.
    TaskSlot,
}

/// All of them, by their names.
const WORDS: [(&str, Word); 10] = [
    (".Service.ID", Word::ServiceId),
    (".Service.Name", Word::ServiceName),
    (".Stack.Name", Word::StackName),
    (".Node.ID", Word::NodeId),
    (".Node.Hostname", Word::NodeHostname),
    (".Node.Platform.OS", Word::NodeOs),
    (".Node.Platform.Architecture", Word::NodeArchitecture),
    (".Task.ID", Word::TaskId),
    (".Task.Name", Word::TaskName),
    (".Task.Slot", Word::TaskSlot),
];

impl Word {
    /// As it stands in a text.
    pub fn written(self) -> String {
        let found = WORDS.iter().find(|(_, word)| *word == self);
        format!("{{{{{}}}}}", found.map_or("", |(name, _)| name))
    }
}

/// Whose ids stand in the texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateIds {
    /// `1s42`
    Rancher,
    /// 25 letters and digits.
    Docker,
}

/// Whether a text has something to be put in.
pub fn is_template(text: &str) -> bool {
    text.contains("{{")
}

/// Whose ids are put into texts; none where texts are no templates. Labels were checked before.
pub fn template_ids(labels: &BTreeMap<String, String>) -> Option<TemplateIds> {
    match labels.get(TEMPLATES)?.trim() {
        "docker" => Some(TemplateIds::Docker),
        _ => Some(TemplateIds::Rancher),
    }
}

/// A text with what its words stand for.
///
/// # Errors
/// The part of it that means nothing.
pub fn filled(text: &str, value: &dyn Fn(Word) -> String) -> std::result::Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let (inside, behind) = after.split_once("}}").ok_or_else(|| format!("{{{{{after}"))?;
        let known = WORDS.iter().find(|(name, _)| *name == inside.trim());
        let (_, word) = known.ok_or_else(|| format!("{{{{{inside}}}}}"))?;
        out.push_str(&value(*word));
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

/// A value as it may stand in a path or in the name of a volume, where it must lead nowhere else: other characters become hyphens.
pub fn plain_part(value: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "._-".contains(c) {
            c
        } else {
            '-'
        }
    };
    let text: String = value.chars().map(plain).collect();
    match text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        true => text,
        false => format!("x{text}"),
    }
}

/// Refuses templates where nothing would be put in. 422 that names the label.
pub fn refuse_templates(labels: &BTreeMap<String, String>) -> Result<()> {
    match labels.contains_key(TEMPLATES) {
        true => Err(bad(TEMPLATES, "is for containers of services")),
        false => Ok(()),
    }
}

/// Checks a launch configuration that may have templates.
///
/// # Errors
/// 422 that names the label, and what of a template means nothing.
pub fn check_templates(launch: &LaunchConfig) -> Result<()> {
    let labels = launch.labels.as_ref();
    let Some(said) = labels.and_then(|labels| labels.get(TEMPLATES)) else {
        return Ok(());
    };
    if !matches!(said.trim(), "rancher" | "docker") {
        return Err(bad(TEMPLATES, "is rancher or docker: whose ids are meant"));
    }
    let texts = launch
        .hostname
        .iter()
        .chain(launch.environment.iter().flat_map(|all| all.values()));
    for text in texts.chain(launch.data_volumes.iter().flatten()) {
        if let Err(part) = filled(text, &|_| String::new()) {
            let known: Vec<&str> = WORDS.iter().map(|(name, _)| *name).collect();
            let why = format!("{part} means nothing; there are {}", known.join(", "));
            return Err(bad(TEMPLATES, &why));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn words_in_braces_are_put_in_and_others_are_told() {
        let value = |word: Word| format!("<{word:?}>");
        assert_eq!(
            filled("a-{{.Task.Slot}}{{ .Node.ID }}-b", &value).unwrap(),
            "a-<TaskSlot><NodeId>-b"
        );
        assert_eq!(filled("plain }} {x}", &value).unwrap(), "plain }} {x}");
        for (text, part) in [
            ("{{.Nobody}}", "{{.Nobody}}"),
            ("x {{.Task.Slot", "{{.Task.Slot"),
            ("{{if true}}y{{end}}", "{{if true}}"),
            ("{{}}", "{{}}"),
        ] {
            assert_eq!(filled(text, &value).unwrap_err(), part);
        }
    }

    #[test]
    fn what_a_template_is_of_is_said_by_the_label() {
        let launch = |label: Option<&str>, text: &str| LaunchConfig {
            labels: label.map(|label| BTreeMap::from([(TEMPLATES.to_owned(), label.to_owned())])),
            hostname: Some(text.to_owned()),
            ..LaunchConfig::default()
        };
        for (label, text, is_good) in [
            (None, "{{.Nobody}}", true),
            (Some("rancher"), "{{.Task.Slot}}", true),
            (Some("docker"), "plain", true),
            (Some("docker"), "{{.Nobody}}", false),
            (Some("true"), "plain", false),
        ] {
            assert_eq!(
                check_templates(&launch(label, text)).is_ok(),
                is_good,
                "{label:?} {text}"
            );
        }
        for (value, plain) in [
            ("a.b-c_1", "a.b-c_1"),
            ("..", "x.."),
            ("a/../b", "a-..-b"),
            ("", "x"),
            ("~x", "x-x"),
        ] {
            assert_eq!(plain_part(value), plain);
        }
    }
}
