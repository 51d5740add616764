//! Scheduling rules in environment variables: `constraint:region==us`, `affinity:app!=~web`, `affinity:container==db`
//! (cattle: `AffinityConstraintDefinition`, env forms). They mean what the affinity labels mean, and become such labels.

use std::collections::BTreeMap;

use crate::model::launch::LaunchConfig;

const LABEL: &str = "io.rancher.scheduler.affinity:";

/// The labels of a launch configuration, and the rules of its environment among them.
pub(super) fn labels_with_rules(launch: &LaunchConfig) -> BTreeMap<String, String> {
    let mut labels = launch.labels.clone().unwrap_or_default();
    for (name, value) in launch.environment.iter().flatten() {
        let Some((label, rule)) = read(name, value) else {
            continue;
        };
        labels
            .entry(label)
            .and_modify(|rules| *rules = format!("{rules},{rule}"))
            .or_insert(rule);
    }
    labels
}

/// One variable as an affinity label and its value. What stands left and right of the first `=` is one text to us.
fn read(name: &str, value: &str) -> Option<(String, String)> {
    let text = if value.is_empty() {
        name.to_owned()
    } else {
        format!("{name}={value}")
    };
    let (field, rule) = match (text.strip_prefix("constraint:"), text.strip_prefix("affinity:")) {
        (Some(rule), _) => ("host_label", rule),
        (None, Some(rule)) => ("container_label", rule),
        (None, None) => return None,
    };
    // The longer signs first: they begin with the shorter ones.
    let signs = [("==~", "_soft"), ("!=~", "_soft_ne"), ("==", ""), ("!=", "_ne")];
    let (key, wanted, suffix) = signs.iter().find_map(|(sign, suffix)| {
        rule.split_once(sign)
            .map(|(key, wanted)| (key.trim(), wanted.trim(), *suffix))
    })?;
    if key.is_empty() || wanted.is_empty() {
        return None;
    }
    Some(if field == "container_label" && key == "container" {
        (format!("{LABEL}container{suffix}"), wanted.to_owned())
    } else {
        (format!("{LABEL}{field}{suffix}"), format!("{key}={wanted}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_in_the_environment_become_affinity_labels() {
        for (name, value, expected) in [
            ("constraint:region", "=us", Some(("host_label", "region=us"))),
            ("constraint:region==us", "", Some(("host_label", "region=us"))),
            ("constraint:region!", "us", Some(("host_label_ne", "region=us"))),
            ("constraint:region", "=~us", Some(("host_label_soft", "region=us"))),
            ("constraint:region!", "~us", Some(("host_label_soft_ne", "region=us"))),
            ("affinity:app", "=web", Some(("container_label", "app=web"))),
            ("affinity:container", "=db", Some(("container", "db"))),
            ("affinity:container!", "~db", Some(("container_soft_ne", "db"))),
            ("constraint:region", "us", None),
            ("constraint:", "=us", None),
            ("PATH", "a==b", None),
        ] {
            let expected = expected.map(|(field, rule)| (format!("{LABEL}{field}"), rule.to_owned()));
            assert_eq!(read(name, value), expected, "{name}={value}");
        }
    }

    #[test]
    fn rules_of_labels_and_of_the_environment_add_up() {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let label = format!("{LABEL}host_label");
        let launch = LaunchConfig {
            labels: Some(map(&[(&label, "a=b")])),
            environment: Some(map(&[("constraint:c", "=d"), ("X", "y")])),
            ..LaunchConfig::default()
        };
        assert_eq!(labels_with_rules(&launch), map(&[(&label, "a=b,c=d")]));
    }
}
