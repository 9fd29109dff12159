//! The simulated server's memory: senders, transfers, tokens, faults, truth.
//!
//! **Invariants.** Everything that happens goes through [`World::happen`], so
//! that it is counted and indexed. How often the world is asked changes
//! nothing in how it lives: answers have dice of their own.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    Scenario,
    fault::Faults,
    guard::Guard,
    index::Index,
    letter::{Content, Kind, Letter, Security, SimFile},
    mailbox::Mailboxes,
    names,
    policy::Policy,
    post::{Delivery, Post},
    quirk::{Quirk, Quirks},
    session::Sessions,
    time::Time,
    totals::Totals,
    transfer::{Happening, Origin, Outcome, SimTransfer, Stage},
    verification::{Codes, Gate, Settings, Tokens},
};

/// Whether the recipients of a transfer are to, cc or bcc, in turn.
const KINDS: [Kind; 4] = [Kind::To, Kind::To, Kind::Cc, Kind::Bcc];

/// How long a transfer is kept, in hours: mostly days, some only for a while.
const RETENTION_HOURS: [u64; 8] = [2, 3, 5, 12, 24, 48, 72, 96];

/// Everything the server knows.
#[derive(Debug)]
pub(super) struct World {
    pub(super) time: Time,
    /// What happens by chance.
    pub(super) rng: StdRng,
    /// The order of sets in answers, tokens, quirks.
    pub(super) dice: StdRng,
    pub(super) verification: Settings,
    pub(super) codes: Codes,
    pub(super) gate: Gate,
    pub(super) tokens: Tokens,
    pub(super) mailboxes: Mailboxes,
    pub(super) policy: Policy,
    pub(super) guard: Guard,
    pub(super) sessions: Sessions,
    pub(super) faults: Faults,
    /// How far the pages of lists have moved, for the answer under way.
    pub(super) shift: i64,
    pub(super) quirks: Quirks,
    pub(super) api_minor: u32,
    /// What happens to each active transfer in an hour, beside what always
    /// happens.
    pub(super) activity: f64,
    pub(super) base_url: String,
    /// Requests by endpoint.
    pub(super) requests: BTreeMap<&'static str, u64>,
    /// By sender.
    pub(super) totals: Vec<Totals>,
    /// Of all senders together.
    pub(super) grand_totals: Totals,
    /// Oldest first; those that the server has forgotten stay, for the truth.
    pub(super) transfers: Vec<SimTransfer>,
    pub(super) index: Index,
    pub(super) lived_until: Timestamp,
    client_id: String,
    pub(super) senders: Vec<String>,
    /// By address in lower case.
    by_address: HashMap<String, usize>,
}

/// A transfer to be.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) sender: usize,
    /// The state in which it begins.
    pub(super) stage: Stage,
    pub(super) files: Vec<(String, u64)>,
    pub(super) recipients: Vec<String>,
    /// So many recipients, the first ones, fetch files by chance.
    pub(super) fetchers: usize,
    pub(super) processing: Duration,
    pub(super) retention: Duration,
    pub(super) outcome: Outcome,
    pub(super) security: Security,
    pub(super) origin: Origin,
}

impl World {
    pub(super) fn new(scenario: &Scenario, base_url: String) -> Self {
        let mut rng = StdRng::seed_from_u64(scenario.seed);
        let client_id = names::alphanumeric(64, &mut rng);
        let senders: Vec<_> = (0..scenario.senders.max(1)).map(names::sender).collect();
        let by_address = senders.iter().enumerate();
        let by_address = by_address.map(|(n, address)| (address.to_lowercase(), n));
        let (verification, policy) = (Settings::default(), Policy::default());
        let mut world = Self {
            time: Time::new(scenario.start, scenario.speed),
            dice: StdRng::seed_from_u64(rng.random()),
            rng,
            tokens: Tokens::new(verification.terms()),
            verification,
            codes: Codes::default(),
            gate: Gate::default(),
            mailboxes: Mailboxes::default(),
            index: Index::new(policy.schedule()),
            policy,
            guard: Guard::default(),
            sessions: Sessions::default(),
            faults: Faults::default(),
            shift: 0,
            quirks: scenario.quirks.clone(),
            api_minor: scenario.api_minor,
            activity: scenario.activity,
            base_url,
            requests: BTreeMap::new(),
            totals: Vec::new(),
            grand_totals: Totals::zero(),
            transfers: Vec::new(),
            lived_until: scenario.start,
            client_id,
            by_address: by_address.collect(),
            senders,
        };
        world.faults.set(scenario.faults.clone());
        world.mark();
        world
    }

    pub(super) fn client_id(&self) -> &str {
        &self.client_id
    }

    pub(super) fn senders(&self) -> &[String] {
        &self.senders
    }

    /// The sender with this address, in any casing.
    pub(super) fn sender(&self, address: &str) -> Option<usize> {
        self.by_address.get(&address.to_lowercase()).copied()
    }

    /// The same, who is one from now on if need be.
    pub(super) fn enlist(&mut self, address: &str) -> usize {
        if let Some(known) = self.sender(address) {
            return known;
        }
        let sender = self.senders.len();
        self.senders.push(address.to_owned());
        self.by_address.insert(address.to_lowercase(), sender);
        self.totals.push(Totals::zero());
        sender
    }

    pub(super) fn now(&self) -> Timestamp {
        self.time.now()
    }

