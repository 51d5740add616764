//! The `drover` program.

use std::process::ExitCode;

use clap::Parser as _;
use drover::{app, cli};

fn main() -> ExitCode {
    match app::run_to_the_end(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("drover: {failure}");
            ExitCode::from(failure.status.code())
        }
    }
}
