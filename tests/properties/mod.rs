//! What must hold for any bytes whatever: one function for each fuzz target.
//!
//! The fuzz targets call them, and so do the property tests of this package. A
//! function returns if all holds, and panics if not.

mod answers;
mod blocks;
mod config;
mod exposition;
mod web;

pub use answers::{error, list, status};
pub use blocks::blocks;
pub use config::config;
pub use exposition::{accept, escaping};
pub use web::web;
