//! Which version of the API a server is asked for.
//!
//! The lowest that is needed: 12 lists whole transfers, 8 their ids and
//! states. A server that does not have the bulk list, or never answers its
//! members, is remembered for a day and then tried again.
//!
//! What fails may fail for another reason. So a bulk list that was read before
//! is given up only after failures in a row, and a step down proves nothing
//! before the other list was read: if that fails as well, the bulk list is
//! tried again as soon as the server answers.
//!
//! **Invariants.** Asks for the version once a day at most. A server that cannot
//! say it is tried, since the first bulk page tells as well.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Endpoint, Error, paging::Style};
use crate::model::{Reason, State, Transfer};

/// Status and list exist since this minor version (contract, section 2).
const PLAIN_MINOR: u32 = 8;

/// The bulk list exists since this minor version (contract, section 2).
const BULK_MINOR: u32 = 12;

impl Endpoint {
    /// The lowest minor version that has it.
    pub(super) const fn minor(self) -> u32 {
        match self {
            Self::SentTransfers => BULK_MINOR,
            Self::TransferStatus
            | Self::Transfers
            | Self::Verification
            | Self::VerificationCode
            | Self::VerificationToken
            | Self::ApiStatus => PLAIN_MINOR,
        }
    }
}

/// What was found out holds so long.
const HOLDS: Duration = Duration::from_hours(24);

/// A refusal that may be a mishap holds so long.
const REFUSAL_HOLDS: Duration = Duration::from_hours(1);

/// A bulk list that has not been refused outright, or that was read before, is
/// given up after so many failures in a row.
const FAILURES: u32 = 3;

/// A bulk list that tells so many living transfers and none of them whole does
/// not answer the members that are needed.
const MUTE_ITEMS: usize = 10;

/// What is known of one server.
#[derive(Debug)]
pub(super) struct Versions {
    server: String,
    found: Mutex<Found>,
    /// Held while somebody asks, so that others wait for the answer.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Found {
    style: Style,
    /// Until then it holds; `None` before anything was found out.
    until: Option<Instant>,
    /// Living transfers in a row that a bulk list did not tell whole.
    mute: usize,
    /// Failures in a row of the bulk list.
    failures: u32,
    /// The bulk list has told whole transfers.
    is_proven: bool,
    doubt: Doubt,
    is_told: bool,
}

/// Whether a step down was for the right reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    /// It was, or there was none.
    None,
    /// The other list was not read yet.
    Open,
    /// The other list fails as well.
    Justified,
}

/// What a failure of the bulk list says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// There is none, for so long.
    Plain(Duration),
    /// Perhaps there is none.
    Perhaps,
    /// Nothing.
    None,
}

impl Refusal {
    /// An older server takes the list's name for a tracking id (contract,
    /// section 5), and one that cannot read `fields` refuses the request, or
    /// breaks down over it.
    const fn of(error: &Error, size: u32) -> Self {
        match error.reason() {
            Reason::Version | Reason::NotFound => Self::Plain(HOLDS),
            Reason::Rejected => Self::Plain(REFUSAL_HOLDS),
            Reason::TooLarge if size == 1 => Self::Plain(REFUSAL_HOLDS),
            Reason::Server | Reason::Malformed => Self::Perhaps,
            Reason::TooLarge
            | Reason::Unreachable
            | Reason::Tls
            | Reason::Timeout
            | Reason::Unauthorized
            | Reason::NotVerified
            | Reason::NotLicensed
            | Reason::Throttled
            | Reason::Redirected => Self::None,
        }
    }
}

