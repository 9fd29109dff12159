//! Listen addresses as Prometheus writes them.
//!
//! **Invariants.** Every error names the address.

use std::{
    io,
    net::{Ipv6Addr, SocketAddr},
};

use tokio::net::TcpListener;

/// Why an address could not be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The text is no address.
    #[error(
        "\"{0}\" is not an address to listen on; write for example \":10062\", \"127.0.0.1:10062\" or \"[::1]:10062\""
    )]
    Syntax(String),
    /// The system refused.
    #[error("failed to listen on \"{0}\"")]
    Bind(String, #[source] io::Error),
}

/// Listens on `address`: `host:port`, or `:port` for every address of the
/// machine. Port 0 lets the system choose.
///
/// # Errors
/// If the text is no address, or the system refuses it.
pub async fn bind(address: &str) -> Result<TcpListener, ListenError> {
    let refused = |error| ListenError::Bind(address.to_owned(), error);
    let Some(port) = address.strip_prefix(':') else {
        let is_address = address
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if !is_address {
            return Err(ListenError::Syntax(address.to_owned()));
        }
        return TcpListener::bind(address).await.map_err(refused);
    };
    let port: u16 = port
        .parse()
        .map_err(|_| ListenError::Syntax(address.to_owned()))?;
    // One socket for both families where IPv6 is there, else IPv4 alone.
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    match TcpListener::bind(both).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind(("0.0.0.0", port)).await.map_err(refused)
        }
        bound => bound.map_err(refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_are_read_as_prometheus_writes_them() {
        for address in [":0", "127.0.0.1:0", "localhost:0"] {
            assert!(bind(address).await.is_ok(), "{address}");
        }
        for address in ["", "10062", ":x", "127.0.0.1", ":70000"] {
            let error = bind(address).await.unwrap_err();
            assert!(matches!(error, ListenError::Syntax(_)), "{address}");
        }
    }
}
