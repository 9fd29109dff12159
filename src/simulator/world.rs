//! The simulated server's memory: senders, transfers, tokens, faults, truth.
//!
//! **Invariants.** Everything that happens goes through [`World::happen`], so
//! that it is counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    Scenario,
    fault::Faults,
    names,
    time::Time,
    transfer::{Happening, Outcome, SimFile, SimRecipient, SimTransfer, Stage},
    truth::Totals,
    verification::Tokens,
};

/// Everything the server knows.
#[derive(Debug)]
pub(super) struct World {
    pub(super) time: Time,
    pub(super) rng: StdRng,
    pub(super) tokens: Tokens,
    pub(super) faults: Faults,
    pub(super) api_minor: u32,
    pub(super) base_url: String,
    /// Requests by endpoint.
    pub(super) requests: BTreeMap<&'static str, u64>,
    /// By sender.
    pub(super) totals: Vec<Totals>,
    /// Of all senders together.
    pub(super) grand_totals: Totals,
    /// Oldest first.
    pub(super) transfers: Vec<SimTransfer>,
    pub(super) lived_until: Timestamp,
    client_id: String,
    senders: Vec<String>,
}

/// A transfer to be.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) sender: usize,
    pub(super) files: Vec<(String, u64)>,
    pub(super) recipients: Vec<String>,
    pub(super) processing: Duration,
    pub(super) retention: Duration,
    pub(super) outcome: Outcome,
}

impl World {
    pub(super) fn new(scenario: &Scenario, base_url: String) -> Self {
        let mut rng = StdRng::seed_from_u64(scenario.seed);
        let client_id = names::alphanumeric(64, &mut rng);
        let senders: Vec<_> = (0..scenario.senders.max(1)).map(names::sender).collect();
        let mut world = Self {
            time: Time::new(scenario.start, scenario.speed),
            rng,
            tokens: Tokens::default(),
            faults: Faults::default(),
            api_minor: scenario.api_minor,
            base_url,
            requests: BTreeMap::new(),
            totals: Vec::new(),
            grand_totals: Totals::zero(),
            transfers: Vec::new(),
            lived_until: scenario.start,
            client_id,
            senders,
        };
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
        let same = |known: &String| known.eq_ignore_ascii_case(address);
        self.senders.iter().position(same)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.time.now()
    }

    /// Begins the totals anew.
    pub(super) fn mark(&mut self) {
        self.totals = vec![Totals::zero(); self.senders.len()];
        self.grand_totals = Totals::zero();
    }

    /// The position of a transfer that the server still knows.
    pub(super) fn find(&self, id: &str) -> Option<usize> {
        let is = |transfer: &SimTransfer| transfer.id == id && !transfer.forgotten;
        self.transfers.iter().position(is)
    }

    /// Creates a transfer that is being processed; the answer is its position.
    pub(super) fn create(&mut self, plan: Plan, at: Timestamp) -> usize {
        let rng = &mut self.rng;
        let files = plan.files.into_iter().map(|(name, size)| SimFile {
            id: names::alphanumeric(10, rng),
            name,
            size,
            removed: None,
        });
        let files: Vec<_> = files.collect();
        let recipients = plan.recipients.into_iter().map(|mail| SimRecipient {
            id: names::alphanumeric(10, rng),
            mail,
            password: names::alphanumeric(12, rng),
            notification_failed: false,
            retrievals: Vec::new(),
        });
        let recipients: Vec<_> = recipients.collect();
        let transfer = SimTransfer {
            id: names::tracking_id(at, &mut self.rng),
            sender: plan.sender,
            stage: Stage::Processing,
            passed: BTreeSet::from([Stage::Processing]),
            files,
            recipients,
            expires_at: at.checked_add(plan.retention).unwrap_or(Timestamp::MAX),
            processed_at: at.checked_add(plan.processing).unwrap_or(Timestamp::MAX),
            outcome: plan.outcome,
            ended_at: None,
            eml_failed: false,
            sender_notification_failed: false,
            forgotten: false,
        };
        let own = self.totals.get_mut(plan.sender);
        for totals in own.into_iter().chain([&mut self.grand_totals]) {
            totals.appear(&transfer);
        }
        self.transfers.push(transfer);
        self.transfers.len() - 1
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
        let own = self.totals.get_mut(transfer.sender);
        for totals in own.into_iter().chain([&mut self.grand_totals]) {
            totals.count(happening, transfer);
        }
        Ok(())
    }

    /// A transfer as a person would send it.
    pub(super) fn plan(&mut self) -> Plan {
        let rng = &mut self.rng;
        let sender = rng.random_range(0..self.senders.len().max(1));
        let files = (0..rng.random_range(1..=3)).map(|n| {
            let name = names::file(n, rng);
            (name, rng.random_range(1_000..50_000_000))
        });
        let files = files.collect();
        let recipients = (0..rng.random_range(1..=3))
            .map(|n| names::recipient(n, rng))
            .collect();
        Plan {
            sender,
            files,
            recipients,
            processing: Duration::from_secs(rng.random_range(20..400)),
            retention: Duration::from_secs(rng.random_range(3_600..4 * 86_400)),
            outcome: if rng.random_bool(0.08) {
                Outcome::Failed
            } else {
                Outcome::Active
            },
        }
    }
}
