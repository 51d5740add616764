//! The `drover-netd` program: what the server runs in containers, without the server.

use std::process::ExitCode;

use drover::app;

fn main() -> ExitCode {
    app::exit_code(app::run_in_container())
}
