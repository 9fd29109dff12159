//! What every protocol shares: the bounds of a connection, and its end.
//!
//! **Invariants.** A peer that breaks off or talks nonsense is a line for those
//! who debug; a panic of ours is passed on.

use std::pin::pin;

use hyper_util::server::graceful::GracefulConnection;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use super::places::Seat;

/// The largest head of a request, which is also the largest buffer that a
/// connection has; ten times what a browser sends.
pub(super) const HEAD_BYTES: usize = 16 * 1024;

/// Lets a connection come to its end; after `stop` that is the end of what is
/// under way.
pub(super) async fn follow<C>(connection: C, seat: &Seat, stop: CancellationToken)
where
    C: GracefulConnection<Error = hyper::Error>,
{
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = seat.until_cut() => return,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = seat.until_cut() => return,
            }
        }
    };
    // A peer that breaks off or talks nonsense is none of our failures.
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

/// A panic while answering is a fault of ours: it ends the process by name.
pub(super) fn unwind(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}
