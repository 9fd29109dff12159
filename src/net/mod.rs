//! Sockets: listeners and the loop that accepts connections.
//!
//! **Invariants.** Knows nothing of what is served. No connection and no error
//! of one can end the loop; only `stop` can.

pub mod accept;
pub mod listen;

pub use accept::{Body, serve};
pub use listen::{ListenError, bind};
