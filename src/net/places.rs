//! Places for connections: a bounded number for the whole server.
//!
//! **Invariants.** A newcomer waits no more than a moment for peers that keep us
//! waiting: the one that has done so the longest makes place. A place is free
//! again only when its descriptor is closed. No lock is held over an await.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use rustix::process::{Resource, getrlimit};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::patience::Patience;

/// Descriptors for everything that is neither a connection to us nor one to a
/// server: the runtime, listeners, files, name look-ups.
const RESERVED: u64 = 128;

/// More than a handful of scrapers is unusual; at about 25 KiB each, or 32 KiB
/// over TLS, this many connections cost some 16 MiB.
const MOST: usize = 512;

/// So few that a scrape still finds a place where descriptors are scarce.
const FEWEST: usize = 8;

/// Nobody makes place who has kept us waiting for less: it takes a distant
/// scraper this long to send its request. A burst of newcomers then waits, but
/// even the fewest places turn over 80 times a second.
pub(super) const SPARED: Duration = Duration::from_millis(100);

/// After this long a newcomer looks anew for somebody to make place.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How many answers may wait for peers that are slow. Each holds the page
/// that was the newest when it was asked for, so this bounds the old pages in
/// memory; scrapers that really read are far fewer.
pub(super) const SLOW_READERS: usize = 16;

/// Who keeps us waiting this long is slow: a scraper that reads does not pause
/// for a second.
pub(super) const SLOW: Duration = Duration::from_secs(1);

/// The places of one server, for all its listeners.
#[derive(Debug)]
pub struct Places {
    free: Arc<Semaphore>,
    /// Those who sit; the dead are swept out when somebody comes.
    seats: Mutex<Vec<Weak<Seat>>>,
    /// A request may take as long as it moves.
    takes_uploads: bool,
}

impl Places {
    /// As many places as the process's soft limit of open files has room for.
    pub fn of_process() -> Arc<Self> {
        let soft = getrlimit(Resource::Nofile).current;
        Self::new(room(soft.unwrap_or(u64::MAX)))
    }

    /// The same for peers who upload: a request may take as long as it moves.
    pub fn of_uploads() -> Arc<Self> {
        let soft = getrlimit(Resource::Nofile).current;
        Arc::new(Self {
            takes_uploads: true,
            ..Self::with(room(soft.unwrap_or(u64::MAX)))
        })
    }

    /// `count` places.
    pub fn new(count: usize) -> Arc<Self> {
        Arc::new(Self::with(count))
    }

    fn with(count: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(count)),
            seats: Mutex::default(),
            takes_uploads: false,
        }
    }

    /// A place for a new connection, if need be that of another one.
    pub(super) async fn take(self: &Arc<Self>) -> Arc<Seat> {
        let permit = loop {
            if self.free.available_permits() == 0 {
                self.cut_longest();
            }
            let permit = Arc::clone(&self.free).acquire_owned();
            if let Ok(permit) = timeout(LOOK_AGAIN, permit).await {
                break permit.ok();
            }
        };
        let seat = Arc::new(Seat {
            patience: Mutex::new(Patience::new(Instant::now(), self.takes_uploads)),
            cut: CancellationToken::new(),
            places: Arc::clone(self),
            _permit: permit,
        });
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        seats.retain(|seat| seat.strong_count() > 0);
        seats.push(Arc::downgrade(&seat));
        seat
    }

    /// Cuts everybody who is slow.
    pub(super) fn cut_slow(&self) {
        for (since, seat) in self.by_age(Patience::waiting_since) {
            if since.elapsed() >= SLOW {
                seat.cut();
            }
        }
    }

    /// Cuts the slow readers for whom there is no room, the slowest first.
    fn bound_slow_readers(&self) {
        let readers = self.by_age(Patience::writing_since);
        let surplus = readers.len().saturating_sub(SLOW_READERS);
        for (since, seat) in readers.into_iter().take(surplus) {
            if since.elapsed() >= SLOW {
                seat.cut();
            }
        }
    }

    /// Cuts the one that has kept us waiting the longest, unless it is spared.
    fn cut_longest(&self) {
        let longest = self.by_age(Patience::waiting_since).into_iter().next();
        if let Some((since, seat)) = longest
            && since.elapsed() >= SPARED
        {
            seat.cut();
        }
    }

    /// Those who sit and are not yet cut for whom there is a `since`, the
    /// oldest first.
    fn by_age(&self, since: impl Fn(&Patience) -> Option<Instant>) -> Vec<(Instant, Arc<Seat>)> {
        let aged = |seat: Arc<Seat>| {
            let since = since(&seat.patience())?;
            Some((since, seat))
        };
        let mut seats: Vec<_> = self.present().into_iter().filter_map(aged).collect();
        seats.sort_by_key(|(since, _)| *since);
        seats
    }

    /// Everybody who sits and is not yet cut.
    fn present(&self) -> Vec<Arc<Seat>> {
        let seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let seats = seats.iter().filter_map(Weak::upgrade);
        seats.filter(|seat| !seat.cut.is_cancelled()).collect()
    }
}

/// The place of one connection.
#[derive(Debug)]
pub(super) struct Seat {
    patience: Mutex<Patience>,
    cut: CancellationToken,
    places: Arc<Places>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Seat {
    /// What the connection waits for.
    pub(super) fn patience(&self) -> MutexGuard<'_, Patience> {
        self.patience.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the answer of a lane is there, or a step of it was taken.
    pub(super) fn move_lane(&self, id: u64) {
        let is_news = {
            let mut patience = self.patience();
            let is_news = patience.writing_since().is_none();
            patience.move_lane(id, Instant::now());
            is_news
        };
        if is_news {
            self.places.bound_slow_readers();
        }
    }

    /// Notes that nothing can be written now; the answer is when to give up.
    pub(super) fn wants_room(&self) -> Instant {
        let (is_news, deadline) = {
            let mut patience = self.patience();
            let is_news = patience.writing_since().is_none();
            (is_news, patience.wants_room(Instant::now()))
        };
        if is_news {
            self.places.bound_slow_readers();
        }
        deadline
    }

    /// Ends when the connection must make place.
    pub(super) async fn until_cut(&self) {
        self.cut.cancelled().await;
    }

    fn cut(&self) {
        tracing::debug!("a connection that kept us waiting makes place");
        self.cut.cancel();
    }
}

/// How many connections fit below a soft limit of open files. Connections to
/// servers, whose number the configuration decides, get as many.
fn room(soft: u64) -> usize {
    let half = soft.saturating_sub(RESERVED) / 2;
    usize::try_from(half).unwrap_or(MOST).clamp(FEWEST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_places_follows_the_limit_of_open_files() {
        for (soft, expect) in [
            (0, 8),
            (128, 8),
            (256, 64),
            (1024, 448),
            (1152, 512),
            (u64::MAX, 512),
        ] {
            assert_eq!(room(soft), expect, "{soft}");
        }
    }
}
