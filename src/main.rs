//! The `drover` program.

use std::process::ExitCode;

use drover::app;

fn main() -> ExitCode {
    match app::run_as_told() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("drover: {failure}");
            ExitCode::from(failure.status.code())
        }
    }
}
