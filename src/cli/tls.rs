//! Flags about addresses that speak TLS, and Docker's interface at an address of its own.

use std::path::PathBuf;

use clap::Args;

use super::parse_switch;

/// Where TLS is spoken, and by which certificate.
#[derive(Debug, Clone, Default, Args)]
pub struct Tls {
    /// Another address to listen on, where all is said in TLS; needs --tls-cert and --tls-key, or --tls-self-signed.
    #[arg(long, env = "DROVER_TLS_LISTEN", value_name = "ADDRESS")]
    pub tls_listen: Option<String>,
    /// The certificate that is shown in TLS, and those behind it (PEM).
    #[arg(long, env = "DROVER_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Its private key (PEM), which not everybody on the machine can read.
    #[arg(long, env = "DROVER_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Make a certificate that nobody vouches for, and keep it beside the database as tls.crt and tls.key.
    #[arg(long, env = "DROVER_TLS_SELF_SIGNED", value_parser = parse_switch, conflicts_with_all = ["tls_cert", "tls_key"])]
    pub tls_self_signed: bool,
    /// Who signs the certificates that clients of --docker-api-listen have to show (PEM).
    #[arg(long, env = "DROVER_TLS_CLIENT_CA", value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,
    /// An address for Docker's interface alone, for DOCKER_HOST=tcp://ADDRESS; in TLS if there is a certificate.
    #[arg(long, env = "DROVER_DOCKER_API_LISTEN", value_name = "ADDRESS")]
    pub docker_api_listen: Option<String>,
}
