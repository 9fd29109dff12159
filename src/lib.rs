//! Prometheus exporter for the transfers of a Cryptshare server.

pub mod backoff;
pub mod budget;
pub mod clock;
pub mod model;
pub mod cli {
    /// x
    pub fn main() -> std::process::ExitCode {
        std::process::ExitCode::SUCCESS
    }
}
