//! A Cryptshare server by the contract, for `demo`, `simulate` and the tests.
//!
//! It is seeded and driven by its own clock: the same seed lives the same
//! life. Beside the REST API it has a control API under `/_sim/`, whose
//! `truth` is the oracle that an exporter is held against.
//!
//! **Invariants.** Its JSON is written from the contract and never through
//! the exporter's own client. The world is locked only while an answer is
//! computed.

mod answers;
mod archive;
mod asked;
mod bulk;
mod control;
mod fault;
mod guard;
mod index;
mod language;
mod letter;
mod life;
mod mailbox;
mod names;
mod policy;
mod post;
mod quirk;
mod reply;
mod rest;
mod scan;
mod secrets;
mod sending;
mod session;
mod time;
mod totals;
mod transfer;
mod truth;
mod verification;
mod world;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http_body_util::{BodyExt, Limited};
use hyper::{Request, Response, body::Incoming};
use jiff::Timestamp;
use rand::RngExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use fault::{
    Fault, explanation as fault_explanation, kinds as fault_kinds, parse as read_fault,
};
pub use quirk::Quirks;

use crate::net::{self, Body, Places};
use asked::Asked;
use fault::Scraps;
use world::World;

/// The newest minor version of the API that brought anything a client sees.
pub const NEWEST_MINOR: u32 = 13;

/// A larger request body is refused.
const REQUEST_BYTES: usize = 1024 * 1024;

/// The same for the content of a file, which is kept in memory.
const CONTENT_BYTES: usize = 256 * 1024 * 1024;

/// What to simulate.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The seed of everything that is random.
    pub seed: u64,
    /// Simulated seconds for each real one; 0 freezes the time.
    pub speed: f64,
    /// How many senders there are.
    pub senders: usize,
    /// How many transfers there are at the start, spread over the senders.
    pub transfers: usize,
    /// The share of these that has ended, while the others are active; `None`
    /// gives every state its part.
    pub ended: Option<f64>,
    /// What happens to each active transfer in a simulated hour, beside what
    /// always happens.
    pub activity: f64,
    /// The minor version of the API that is offered.
    pub api_minor: u32,
    /// In what the server differs from the most likely one.
    pub quirks: Quirks,
    /// The faults in force at the start.
    pub faults: Vec<Fault>,
    /// The simulated date at the start.
    pub start: Timestamp,
}

/// A server that listens.
#[derive(Debug)]
pub struct Simulator {
    listener: TcpListener,
    address: SocketAddr,
    world: Shared,
}

/// The world, as the answers share it.
#[derive(Debug, Clone)]
struct Shared(Arc<Mutex<World>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Simulator {
    /// Listens on `at` and settles the world.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub async fn bind(at: SocketAddr, scenario: Scenario) -> io::Result<Self> {
        let listener = TcpListener::bind(at).await?;
        let address = listener.local_addr()?;
        let mut world = World::new(&scenario, format!("http://{address}"));
        life::populate(&mut world, scenario.transfers, scenario.ended);
        Ok(Self {
            listener,
            address,
            world: Shared(Arc::new(Mutex::new(world))),
        })
    }

    /// `http://address:port`, without `/api`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The client id that is registered.
    pub fn client_id(&self) -> String {
        self.world.lock().client_id().to_owned()
    }

    /// The senders' addresses.
    pub fn senders(&self) -> Vec<String> {
        self.world.lock().senders().to_vec()
    }

    /// Answers until `stop`.
    ///
    /// # Errors
    /// Never.
    pub async fn serve(self, stop: CancellationToken) -> anyhow::Result<()> {
        let world = self.world;
        net::serve(self.listener, Places::of_uploads(), stop, move |request| {
            answer(world.clone(), request)
        })
        .await;
        Ok(())
    }
}

async fn answer(world: Shared, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let is_content = head.method == hyper::Method::PUT && head.uri.path().ends_with("/content");
    let most = if is_content {
        CONTENT_BYTES
    } else {
        REQUEST_BYTES
    };
    let body = match Limited::new(body, most).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return reply::Reply::error(400, 1004, "Unreadable body.").into_response(),
    };
    let asked = Asked {
        method: head.method,
        uri: head.uri,
        headers: head.headers,
        body,
    };
    if asked.uri.path().starts_with("/_sim/") {
        return control::answer(&mut world.lock(), &asked).into_response();
    }
    let (reply, fault) = {
        let mut world = world.lock();
        life::live(&mut world);
        let (reply, fault) = rest::answer(&mut world, &asked);
        (
            reply,
            fault.map(|fault| (fault, scraps(&mut world, &asked))),
        )
    };
    match fault {
        Some((fault, scraps)) => fault.spoil(reply, scraps).await,
        None => reply.into_response(),
    }
}

fn scraps(world: &mut World, asked: &Asked) -> Scraps {
    Scraps {
        quote: secrets::quote(world),
        place: asked.uri.to_string(),
        draw: world.dice.random_range(0..1_000),
    }
}
