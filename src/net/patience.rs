//! How long a peer may keep a connection waiting.
//!
//! A request must be whole in time, an answer must be taken at a least pace,
//! and between requests a connection may rest for a while. So nobody holds a
//! place for ever by sending or taking one byte now and then.
//!
//! In HTTP/2 requests stand beside each other, and bytes that come need not be
//! a request. There the first request has its deadline as ever; later ones need
//! none, for without one a connection rests and its time runs out. Each answer
//! must be taken at the least pace by itself: what is taken of another, or of
//! what only keeps the connection going, does not count.
//!
//! **Invariants.** Pure: instants go in, deadlines come out. Whenever the peer
//! is waited for there is a deadline, and when we are at work there is none.

use std::time::Duration;

use tokio::time::Instant;

/// A new connection must begin its request in this time, and a request that
/// has begun must be complete in this time. Requests here are one packet, so
/// this is generous to any network that still works.
pub(super) const REQUEST: Duration = Duration::from_secs(10);

/// How long a connection may rest between requests. Prometheus itself hangs up
/// after 5 min, and who hangs up second never loses a request to the race.
pub(super) const REST: Duration = Duration::from_mins(6);

/// In this time a peer that makes us wait must take at least [`STEP`] bytes of
/// its answer, or all that is left. Scrapes usually time out after 10 s.
pub(super) const STEP_TIME: Duration = Duration::from_secs(30);

/// See [`STEP_TIME`]: about 2 kB/s, slower than any link that can scrape.
pub(super) const STEP: usize = 64 * 1024;

/// How long we listen on after hanging up, so that the peer reads our answer
/// before the system tells it that its unread bytes were dropped.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// Where a connection stands.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// Nothing of a request has come, since we first looked.
    Rest {
        since: Option<Instant>,
        at_most: Duration,
    },
    /// A request has begun.
    Request { since: Instant },
    /// An answer is on its way.
    Answer,
    /// We have hung up.
    Closing { since: Instant },
}

/// What a connection has waited for, and since when.
#[derive(Debug)]
pub(super) struct Patience {
    takes_uploads: bool,
    stage: Stage,
    /// Since when the peer keeps us waiting for its bytes.
    reading: Option<Instant>,
    /// Since when the peer keeps us waiting to take ours.
    writing: Option<Instant>,
    /// The beginning of the present step of the answer, and what was taken of
    /// it.
    step: Option<(Instant, usize)>,
    /// What HTTP/2 has under way, once that is spoken.
    lanes: Option<Vec<Lane>>,
}

/// One request of HTTP/2 and its answer.
#[derive(Debug)]
struct Lane {
    id: u64,
    /// Since when the peer keeps us waiting to take more of the answer; none
    /// while we are at work on it.
    since: Option<Instant>,
}

impl Patience {
    /// For a connection that was accepted `now`; a request may take as long as it
    /// moves if uploads are taken.
    pub(super) fn new(now: Instant, takes_uploads: bool) -> Self {
        Self {
            takes_uploads,
            stage: Stage::Rest {
                since: Some(now),
                at_most: REQUEST,
            },
            // Nobody is waited for before we have looked.
            reading: None,
            writing: None,
            step: None,
            lanes: None,
        }
    }

    /// From now on HTTP/2 is spoken.
    pub(super) fn multiplex(&mut self) {
        self.lanes = Some(Vec::new());
    }

    /// A request of HTTP/2 has come whole; the answer is by what it is known.
    pub(super) fn enter_lane(&mut self) -> u64 {
        let lanes = self.lanes.get_or_insert_default();
        let id = lanes.last().map_or(0, |lane| lane.id.wrapping_add(1));
        lanes.push(Lane { id, since: None });
        id
    }

    /// The answer is there, or a step of it was taken.
    pub(super) fn move_lane(&mut self, id: u64, now: Instant) {
        let mut lanes = self.lanes.iter_mut().flatten();
        if let Some(lane) = lanes.find(|lane| lane.id == id) {
            lane.since = Some(now);
        }
    }

    /// Nothing is left of a request and its answer.
    pub(super) fn leave_lane(&mut self, id: u64) {
        if let Some(lanes) = &mut self.lanes {
            lanes.retain(|lane| lane.id != id);
        }
        self.rest();
    }

