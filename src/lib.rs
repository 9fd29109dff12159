//! Prometheus exporter for the transfers of a Cryptshare server.
//!
//! ```text
//! ask ──► understand ──► decide when ──► remember ──► say ──► write ──► serve
//! cryptshare   model          poll          ledger     metrics  exposition  web
//! ```
//!
//! From a TOML file the exporter knows servers, senders and transfers. [`poll`]
//! decides when to ask, [`cryptshare`] asks, [`model`] understands the answers,
//! [`ledger`] remembers and counts, [`metrics`] says it, [`exposition`] writes
//! it and [`web`] serves it. Data moves as messages:
//! `poll ──Observation──► bookkeeper ──Page──► Shelf ◄── web`.
//!
//! **Invariants.** Every mutable thing has one owner. A scrape takes no lock
//! and waits for no poll. Arrows point from the shell (`main`, `cli`, `app`)
//! over `config`, the engines (`poll`, `metrics`, `bookkeeper`, `watch`,
//! `web`, `simulator`) and the mechanisms (`cryptshare`, `ledger`, `exposition`,
//! `net`, `files`, `lifecycle`, `logging`, `process`) to the vocabulary (`model`,
//! `clock`, `backoff`, `budget`, `metric`, `printable`, `status`, `telemetry`); a test reads
//! the sources and holds them to it.

pub mod cryptshare;
pub mod model;
pub mod watch;
pub mod poll;
pub mod ledger;
pub mod metrics;
pub mod exposition;
pub mod bookkeeper;
pub mod net;
pub mod web;
pub mod simulator;

pub mod cli;
pub mod app;
pub mod config;
pub mod files;
pub mod lifecycle;
pub mod logging;
pub mod process;

pub mod backoff;
pub mod budget;
pub mod clock;
pub mod metric;
pub mod printable;
pub mod status;
pub mod telemetry;
