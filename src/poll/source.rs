//! What the scheduler asks of a server.
//!
//! **Invariants.** The scheduler sees servers only through [`Source`], so that
//! tests can drive it without a socket.

use std::{future::Future, time::Duration};

use jiff::Timestamp;

use crate::{
    cryptshare::{Client, Judge, Listing},
    model::{Reason, SenderId, TrackingId, Transfer, Verification},
};

/// A failed call, as far as the scheduler cares.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The closed class.
    pub reason: Reason,
    /// How long the server asked to wait.
    pub retry_after: Option<Duration>,
    /// The transfer that was asked for, if it was one.
    pub tracking_id: Option<TrackingId>,
    /// The whole chain of causes, for the log.
    pub chain: String,
}

/// One server.
pub trait Source: Send + Sync + 'static {
    /// The next page of a listing: what it tells for the first time; none when
    /// the listing is over. `judge` says how far it is to go. After a failure
    /// the listing can go on with the same page.
    fn page(
        &self,
        sender: &SenderId,
        listing: &mut Listing,
        judge: Judge<'_>,
    ) -> impl Future<Output = Result<Option<Vec<Transfer>>, Failure>> + Send;

    /// The status of one transfer.
    fn inspect(
        &self,
        sender: &SenderId,
        id: &TrackingId,
    ) -> impl Future<Output = Result<Transfer, Failure>> + Send;

    /// Asks whether the sender is verified; what a round does that has nothing
    /// else to ask.
    fn verify(&self, sender: &SenderId) -> impl Future<Output = Result<(), Failure>> + Send;

    /// What is known of the sender's token without asking.
    fn verification(&self, sender: &SenderId) -> impl Future<Output = Verification> + Send;

    /// The server's clock minus ours in seconds, once known.
    fn clock_offset(&self) -> Option<f64>;

    /// The server's present date.
    fn server_now(&self) -> Timestamp;

    /// Whether this is the same server by the same way: then what was learned by
    /// the other holds.
    fn is_same_as(&self, other: &Self) -> bool;
}

impl Source for Client {
    async fn page(
        &self,
        sender: &SenderId,
        listing: &mut Listing,
        judge: Judge<'_>,
    ) -> Result<Option<Vec<Transfer>>, Failure> {
        let page = Self::page(self, sender, listing, judge).await;
        page.map_err(Failure::from)
    }

    async fn inspect(&self, sender: &SenderId, id: &TrackingId) -> Result<Transfer, Failure> {
        Self::inspect(self, sender, id).await.map_err(Failure::from)
    }

    async fn verify(&self, sender: &SenderId) -> Result<(), Failure> {
        Self::verify(self, sender).await.map_err(Failure::from)
    }

    async fn verification(&self, sender: &SenderId) -> Verification {
        Self::verification(self, sender).await
    }

    fn clock_offset(&self) -> Option<f64> {
        Self::clock_offset(self)
    }

    fn server_now(&self) -> Timestamp {
        Self::server_now(self)
    }

    fn is_same_as(&self, other: &Self) -> bool {
        self.shares_link(other)
    }
}

impl From<crate::cryptshare::Error> for Failure {
    fn from(error: crate::cryptshare::Error) -> Self {
        Self {
            reason: error.reason(),
            retry_after: error.retry_after(),
            tracking_id: None,
            chain: format!("{:#}", anyhow::Error::new(error)),
        }
    }
}
