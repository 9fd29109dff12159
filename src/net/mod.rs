//! Sockets: listeners, the loop that accepts connections, TLS on them, and the
//! limits that keep one peer from harming another.
//!
//! **Invariants.** Knows nothing of what is served. No connection and no error
//! of one can end the loop; only `stop` can. Connections, memory and the time
//! that a peer may keep us waiting are bounded.

pub mod accept;
pub mod body;
mod converse;
mod follow;
pub mod listen;
mod multiplex;
mod patience;
pub mod peer;
#[cfg(test)]
mod peers;
pub mod places;
mod stream;
pub mod tls;

pub use accept::{Entrance, serve};
pub use body::{Body, body, stream};
pub use listen::{ListenError, Listener, Passed, bind};
pub use peer::Peer;
pub use places::Places;
pub use tls::{ClientSettings, Tls, TlsError, TlsSettings};
