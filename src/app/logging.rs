//! What is written down, and how: the filter of `--log`, in the form of `--log-format`.

use std::io::Write as _;

use log::{Level, Metadata, Record};

use crate::cli::{LogFormat, Serve};

/// Where the web server says what came over a connection that was no HTTP. Anybody can send that.
const CONNECTIONS: &str = "actix_http::h1";

/// What it says of that begins so, and of connections that were taken out of HTTP; the rest it says there is about us.
const OF_CLIENTS: [&str; 3] = [
    "stream error: ",
    "MAX_BUFFER_SIZE",
    "Response payload stream error: WasTaken",
];

/// Starts writing the log.
#[expect(
    clippy::disallowed_methods,
    reason = "a line of the log has the time at which it was written"
)]
pub(super) fn start(serve: &Serve) {
    let mut builder = env_logger::Builder::new();
    // It writes down all that is said to the engine, the environments of containers too: for those who ask for it by name.
    builder.filter_module("bollard", log::LevelFilter::Info);
    builder.parse_filters(&serve.log);
    if serve.log_format == LogFormat::Json {
        builder.format(|out, record| {
            let line = serde_json::json!({
                "time": chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
                "level": record.level().as_str(),
                "target": record.target(),
                "message": record.args().to_string(),
            });
            writeln!(out, "{line}")
        });
    }
    let log = Log(builder.build());
    let most = log.0.filter();
    // Tests may have a logger already.
    if log::set_boxed_logger(Box::new(log)).is_ok() {
        log::set_max_level(most);
    }
}

/// The log, but that what clients do wrong is no error of ours.
struct Log(env_logger::Logger);

impl log::Log for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let is_by_client = record.level() == Level::Error && record.target().starts_with(CONNECTIONS) && {
            let said = record.args().to_string();
            OF_CLIENTS.iter().any(|begin| said.starts_with(begin))
        };
        match is_by_client {
            true => self.0.log(&record.to_builder().level(Level::Debug).build()),
            false => self.0.log(record),
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}
