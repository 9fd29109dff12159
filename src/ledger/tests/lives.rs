//! Any interleaving of what happens, readings, commits that fail, restarts,
//! vanishings and returns: what is shown never falls, is never more than the
//! truth, and at the end is the truth.
//!
//! **Invariants.** The truth comes from the server's story; of the ledger only
//! what it shows is looked at.

use proptest::prelude::*;
use tempfile::TempDir;

use super::{
    at,
    server::{Deed, EACH, Server, Tells, observed, sender, settings},
};
use crate::{
    ledger::{Causes, Counters, Entry, IfMissing, Ledger, Store, counters::Histogram},
    model::{Event, Finding, Method, State, TrackingId, record::Tally},
};

/// Transfers from the start, and those that come later.
const OLD: usize = 2;
const ALL: usize = 5;

#[derive(Debug, Clone, Copy)]
enum Step {
    Create(usize),
    Happen(usize, Deed),
    List,
    Read(usize, Tells),
    Commit(Outcome),
    /// The process is killed and started again.
    Restart,
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    Durable,
    /// The disk takes nothing.
    Failed,
    /// The disk has taken all, and tells a failure.
    Unknown,
}

fn step() -> impl Strategy<Value = Step> {
    let tells = prop_oneof![
        4 => Just(Tells::All),
        1 => Just(Tells::AllInAnotherOrder),
        1 => Just(Tells::NoRetrievals),
        1 => Just(Tells::NoLists),
    ];
    let outcome = prop_oneof![
        2 => Just(Outcome::Durable),
        1 => Just(Outcome::Failed),
        1 => Just(Outcome::Unknown),
    ];
    prop_oneof![
        1 => (OLD..ALL).prop_map(Step::Create),
        8 => (0..ALL, deed()).prop_map(|(n, deed)| Step::Happen(n, deed)),
        2 => Just(Step::List),
        6 => (0..ALL, tells).prop_map(|(n, tells)| Step::Read(n, tells)),
        3 => outcome.prop_map(Step::Commit),
        1 => Just(Step::Restart),
    ]
}

fn deed() -> impl Strategy<Value = Deed> {
    let each = || prop::sample::select(&EACH[..]);
    let method = prop::sample::select(&Method::ALL[..]);
    let state = prop_oneof![
        4 => Just(State::Active),
        1 => Just(State::Failed),
        1 => prop::sample::select(&State::DELETED[..]),
    ];
    prop_oneof![
        6 => (each(), each(), method).prop_map(|(one, file, how)| Deed::Retrieve(one, file, how)),
        3 => state.prop_map(Deed::Enter),
        1 => each().prop_map(Deed::FailMail),
        1 => Just(Deed::FailSummary),
        1 => Just(Deed::FailEml),
        1 => each().prop_map(Deed::Remove),
        1 => Just(Deed::Forget),
        1 => Just(Deed::Return),
    ]
}

fn id(n: usize) -> TrackingId {
    TrackingId::parse(&format!("t{n}")).unwrap()
}

/// What the exporter has been told of one transfer.
#[derive(Debug, Clone, Copy, Default)]
struct Heard {
    /// How much of the story was over when it began to count.
    baseline: Option<usize>,
    state: Option<State>,
    is_lost: bool,
}

/// The exporter in all its lives.
struct Lives {
    directory: TempDir,
    ledger: Ledger,
    store: Option<Store>,
    server: Server,
    /// In this life, and what of it a restart leaves.
    heard: [Heard; ALL],
    kept: [Heard; ALL],
    shown: Shown,
    seconds: i64,
}

/// What `/metrics` shows: the sender's counters and the transfers' own.
#[derive(Debug, Clone, Default)]
struct Shown(Counters, [Tally; ALL]);

