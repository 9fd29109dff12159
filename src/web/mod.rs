//! SERVE: `/metrics`, the health paths and the page at `/`.
//!
//! **Invariants.** A request waits for nothing but its own socket: what it
//! shows is already there. No request changes anything.

mod landing;
mod routes;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use routes::Routes;

use crate::net;

/// Serves `routes` on every listener until `stop`.
///
/// # Errors
/// Never; a panic while answering is passed on.
pub async fn serve(
    listeners: Vec<TcpListener>,
    routes: Routes,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut loops = tokio::task::JoinSet::new();
    for listener in listeners {
        let routes = routes.clone();
        loops.spawn(net::serve(listener, stop.clone(), move |request| {
            let path = request.uri().path();
            let response = routes.answer(request.method(), path, request.headers());
            async move { response }
        }));
    }
    while let Some(ended) = loops.join_next().await {
        ended?;
    }
    Ok(())
}
