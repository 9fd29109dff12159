//! Many transfers of one sender, for the bench of the scrape and the count of
//! its instructions: a share of them active, the others ended.
//!
//! **Invariants.** The same number gives the same transfers. Each has sixteen
//! series.

use std::{collections::HashMap, time::Duration};

use cryptshare_exporter::{
    exposition::Page,
    ledger::{self, Ledger, Watching},
    metrics::{Printer, SenderView, Settings},
    model::{
        Discover, File, FileDownloads, Finding, Method, Observation, Recipient, Retrieval, Round,
        Scope, SenderId, State, TrackingId, Transfer, Verification,
    },
};
use jiff::{Timestamp, ToSpan};

/// A ledger that knows the transfers, and what its pages are made with.
pub(crate) struct Crowd {
    ledger: Ledger,
    printer: Printer,
    settings: Settings,
    all: usize,
    active: usize,
    turn: u16,
}

/// What a transfer tells that it did not tell before.
#[derive(Clone, Copy)]
pub(crate) enum News {
    /// It expires so many seconds later. One family of one series shows it.
    Expiration(u16),
    /// A file was retrieved so many times more: three families show it, which
    /// have five series.
    Retrievals(u16),
}

impl Crowd {
    /// `count` transfers, of which the newest `active` can still change.
    pub(crate) fn new(count: usize, active: usize) -> Self {
        let mut crowd = Self {
            ledger: Ledger::new(watched(), at()),
            printer: Printer::default(),
            settings: shown(),
            all: count,
            active,
            turn: 0,
        };
        crowd.observe(Finding::Listed {
            ids: Vec::new(),
            ended: at(),
            scope: Scope::EVERYTHING,
        });
        let all = (0..count).map(|n| transfer(n, State::Active, News::Expiration(0)));
        crowd.observe(Finding::Seen(all.collect()));
        let ended = active..count;
        let ended = ended.map(|n| transfer(n, State::DeletedByExpiration, News::Expiration(0)));
        crowd.observe(Finding::Seen(ended.collect()));
        crowd.observe(Finding::RoundEnded(Round {
            failure: None,
            clock_offset: None,
            verified_until: Verification::Unknown,
        }));
        crowd
    }

    /// A hundredth of all tells news: of those that can change one here and one
    /// there.
    pub(crate) fn change(&mut self, news: fn(u16) -> News) {
        self.turn += 1;
        let count = self.all / 100;
        let step = self.active / count;
        let changed = (0..count).map(|n| transfer(n * step, State::Active, news(self.turn)));
        self.observe(Finding::Seen(changed.collect()));
    }

    /// The page that shows them now.
    pub(crate) fn print(&mut self) -> Page {
        self.printer.print(&self.ledger, &self.settings, at())
    }

    fn observe(&mut self, finding: Finding) {
        self.ledger.apply(Observation {
            sender: sender(),
            at: at(),
            finding,
        });
        self.ledger.settle();
    }
}

/// The tracking id of a transfer; those of one day come in any order.
pub(crate) fn name(n: usize) -> String {
    let mixed = n.wrapping_mul(0x9e37_79b9) & 0xffff_ffff;
    format!("202604{:02}-081500-{mixed:08x}", 1 + n % 28)
}

fn at() -> Timestamp {
    "2026-04-29T08:15:00Z".parse().unwrap()
}

fn sender() -> SenderId {
    SenderId::new("prod", "invoices@example.com")
}

fn watched() -> ledger::Settings {
    let watching = Watching {
        scope: Scope {
            discover: Discover::Everything,
            max_age: None,
        },
        ..Watching::default()
    };
    ledger::Settings {
        senders: vec![(sender(), watching)],
        ..ledger::Settings::default()
    }
}

fn shown() -> Settings {
    let view = SenderView {
        label: "invoices".to_owned(),
        keep_ended: Duration::from_hours(24),
        poll_interval: Duration::from_mins(1),
        names: HashMap::new(),
    };
    Settings {
        transfers: true,
        max_transfers: 0,
        max_recipients: 0,
        expiring_within: Duration::from_hours(24),
        stale_after: Duration::from_mins(15),
        senders: [(sender(), view)].into(),
    }
}

/// A transfer with three recipients and three files, of which it depends on
/// its number what was retrieved.
fn transfer(n: usize, state: State, news: News) -> Transfer {
    let (later, more) = match news {
        News::Expiration(later) => (later, 0),
        News::Retrievals(more) => (0, more),
    };
    let id = |what: char, k: usize| format!("{what}{n:06}-{k}").into_boxed_str();
    let retrieval = |k: usize| Retrieval {
        at: Some(at() - i64::try_from(n % 1000 + k).unwrap().seconds()),
        method: Method::Downloaded,
    };
    let new = |k: u16| Retrieval {
        at: Some(at() + i64::from(k).seconds()),
        method: Method::Viewed,
    };
    let downloads = |k: usize, more| FileDownloads {
        file: id('f', k),
        retrievals: Some(
            (0..=n % 3)
                .map(retrieval)
                .chain((0..more).map(new))
                .collect(),
        ),
    };
    let recipient = |k| Recipient {
        id: id('r', k),
        mail: None,
        notification_failed: Some(n.is_multiple_of(97)),
        downloads: Some(
            (0..3)
                .map(|file| downloads(file, if k + file == 0 { more } else { 0 }))
                .collect(),
        ),
    };
    let file = |k| File {
        id: id('f', k),
        removed: Some(false),
        removal_cause: None,
    };
    Transfer {
        state: Some(state),
        warnings: Some(n.is_multiple_of(97)),
        eml_creation_failed: Some(false),
        sender_notification_failed: Some(false),
        files: Some((0..3).map(file).collect()),
        recipients: Some((0..3).map(recipient).collect()),
        expires_at: Some(at() + (86_400 + i64::try_from(n).unwrap() + i64::from(later)).seconds()),
        size_bytes: Some(u64::try_from(n).unwrap() * 1_237 % 100_000_000),
        ..Transfer::untold(TrackingId::parse(&name(n)).unwrap())
    }
}
