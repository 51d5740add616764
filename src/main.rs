//! The `drover` program.

use std::process::ExitCode;

use clap::Parser as _;
use drover::{app, cli};

#[tokio::main]
async fn main() -> ExitCode {
    match app::run(cli::Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("drover: {failure}");
            ExitCode::from(failure.status.code())
        }
    }
}