    /// Whether `quirk` shows this time.
    pub(super) fn shows(&mut self, quirk: Quirk) -> bool {
        self.quirks.shows(quirk, &mut self.dice)
    }

    /// The date that a tracking id begins with.
    pub(super) fn id_date(&mut self, at: Timestamp) -> Timestamp {
        let ahead = SignedDuration::from_hours(2);
        let local = at.checked_add(ahead).ok();
        local
            .filter(|_| self.shows(Quirk::LocalTrackingIds))
            .unwrap_or(at)
    }

    /// Begins the totals anew.
    pub(super) fn mark(&mut self) {
        self.totals = vec![Totals::zero(); self.senders.len()];
        self.grand_totals = Totals::zero();
    }

    /// Creates a transfer; the answer is its position.
    pub(super) fn create(&mut self, plan: Plan, at: Timestamp) -> usize {
        let id_at = self.id_date(at);
        let rng = &mut self.rng;
        let file = |(name, size), rng: &mut StdRng| SimFile {
            id: names::alphanumeric(10, rng),
            name,
            size,
            checksum: Some(names::checksum(rng)),
            content: Content::MadeUp,
            removed: None,
        };
        let files = plan.files.into_iter().map(|given| file(given, rng));
        let files = files.collect();
        let recipients = plan.recipients.into_iter().zip(KINDS.into_iter().cycle());
        let recipients = recipients.map(|(mail, kind)| names::newcomer(kind, mail, rng));
        let transfer = SimTransfer {
            files,
            recipients: recipients.collect(),
            id: names::tracking_id(id_at, &mut self.rng),
            letter: Letter {
                security: plan.security,
                ..names::letter(&mut self.rng)
            },
            origin: plan.origin,
            sender: plan.sender,
            stage: plan.stage,
            passed: BTreeSet::from([plan.stage]),
            fetchers: plan.fetchers,
            expires_at: at.checked_add(plan.retention).unwrap_or(Timestamp::MAX),
            processing: plan.processing,
            finalized_at: at,
            outcome: plan.outcome,
            ended_at: None,
            eml_failed: false,
            sender_notification_failed: false,
            sent_with: None,
            forgotten: false,
        };
        self.take_in(transfer)
    }

    /// Takes in a transfer that has just begun; the answer is its position.
    pub(super) fn take_in(&mut self, transfer: SimTransfer) -> usize {
        let own = self.totals.get_mut(transfer.sender);
        for totals in own.into_iter().chain([&mut self.grand_totals]) {
            totals.appear(&transfer);
        }
        let position = self.transfers.len();
        self.index.add(position, &transfer);
        self.transfers.push(transfer);
        position
    }

    /// Lets something happen to the transfer at `position`, and counts it.
    ///
    /// # Errors
    /// With the reason if its state does not permit it.
    pub(super) fn happen(
        &mut self,
        position: usize,
        happening: &Happening,
        at: Timestamp,
    ) -> Result<(), String> {
        let transfer = self.transfers.get_mut(position);
        let transfer = transfer.ok_or("no such transfer")?;
        transfer.happen(happening, at)?;
        self.index.update(position, transfer);
        let own = self.totals.get_mut(transfer.sender);
        for totals in own.into_iter().chain([&mut self.grand_totals]) {
            totals.count(happening, transfer);
        }
        let deliveries = self.post(position).map(|post| post.after(happening));
        self.deliver(position, deliveries.unwrap_or_default(), at);
        Ok(())
    }

    /// The post of the transfer at `position`.
    pub(super) fn post(&self, position: usize) -> Option<Post<'_>> {
        let transfer = self.transfers.get(position)?;
        Some(Post {
            transfer,
            sender: self.senders.get(transfer.sender)?,
            base_url: &self.base_url,
        })
    }

    /// Lets the post do its work.
    pub(super) fn deliver(&mut self, position: usize, deliveries: Vec<Delivery>, at: Timestamp) {
        for delivery in deliveries {
            match delivery {
                Delivery::Mail { to, kind, text } => self.mailboxes.send(&to, kind, at, text),
                Delivery::Failure(happening) => drop(self.happen(position, &happening, at)),
            }
        }
    }

    /// Lets the administrator permit other things, and tidy up at other times.
    pub(super) fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
        self.index.set_schedule(self.policy.schedule());
        self.sessions.reconsider();
        for (position, transfer) in self.transfers.iter().enumerate() {
            self.index.update(position, transfer);
        }
    }

    /// A transfer as a person would send it.
    pub(super) fn plan(&mut self) -> Plan {
        let rng = &mut self.rng;
        let sender = rng.random_range(0..self.senders.len().max(1));
        let files = (0..rng.random_range(1..=3))
            .map(|_| (names::file(rng), rng.random_range(1_000..50_000_000)))
            .collect();
        let recipients = (0..rng.random_range(1..=3)).map(|_| names::recipient(rng));
        let recipients: Vec<_> = recipients.collect();
        let retention = 3_600 * names::pick(&RETENTION_HOURS, rng) + rng.random_range(0..3_600);
        Plan {
            sender,
            stage: Stage::Processing,
            files,
            fetchers: rng.random_range(0..=recipients.len()),
            recipients,
            processing: Duration::from_secs(rng.random_range(20..400)),
            retention: Duration::from_secs(retention),
            security: Security::OneTimePassword,
            origin: Origin::Chance,
            outcome: if rng.random_bool(0.08) {
                Outcome::Failed
            } else {
                Outcome::Active
            },
        }
    }
}
