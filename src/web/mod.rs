//! SERVE: `/metrics`, the health paths and the page at `/`.
//!
//! **Invariants.** A request waits for nothing but its own socket, and the first
//! one with a password for its verification: what it shows is already there. No
//! request changes anything but `/-/reload`, which waits until that is done.

mod gate;
mod landing;
mod marks;
mod reload;
mod routes;
mod runbooks;
mod turns;
mod users;

use std::sync::Arc;

use arc_swap::ArcSwap;
use hyper::{Request, body::Incoming};
use tokio_util::sync::CancellationToken;

pub use gate::{Gate, GateSettings, Rate};
pub use reload::Wish;
pub use routes::Routes;

use crate::net::{self, Entrance, Places};

/// Serves `routes` at every entrance until `stop`, to whom the newest `gate`
/// lets in.
///
/// # Errors
/// Never; a panic while answering is passed on.
pub async fn serve(
    entrances: Vec<Entrance>,
    routes: Routes,
    gate: Arc<ArcSwap<Gate>>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let places = Places::of_process();
    let mut loops = tokio::task::JoinSet::new();
    for entrance in entrances {
        let (routes, gate) = (routes.clone(), Arc::clone(&gate));
        let answer = move |request: Request<Incoming>| {
            let (routes, gate) = (routes.clone(), gate.load_full());
            async move { routes.answer_through(&gate, &request).await }
        };
        loops.spawn(net::serve(
            entrance,
            Arc::clone(&places),
            stop.clone(),
            answer,
        ));
    }
    while let Some(ended) = loops.join_next().await {
        ended?;
    }
    Ok(())
}