impl Versions {
    pub(super) fn new(server: String) -> Self {
        let found = Found {
            style: Style::Bulk,
            until: None,
            mute: 0,
            failures: 0,
            is_proven: false,
            doubt: Doubt::None,
            is_told: false,
        };
        Self {
            server,
            found: Mutex::new(found),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// The style to list in; if that is not known, `ask` is asked for the
    /// highest minor version.
    ///
    /// # Errors
    /// If the server is throttling: then it is left alone.
    pub(super) async fn style(
        &self,
        ask: impl AsyncFnOnce() -> Result<Option<u64>, Error>,
    ) -> Result<Style, Error> {
        let _asking = self.asking.lock().await;
        if let Some(style) = self.known() {
            return Ok(style);
        }
        // Whatever the answer is, the question is not repeated soon.
        self.settle(Style::Bulk, HOLDS);
        match ask().await {
            Ok(Some(minor)) if minor < u64::from(BULK_MINOR) => {
                let why = "the server is older than the bulk list";
                self.step_down(why, HOLDS, Doubt::None);
            }
            Err(error) if error.reason() == Reason::Throttled => return Err(error),
            Ok(_) | Err(_) => {}
        }
        Ok(self.lock().style)
    }

    /// The minor version that listings ask for.
    pub(super) fn minor(&self) -> u32 {
        match self.lock().style {
            Style::Bulk => BULK_MINOR,
            Style::Plain => PLAIN_MINOR,
        }
    }

    /// Takes in that the bulk list failed, and steps down if that says that
    /// there is none. The answer is whether the other list is to be read in its
    /// place at once; what was read before fails first, as anything else does.
    pub(super) fn take_refusal(&self, error: &Error, size: u32) -> bool {
        const WHY: &str = "the server refuses the bulk list";
        let refusal = Refusal::of(error, size);
        if refusal == Refusal::None {
            return false;
        }
        let (is_proven, failures) = {
            let mut found = self.lock();
            found.failures = found.failures.saturating_add(1);
            (found.is_proven, found.failures)
        };
        match refusal {
            Refusal::Plain(holds) if !is_proven => {
                self.step_down(WHY, holds, Doubt::Open);
                return true;
            }
            Refusal::Plain(_) if failures >= FAILURES => {
                self.step_down(WHY, REFUSAL_HOLDS, Doubt::Open);
            }
            Refusal::Perhaps if !is_proven && failures >= FAILURES => {
                self.step_down("the bulk list only fails", REFUSAL_HOLDS, Doubt::Open);
            }
            Refusal::Plain(_) | Refusal::Perhaps | Refusal::None => {}
        }
        false
    }

    /// Takes in how a page of the plain list went.
    pub(super) fn note_plain(&self, is_read: bool) {
        let doubt = self.lock().doubt;
        match (doubt, is_read) {
            (Doubt::Open, false) => self.lock().doubt = Doubt::Justified,
            (Doubt::Open, true) => self.lock().doubt = Doubt::None,
            (Doubt::Justified, true) => self.settle(Style::Bulk, HOLDS),
            (Doubt::None, _) | (Doubt::Justified, false) => {}
        }
    }

    fn step_down(&self, why: &'static str, holds: Duration, doubt: Doubt) {
        self.settle(Style::Plain, holds);
        self.lock().doubt = doubt;
        self.tell(Style::Plain, why);
    }

    /// Takes in what a page of a bulk list told.
    pub(super) fn note(&self, page: &[Transfer]) {
        let lives = |state: &State| *state == State::Active;
        let living = page
            .iter()
            .filter(|one| one.state.as_ref().is_some_and(lives));
        let (whole, mute): (Vec<_>, Vec<_>) = living.partition(|one| one.is_whole());
        let mut found = self.lock();
        found.mute = if whole.is_empty() {
            found.mute.saturating_add(mute.len())
        } else {
            0
        };
        found.failures = 0;
        found.is_proven |= !whole.is_empty();
        let is_mute = found.mute >= MUTE_ITEMS;
        drop(found);
        if is_mute {
            let why = "its bulk list leaves out what is needed";
            self.step_down(why, HOLDS, Doubt::None);
        } else if !whole.is_empty() {
            self.tell(Style::Bulk, "the server lists whole transfers");
        }
    }

    fn known(&self) -> Option<Style> {
        let found = self.lock();
        let holds = found.until.is_some_and(|until| Instant::now() < until);
        holds.then_some(found.style)
    }

    fn settle(&self, style: Style, holds: Duration) {
        let mut found = self.lock();
        found.until = Some(Instant::now() + holds);
        found.mute = 0;
        found.failures = 0;
        found.doubt = Doubt::None;
        found.is_told &= found.style == style;
        found.style = style;
    }

    fn tell(&self, style: Style, why: &'static str) {
        let is_told = std::mem::replace(&mut self.lock().is_told, true);
        if is_told {
            return;
        }
        let (server, minor) = (&self.server, self.minor());
        match style {
            Style::Bulk => tracing::info!(server, minor, why, "transfers are read in bulk"),
            Style::Plain => tracing::info!(server, minor, why, "transfers are read one by one"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Recipient, TrackingId};

    const DAY: Duration = Duration::from_hours(24);
    const SECOND: Duration = Duration::from_secs(1);

    fn versions() -> Versions {
        Versions::new("prod".to_owned())
    }

    fn failed(reason: Reason) -> Error {
        Error::new("failed to list the transfers", reason, "by a test")
    }

    /// The style that is settled after `answer`, and whether it was asked for.
    async fn style(
        versions: &Versions,
        answer: Result<Option<u64>, Reason>,
    ) -> (Result<Style, Reason>, bool) {
        let mut was_asked = false;
        let style = versions
            .style(async || {
                was_asked = true;
                answer.map_err(failed)
            })
            .await;
        (style.map_err(|error| error.reason()), was_asked)
    }

    /// A page of `count` active transfers, told whole or not.
    fn page(count: usize, is_whole: bool) -> Vec<Transfer> {
        let one = |n| Transfer {
            state: Some(State::Active),
            warnings: Some(false),
            eml_creation_failed: Some(false),
            sender_notification_failed: Some(false),
            files: is_whole.then(Vec::new),
            recipients: Some(Vec::<Recipient>::new()),
            ..Transfer::untold(TrackingId::parse(&format!("t-{n}")).unwrap())
        };
        (0..count).map(one).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_version_is_asked_for_once_a_day() {
        let versions = versions();
        let told = style(&versions, Ok(Some(11))).await;
        assert_eq!(told, (Ok(Style::Plain), true));
        assert_eq!(versions.minor(), 8);
        tokio::time::advance(DAY.saturating_sub(SECOND)).await;
        let told = style(&versions, Ok(Some(13))).await;
        assert_eq!(told, (Ok(Style::Plain), false));
        tokio::time::advance(SECOND).await;
        let told = style(&versions, Ok(Some(13))).await;
        assert_eq!(told, (Ok(Style::Bulk), true));
        assert_eq!(versions.minor(), 12);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_cannot_say_its_version_is_tried_and_one_that_throttles_is_not() {
        for reason in Reason::ALL {
            let versions = versions();
            let told = style(&versions, Err(reason)).await;
            let is_throttled = reason == Reason::Throttled;
            let expect = if is_throttled {
                Err(reason)
            } else {
                Ok(Style::Bulk)
            };
            assert_eq!(told, (expect, true));
            let later = style(&versions, Err(reason)).await;
            assert_eq!(later, (Ok(Style::Bulk), false), "{reason:?}");
        }
        let versions = versions();
        assert_eq!(style(&versions, Ok(None)).await, (Ok(Style::Bulk), true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_bulk_list_that_is_refused_gives_way_at_once_and_is_tried_again_later() {
        let hour = Duration::from_hours(1);
        for (reason, holds) in [
            (Reason::Version, DAY),
            (Reason::NotFound, DAY),
            (Reason::Rejected, hour),
            (Reason::TooLarge, hour),
        ] {
            let versions = versions();
            style(&versions, Ok(Some(12))).await.0.unwrap();
            assert!(versions.take_refusal(&failed(reason), 1), "{reason:?}");
            assert_eq!(versions.minor(), 8);
            versions.note_plain(true);
            tokio::time::advance(holds.saturating_sub(SECOND)).await;
            let told = style(&versions, Ok(Some(12))).await;
            assert_eq!(told, (Ok(Style::Plain), false), "{reason:?}");
            tokio::time::advance(SECOND).await;
            let told = style(&versions, Ok(Some(12))).await;
            assert_eq!(told, (Ok(Style::Bulk), true), "{reason:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_says_nothing_of_the_version_changes_nothing() {
        for reason in Reason::ALL {
            let versions = versions();
            style(&versions, Ok(Some(12))).await.0.unwrap();
            versions.note(&page(1, true));
            for _ in 1..FAILURES {
                assert!(!versions.take_refusal(&failed(reason), 100), "{reason:?}");
            }
            versions.note(&page(1, true));
            for _ in 1..FAILURES {
                assert!(!versions.take_refusal(&failed(reason), 100), "{reason:?}");
            }
            assert_eq!(versions.minor(), 12, "{reason:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_bulk_list_that_was_read_gives_way_only_after_failures_in_a_row() {
        let versions = versions();
        versions.note(&page(1, true));
        for _ in 0..FAILURES {
            assert_eq!(versions.minor(), 12);
            assert!(!versions.take_refusal(&failed(Reason::Rejected), 100));
        }
        assert_eq!(versions.minor(), 8);
        for _ in 0..9 {
            versions.take_refusal(&failed(Reason::Server), 100);
        }
        let broken = self::versions();
        for _ in 0..FAILURES {
            assert!(!broken.take_refusal(&failed(Reason::Server), 100));
        }
        assert_eq!(broken.minor(), 8, "a list that only fails");
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_down_while_everything_fails_is_taken_back_when_the_server_answers() {
        let versions = versions();
        style(&versions, Ok(Some(12))).await.0.unwrap();
        assert!(versions.take_refusal(&failed(Reason::Version), 100));
        for _ in 0..3 {
            versions.note_plain(false);
            assert_eq!(versions.minor(), 8);
        }
        versions.note_plain(true);
        assert_eq!(versions.minor(), 12);
        assert!(versions.take_refusal(&failed(Reason::Version), 100));
        versions.note_plain(true);
        versions.note_plain(false);
        versions.note_plain(true);
        assert_eq!(versions.minor(), 8, "an outage later on proves nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn a_bulk_list_that_never_tells_all_gives_way_for_a_day() {
        let versions = versions();
        style(&versions, Ok(Some(12))).await.0.unwrap();
        versions.note(&page(MUTE_ITEMS - 1, false));
        versions.note(&page(1, true));
        versions.note(&page(MUTE_ITEMS - 1, false));
        assert_eq!(versions.minor(), 12);
        versions.note(&page(1, false));
        assert_eq!(versions.minor(), 8);
        tokio::time::advance(DAY).await;
        let told = style(&versions, Ok(Some(12))).await;
        assert_eq!(told, (Ok(Style::Bulk), true));
    }
}
