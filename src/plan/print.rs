//! One line for each step: for logs and for the golden texts of the tests.

use std::fmt;

use super::*;

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create {
                unit,
                index: _,
                config: _,
                version,
                host,
                name,
            } => {
                write!(f, "create {name} {version} in ")?;
                match unit {
                    UnitId::Known(uuid) => write!(f, "unit {uuid}")?,
                    UnitId::New(number) => write!(f, "new unit {number}")?,
                }
                write!(f, " on host {host}")
            }
            Self::Start(id) => write!(f, "start {id}"),
            Self::Stop(id) => write!(f, "stop {id}"),
            Self::Remove { id, why } => write!(f, "remove {id} ({why})"),
            Self::Park(id) => write!(f, "park {id}"),
            Self::Unpark(id) => write!(f, "unpark {id}"),
            Self::BeginBatch => f.write_str("begin batch"),
            Self::NoteFailed { unit, id } => write!(f, "note that {id} failed in unit {unit}"),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broken => "broken",
            Self::Unhealthy => "unhealthy",
            Self::Dependent => "dependent",
            Self::Surplus => "surplus",
            Self::Upgraded => "upgraded",
            Self::Removed => "removed",
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Converged => f.write_str("converged"),
            Self::Working(sentence) => write!(f, "working: {sentence}"),
            Self::Stuck(sentence) => write!(f, "stuck: {sentence}"),
            Self::Held(sentence) => write!(f, "held: {sentence}"),
            Self::GivenUp(sentence) => write!(f, "given up: {sentence}"),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        if let Some(wait) = self.wake_after {
            writeln!(f, "wake after {} ms", wait.as_millis())?;
        }
        writeln!(f, "{}", self.verdict)
    }
}
