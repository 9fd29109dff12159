//! Sockets: listeners, the loop that accepts connections, and the limits that
//! keep one peer from harming another.
//!
//! **Invariants.** Knows nothing of what is served. No connection and no error
//! of one can end the loop; only `stop` can. Connections, memory and the time
//! that a peer may keep us waiting are bounded.

pub mod accept;
pub mod body;
pub mod listen;
mod patience;
#[cfg(test)]
mod peers;
pub mod places;
mod stream;

pub use accept::serve;
pub use body::{Body, body};
pub use listen::{ListenError, bind};
pub use places::Places;
