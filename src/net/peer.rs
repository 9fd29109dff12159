//! Who is at the other end of a connection.
//!
//! **Invariants.** A peer that has hung up is known as gone as long as an answer
//! is being made, and by HTTP/2 its requests end with the connection.

use std::net::IpAddr;

use tokio_util::sync::CancellationToken;

/// The other end of a connection; every request has it among its extensions.
#[derive(Debug, Clone, Default)]
pub struct Peer {
    address: Option<IpAddr>,
    gone: CancellationToken,
}

impl Peer {
    /// A peer at `address`; none is that of a socket in the file system.
    pub fn at(address: Option<IpAddr>) -> Self {
        Self {
            // One socket for both families tells IPv4 in the dress of IPv6.
            address: address.map(|address| address.to_canonical()),
            gone: CancellationToken::new(),
        }
    }

    /// Its address, if it comes by the network.
    pub const fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Ends when it has hung up while it was owed an answer.
    pub async fn gone(&self) {
        self.gone.cancelled().await;
    }

    /// Notes that it has hung up.
    pub fn hang_up(&self) {
        self.gone.cancel();
    }
}
