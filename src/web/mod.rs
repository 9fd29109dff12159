//! SERVE: `/metrics`, the health paths and the page at `/`.
//!
//! **Invariants.** A request waits for nothing but its own socket: what it
//! shows is already there. No request changes anything.

mod landing;
mod routes;

use std::sync::Arc;

use hyper::{Request, body::Incoming};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use routes::Routes;

use crate::net::{self, Places};

/// Serves `routes` on every listener until `stop`.
///
/// # Errors
/// Never; a panic while answering is passed on.
pub async fn serve(
    listeners: Vec<TcpListener>,
    routes: Routes,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let places = Places::of_process();
    let mut loops = tokio::task::JoinSet::new();
    for listener in listeners {
        let routes = routes.clone();
        let answer = move |request: Request<Incoming>| {
            let path = request.uri().path();
            let response = routes.answer(request.method(), path, request.headers());
            async move { response }
        };
        loops.spawn(net::serve(
            listener,
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