    fn rest(&mut self) {
        if let Stage::Closing { .. } = self.stage {
            return;
        }
        self.reading = None;
        self.stage = Stage::Rest {
            since: None,
            at_most: REST,
        };
    }

    /// Since when the slowest answer of HTTP/2 waits to be taken.
    fn slowest_lane(&self) -> Option<Instant> {
        let lanes = self.lanes.iter().flatten();
        lanes.filter_map(|lane| lane.since).min()
    }

    fn is_at_work(&self) -> bool {
        let mut lanes = self.lanes.iter().flatten();
        lanes.any(|lane| lane.since.is_none())
    }

    /// Since when the peer keeps us waiting; none while we are at work.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.writing_since().or(self.reading)
    }

    /// Since when the peer keeps us waiting to take its answer.
    pub(super) fn writing_since(&self) -> Option<Instant> {
        self.slowest_lane().or(self.writing)
    }

    /// There is nothing to read yet; the answer is when to give up.
    pub(super) fn wants_bytes(&mut self, now: Instant) -> Instant {
        if self.lanes.is_some() {
            // Who reads little also sends little: both waits are one.
            if let Some(since) = self.writing_since() {
                return since + STEP_TIME;
            }
            if self.is_at_work() {
                self.reading = None;
                return now + REST;
            }
        }
        let (since, at_most) = match &mut self.stage {
            Stage::Rest { since, at_most } => (*since.get_or_insert(now), *at_most),
            Stage::Request { since } => (*since, REQUEST),
            // The rest of a request that was answered before it was whole.
            Stage::Answer => (*self.reading.get_or_insert(now), REQUEST),
            Stage::Closing { since } => (*since, LINGER),
        };
        self.reading = Some(since);
        since + at_most
    }

    /// Bytes came.
    pub(super) fn got_bytes(&mut self, now: Instant) {
        self.reading = None;
        let begins = match self.stage {
            Stage::Rest { .. } => self.lanes.is_none(),
            Stage::Request { .. } => self.takes_uploads,
            Stage::Answer | Stage::Closing { .. } => false,
        };
        if begins {
            self.stage = Stage::Request { since: now };
        }
    }

    /// Whether a request has begun that has no answer yet.
    pub(super) const fn is_asked(&self) -> bool {
        matches!(self.stage, Stage::Request { .. })
    }

    /// The answer is there and will now be written.
    pub(super) fn answered(&mut self) {
        self.stage = Stage::Answer;
    }

    /// Nothing can be written yet; the answer is when to give up.
    pub(super) fn wants_room(&mut self, now: Instant) -> Instant {
        let (since, _) = *self.step.get_or_insert((now, 0));
        let since = self.slowest_lane().map_or(since, |lane| lane.min(since));
        self.writing = Some(since);
        since + STEP_TIME
    }

    /// `count` bytes were taken.
    pub(super) fn took_bytes(&mut self, count: usize) {
        self.writing = None;
        self.step = self
            .step
            .map(|(since, taken)| (since, taken.saturating_add(count)))
            .filter(|(_, taken)| *taken < STEP);
    }

    /// All that was to be written is taken.
    pub(super) fn took_all(&mut self) {
        self.writing = None;
        self.step = None;
        if let Stage::Answer = self.stage {
            self.rest();
        }
    }

    /// We hang up; true if the peer was not at the end of a request, so that
    /// more of it may come.
    pub(super) fn hang_up(&mut self, now: Instant) -> bool {
        let is_amid = matches!(self.stage, Stage::Request { .. } | Stage::Answer);
        self.stage = Stage::Closing { since: now };
        is_amid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_waited_for_as_long_as_it_moves() {
        for takes_uploads in [false, true] {
            let begin = Instant::now();
            let mut patience = Patience::new(begin, takes_uploads);
            patience.got_bytes(begin);
            let late = begin + REQUEST / 2;
            patience.got_bytes(late);
            let expect = if takes_uploads { late } else { begin };
            assert_eq!(patience.wants_bytes(late), expect + REQUEST);
        }
    }
}
