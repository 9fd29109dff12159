//! `/-/reload`: a wish to have the configuration loaded again.
//!
//! **Invariants.** Loads nothing itself: it passes the wish on, and tells what
//! came of it.

use hyper::{Method, StatusCode};
use tokio::sync::{mpsc, oneshot};

/// A wish to have the configuration loaded again: told when that is done, or
/// all that is wrong with it.
pub type Wish = oneshot::Sender<Result<(), String>>;

/// The methods that it is wished by, as in Prometheus.
pub(super) const METHODS: &str = "POST, PUT";

/// What a request with `method` is answered, where wishes go to `wishes`, or
/// nowhere without `--web.enable-lifecycle`. In the words of Prometheus.
pub(super) async fn answer(
    wishes: Option<&mpsc::Sender<Wish>>,
    method: &Method,
) -> (StatusCode, String) {
    if method != Method::POST && method != Method::PUT {
        let text = "Only POST or PUT requests allowed\n";
        return (StatusCode::METHOD_NOT_ALLOWED, text.to_owned());
    }
    let Some(wishes) = wishes else {
        let text = "Lifecycle API is not enabled.\n";
        return (StatusCode::FORBIDDEN, text.to_owned());
    };
    let (wish, outcome) = oneshot::channel();
    drop(wishes.send(wish).await);
    match outcome.await {
        Ok(Ok(())) => (StatusCode::OK, String::new()),
        Ok(Err(problems)) => {
            let text = format!("failed to reload config: {problems}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, text)
        }
        // Whoever would have done it is at its end.
        Err(_) => {
            let text = "the exporter is stopping\n";
            (StatusCode::SERVICE_UNAVAILABLE, text.to_owned())
        }
    }
}
