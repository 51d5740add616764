//! The `drover` program.

use std::process::ExitCode;

use drover::failure::Failure;
use drover::{app, cli};

fn main() -> ExitCode {
    match cli::parse().map_err(Failure::config).and_then(app::run_to_the_end) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("drover: {failure}");
            ExitCode::from(failure.status.code())
        }
    }
}
