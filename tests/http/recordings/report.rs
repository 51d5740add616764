//! What the comparison found, for people: by cause, most frequent first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::compare::Difference;
use super::play::Outcome;
use super::purpose::Purpose;

/// What was counted.
#[derive(Default)]
pub struct Report {
    /// All requests, and those that are answered as recorded or differ on purpose only.
    pub requests: usize,
    pub equal: usize,
    pub on_purpose: usize,
    by_scenario: BTreeMap<String, (usize, usize)>,
    causes: BTreeMap<(String, String, String), Cause>,
    reasons: BTreeMap<String, usize>,
    lines: Vec<String>,
}

/// The requests with a difference of one kind.
#[derive(Default)]
struct Cause {
    requests: BTreeSet<(String, u32)>,
    places: usize,
    /// Requests in which nothing else is wrong.
    alone: usize,
    example: String,
}

impl Report {
    /// Adds what became of a scenario.
    pub fn add(&mut self, scenario: &str, outcomes: &[Outcome], purpose: &Purpose) {
        for outcome in outcomes {
            let request = format!("{scenario} {}", outcome.ask);
            let mut left: Vec<&Difference> = Vec::new();
            for found in &outcome.found {
                let tolerated = (outcome.unstable && is_of_the_moment(found))
                    .then_some("the original does not answer this the same twice");
                match tolerated.or_else(|| purpose.of(&request, found)) {
                    Some(reason) => *self.reasons.entry(reason.to_owned()).or_default() += 1,
                    None => left.push(found),
                }
            }
            self.requests += 1;
            let is_fine = left.is_empty();
            self.equal += usize::from(outcome.found.is_empty());
            self.on_purpose += usize::from(is_fine && !outcome.found.is_empty());
            let counted = self.by_scenario.entry(scenario.to_owned()).or_default();
            counted.0 += 1;
            counted.1 += usize::from(is_fine);
            self.causes_of(scenario, outcome, &left);
        }
    }

    fn causes_of(&mut self, scenario: &str, outcome: &Outcome, left: &[&Difference]) {
        let mut kinds = BTreeSet::new();
        for found in left {
            let at = format!("{scenario} #{} {}", outcome.n, place(found));
            self.lines.push(format!(
                "{at} ({}): original {} drover {}",
                found.how, found.original, found.drover
            ));
            let kind = (found.kind_of_row.clone(), found.path.clone(), found.how.clone());
            let cause = self.causes.entry(kind.clone()).or_default();
            if cause.requests.is_empty() {
                cause.example = format!(
                    "{scenario} #{} {}: original {} drover {}",
                    outcome.n, outcome.ask, found.original, found.drover
                );
            }
            cause.requests.insert((scenario.to_owned(), outcome.n));
            cause.places += 1;
            kinds.insert(kind);
        }
        if let (1, Some(only)) = (kinds.len(), kinds.first()) {
            self.causes.get_mut(only).into_iter().for_each(|cause| cause.alone += 1);
        }
    }

    /// The requests that are as recorded or differ on purpose only, in thousandths of all.
    pub fn per_mille(&self) -> usize {
        (self.equal + self.on_purpose) * 1000 / self.requests.max(1)
    }

    /// The counts in one line.
    pub fn summary(&self) -> String {
        let share = self.per_mille();
        format!(
            "{} requests: {} answered as recorded, {} differ on purpose only, {} differ otherwise; {}.{} % are right",
            self.requests,
            self.equal,
            self.on_purpose,
            self.requests - self.equal - self.on_purpose,
            share / 10,
            share % 10
        )
    }

    /// All of it.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{}\n\n# Causes: requests (of these with nothing else), places, type member (how)\n",
            self.summary()
        );
        let mut causes: Vec<_> = self.causes.iter().collect();
        causes.sort_by_key(|(_, cause)| std::cmp::Reverse((cause.requests.len(), cause.places)));
        for ((row, path, how), cause) in causes {
            let _ = writeln!(
                text,
                "{:5} ({}) {:5} {row} {path} ({how})\n        {}",
                cause.requests.len(),
                cause.alone,
                cause.places,
                cause.example
            );
        }
        text.push_str("\n# Scenarios: requests, right\n");
        for (scenario, (all, right)) in &self.by_scenario {
            let _ = writeln!(text, "{all:5} {right:5} {scenario}");
        }
        text.push_str("\n# On purpose: places\n");
        let mut reasons: Vec<_> = self.reasons.iter().collect();
        reasons.sort_by_key(|(_, places)| std::cmp::Reverse(**places));
        for (reason, places) in reasons {
            let _ = writeln!(text, "{places:5} {reason}");
        }
        let _ = writeln!(text, "\n# Every difference\n{}", self.lines.join("\n"));
        text
    }
}

fn place(found: &Difference) -> String {
    format!("{} {}", found.kind_of_row, found.path)
}

/// Whether it may come from when it was asked: anything but the status, and which members and links there are.
fn is_of_the_moment(found: &Difference) -> bool {
    let is_shape =
        found.how.contains("missing") || (found.how.starts_with("only") && !found.path.starts_with("actions"));
    found.kind_of_row != "status" && !is_shape
}
