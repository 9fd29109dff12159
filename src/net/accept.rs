//! The loop that accepts connections and serves HTTP on them.
//!
//! **Invariants.** Every connection has a place and deadlines before its first
//! byte is read; the loop pauses when the system has no more descriptors
//! instead of spinning.

use std::{future::Future, sync::Arc, time::Duration};

use hyper::{Request, Response, body::Incoming};
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{Instant, interval, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Body, Listener, Tls, converse::converse, follow::unwind, listen::Accepted, places::Places,
};

/// How long the loop pauses when the system refuses a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// How long nothing more is told of that.
const SILENCE: Duration = Duration::from_mins(1);

/// After `stop`, everything is cut in the end; the supervisor's own grace
/// period is three times as long.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// How often is looked for who is slow after `stop`.
const LAST_LOOKS: Duration = Duration::from_millis(100);

/// Where connections come from, and what is spoken on them.
#[derive(Debug)]
pub struct Entrance {
    /// The socket.
    pub listener: Listener,
    /// TLS, or HTTP as it is.
    pub tls: Option<Arc<Tls>>,
}

impl From<TcpListener> for Entrance {
    fn from(socket: TcpListener) -> Self {
        Self {
            listener: socket.into(),
            tls: None,
        }
    }
}

/// Serves `answer` at `entrance` until `stop`, then lets the requests under way
/// finish. Several entrances may share `places`.
pub async fn serve<F, R>(
    entrance: impl Into<Entrance>,
    places: Arc<Places>,
    stop: CancellationToken,
    answer: F,
) where
    F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let Entrance { listener, tls } = entrance.into();
    let mut connections = JoinSet::new();
    let mut told = None;
    loop {
        let newcomer = async {
            let wire = accept(&listener, &mut told).await;
            (wire, places.take().await)
        };
        let (wire, seat) = tokio::select! {
            newcomer = newcomer => newcomer,
            () = stop.cancelled() => break,
        };
        let tls = tls.as_ref().map(|tls| tls.newest());
        connections.spawn(converse((wire, tls), seat, stop.clone(), answer.clone()));
        while let Some(ended) = connections.try_join_next() {
            unwind(ended);
        }
    }
    drop(listener);
    part(connections, &places).await;
}

/// The next connection that the system gives us. If it does not, that is told
/// now and then: `told` is when it was.
async fn accept(listener: &Listener, told: &mut Option<Instant>) -> Accepted {
    loop {
        match listener.accept().await {
            Ok(wire) => return wire,
            Err(error) => {
                if told.is_none_or(|told| told.elapsed() >= SILENCE) {
                    *told = Some(Instant::now());
                    tracing::warn!(%error, "connections cannot be accepted");
                }
                sleep(PAUSE).await;
            }
        }
    }
}

/// Lets what is under way finish, as long as it moves.
pub(super) async fn part(mut connections: JoinSet<()>, places: &Places) {
    let end = Instant::now() + LAST_ANSWERS;
    let mut looks = interval(LAST_LOOKS);
    loop {
        tokio::select! {
            ended = connections.join_next() => match ended {
                Some(ended) => unwind(ended),
                None => return,
            },
            _ = looks.tick() => places.cut_slow(),
            () = sleep_until(end) => return connections.shutdown().await,
        }
    }
}
