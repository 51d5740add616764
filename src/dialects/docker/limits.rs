//! What swarm's own checks say of numbers and of where tasks may run, in its words.

use super::check::SECOND;
use super::refusal::{Outcome, Refusal};
use super::spec::{Amounts, Healthcheck, Placement, Resources};
use actix_web::http::StatusCode;

/// The least memory of a container, in bytes.
const LEAST_MEMORY: i64 = 4 * 1024 * 1024;
/// The least share of a processor, in billionths.
const LEAST_CPU: i64 = 1_000_000;
/// The shortest time of a health check, in nanoseconds.
const SHORTEST: i64 = 1_000_000;

/// Limits and reservations.
pub fn check_resources(resources: &Resources) -> Outcome<()> {
    for amounts in [&resources.limits, &resources.reservations].into_iter().flatten() {
        check_amounts(amounts)?;
    }
    Ok(())
}

fn check_amounts(amounts: &Amounts) -> Outcome<()> {
    if amounts.nano_cpus != 0 && amounts.nano_cpus < LEAST_CPU {
        let share = as_go(amounts.nano_cpus);
        return Err(Refusal::argument(format!(
            "invalid cpu value {share}: Must be at least 0.001"
        )));
    }
    if amounts.memory_bytes != 0 && amounts.memory_bytes < LEAST_MEMORY {
        let bytes = amounts.memory_bytes;
        return Err(Refusal::argument(format!(
            "invalid memory value {bytes}: Must be at least 4MiB"
        )));
    }
    Ok(())
}

/// Billionths as Go writes the share: below a ten thousandth with an exponent of two digits.
fn as_go(nanos: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "it is smaller than a million")]
    let share = nanos as f64 / SECOND as f64;
    if share.abs() >= 0.0001 {
        return format!("{share}");
    }
    let text = format!("{share:e}");
    match text.split_once("e-") {
        Some((digits, exponent)) => format!("{digits}e-{exponent:0>2}"),
        None => text,
    }
}

/// A check of health: each time is none, or at least a millisecond.
pub fn check_health(check: &Healthcheck) -> Outcome<()> {
    for (name, time) in [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
    ] {
        if time != 0 && time < SHORTEST {
            let words = format!("ContainerSpec: {name} in HealthConfig cannot be less than 1ms");
            return Err(Refusal::argument(words));
        }
    }
    match check.retries < 0 {
        true => Err(Refusal::argument(
            "ContainerSpec: Retries in HealthConfig cannot be negative",
        )),
        false => Ok(()),
    }
}

/// Constraints, as far as they are to be read: swarm answers 500 where they are not.
pub fn check_placement(placement: &Placement) -> Outcome<()> {
    let unknown = |words: String| {
        let words = format!("rpc error: code = Unknown desc = {words}");
        Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, words))
    };
    for text in &placement.constraints {
        let parts = text.split_once("==").or_else(|| text.split_once("!="));
        let Some((key, value)) = parts.map(|(key, value)| (key.trim(), value.trim())) else {
            return unknown("constraint expected one operator from ==, !=".to_owned());
        };
        if !is_key(key) {
            return unknown(format!("key '{key}' is invalid"));
        }
        if !is_value(value) {
            return unknown(format!("value '{value}' is invalid"));
        }
    }
    Ok(())
}

fn is_key(key: &str) -> bool {
    let mut chars = key.chars();
    let is_first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let is_inner = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    is_first && key.len() > 1 && chars.all(is_inner)
}

fn is_value(value: &str) -> bool {
    let is_known = |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || r":-_.*()?+[]\^$|/".contains(c);
    !value.is_empty() && value.chars().all(is_known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_a_processor_are_written_as_go_does() {
        for (nanos, text) in [
            (1, "1e-09"),
            (-1, "-1e-09"),
            (999_999, "0.000999999"),
            (12_345, "1.2345e-05"),
        ] {
            assert_eq!(as_go(nanos), text);
        }
    }
}