impl Lives {
    /// The first listing is durable; of what it tells, nothing counts.
    fn begin() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (ledger, store) = Ledger::open(directory.path(), IfMissing::Create).unwrap();
        let mut lives = Self {
            directory,
            ledger,
            store: Some(store),
            server: Server::default(),
            heard: Default::default(),
            kept: Default::default(),
            shown: Shown::default(),
            seconds: 0,
        };
        lives.ledger.watch(settings(), at(0));
        for n in 0..OLD {
            lives.server.create(&id(n));
            lives.server.happen(&id(n), Deed::Enter(State::Active));
        }
        lives.take(Step::List);
        lives.take(Step::Commit(Outcome::Durable));
        for heard in lives.heard.iter_mut().chain(&mut lives.kept).skip(OLD) {
            heard.baseline = Some(0);
        }
        for n in 0..OLD {
            lives.heard[n].baseline = None;
            lives.kept[n].baseline = None;
        }
        lives
    }

    fn take(&mut self, step: Step) {
        self.seconds += 1;
        match step {
            Step::Create(n) => self.server.create(&id(n)),
            Step::Happen(n, deed) => self.server.happen(&id(n), deed),
            Step::List => {
                for finding in self.server.listing(at(self.seconds)) {
                    self.hear(finding);
                }
            }
            Step::Read(n, tells) => self.read(n, tells),
            Step::Commit(outcome) => self.commit(outcome),
            Step::Restart => self.restart(),
        }
        self.check();
    }

    /// A first reading that does not tell all is none to begin with.
    fn read(&mut self, n: usize, tells: Tells) {
        let is_first = self.heard[n].baseline.is_none();
        let tells = if is_first { Tells::All } else { tells };
        let finding = self.server.reading(&id(n), tells);
        if let (true, Finding::Inspected(_)) = (is_first, &finding) {
            self.heard[n].baseline = self.server.0.get(&id(n)).map(|sent| sent.story.len());
        }
        self.hear(finding);
    }

    fn hear(&mut self, finding: Finding) {
        let readings = match &finding {
            Finding::Seen(page) => page.as_slice(),
            Finding::Inspected(reading) => std::slice::from_ref(reading),
            Finding::Listed { .. } | Finding::Gone(_) | Finding::RoundEnded(_) => &[],
        };
        for n in 0..ALL {
            let heard = &mut self.heard[n];
            if let Some(reading) = readings.iter().find(|reading| reading.id == id(n)) {
                heard.state = reading.state;
            }
            if matches!(&finding, Finding::Gone(gone) if *gone == id(n)) {
                heard.is_lost |= heard.state.is_some_and(|state| !state.is_final());
            }
        }
        self.ledger.apply(observed(finding, at(self.seconds)));
    }

    fn commit(&mut self, outcome: Outcome) {
        let batch = self.ledger.changes(false);
        if !matches!(outcome, Outcome::Failed) {
            self.store.as_mut().unwrap().commit(&batch).unwrap();
            self.kept = self.heard;
        }
        if matches!(outcome, Outcome::Durable) {
            self.ledger.settle();
        }
    }

    fn restart(&mut self) {
        // The file has one user at a time.
        drop(self.store.take());
        let (ledger, store) = Ledger::open(self.directory.path(), IfMissing::Create).unwrap();
        self.ledger = ledger;
        self.store = Some(store);
        self.ledger.watch(settings(), at(self.seconds));
        self.heard = self.kept;
    }

    fn now_shown(&self) -> Shown {
        let book = self.ledger.book(&sender()).unwrap();
        let ids: [usize; ALL] = std::array::from_fn(|n| n);
        Shown(
            book.counters().clone(),
            ids.map(|n| {
                book.entry(&id(n))
                    .map_or(Tally::default(), Entry::retrievals)
            }),
        )
    }

    /// What the server has told, and everything else that happened.
    fn truth(&self) -> Shown {
        let mut truth = Shown::default();
        for (n, heard) in self.heard.iter().enumerate() {
            let story = self
                .server
                .0
                .get(&id(n))
                .map_or(&[][..], |sent| &sent.story);
            for event in story {
                if let Event::Retrieved { method, times, .. } = event {
                    truth.1[n].add(*method, *times);
                }
            }
            let counted = heard.baseline.and_then(|from| story.get(from..));
            for event in counted.into_iter().flatten() {
                truth.0.count(event, &Causes::default());
            }
            truth.0.vanished += u64::from(heard.is_lost);
        }
        truth
    }

    fn check(&mut self) {
        let shown = self.now_shown();
        no_more(&self.shown, &shown, "a counter fell");
        no_more(&shown, &self.truth(), "more than the truth");
        self.shown = shown;
    }

    /// What is still to be told is told, and becomes durable.
    fn end(&mut self) {
        for deed in [Deed::Return, Deed::Forget, Deed::Return] {
            for n in 0..ALL {
                self.take(Step::Happen(n, deed));
            }
            self.tell_all();
        }
    }

    fn tell_all(&mut self) {
        self.take(Step::List);
        for n in 0..ALL {
            self.take(Step::Read(n, Tells::All));
        }
        for step in [Step::Commit(Outcome::Durable), Step::Restart] {
            self.take(step);
            let (Shown(mut shown, by_transfer), truth) = (self.now_shown(), self.truth());
            // How long processing took depends on when it was read.
            shown.processing = Histogram::default();
            assert_eq!((shown, by_transfer), (truth.0, truth.1));
        }
    }
}

/// Every number of `less` is at most that of `more`.
fn no_more(less: &Shown, more: &Shown, what: &str) {
    for ((name, less), (other, more)) in numbers(less).into_iter().zip(numbers(more)) {
        assert_eq!(name, other);
        assert!(less <= more, "{what}: {name} {less} {more}");
    }
}

fn numbers(Shown(counters, by_transfer): &Shown) -> Vec<(String, u64)> {
    let counted = |name: &str, count: u64| (name.to_owned(), count);
    let mut numbers = vec![
        counted("mails", counters.recipient_notification_failures),
        counted("summaries", counters.sender_notification_failures),
        counted("eml", counters.eml_creation_failures),
        counted("removed", counters.files_removed.values().sum()),
        counted("vanished", counters.vanished),
    ];
    for state in State::ALL {
        for (name, counts) in [
            ("entered", &counters.transitions),
            ("unretrieved", &counters.ended_unretrieved),
        ] {
            let count = counts.get(&state).copied().unwrap_or_default();
            numbers.push((format!("{name} {}", state.label()), count));
        }
    }
    for tally in by_transfer.iter().chain([&counters.retrievals]) {
        let by_method = Method::ALL.map(|method| counted(method.label(), tally.get(method)));
        numbers.extend(by_method);
    }
    numbers
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn in_all_lives_together_the_counters_rise_to_the_truth(
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut lives = Lives::begin();
        for step in steps {
            lives.take(step);
        }
        lives.end();
    }
}
