//! One binary for every story that needs a socket, a process or a real tool.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a rig panics where a test fails"
)]
#![expect(unreachable_pub, reason = "the rig is public within this binary")]

mod aftermath;
mod alerts;
mod architecture;
mod asking;
mod bulk;
mod canary;
mod codings;
mod cli;
mod commands;
mod config;
mod contract;
mod deploy;
mod disk;
mod documented;
mod faults;
mod flood;
mod front;
mod fuzz;
mod golden;
mod healthcheck;
mod judges;
mod limits;
mod links;
mod listen;
mod machine;
mod messages;
mod metrics;
mod moving;
mod openapi;
mod oracle;
mod page;
mod process;
mod prometheus;
#[path = "../properties/mod.rs"]
mod properties;
mod quirks;
mod receive;
mod reload;
mod restart;
mod rig;
mod send;
mod sessions;
mod spoiled;
mod stranger;
mod systemd;
mod tls;
mod tokens;
mod truth;
mod verification;
mod walks;
mod watch;
mod ways;
mod web;
mod webfile;
