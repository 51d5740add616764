//! The `drover` program.

use std::process::ExitCode;

use drover::app;

fn main() -> ExitCode {
    app::exit_code(app::run_as_told())
}
