//! Where the transfers are: by id, by sender, those that are active, and what
//! the clock brings when.
//!
//! **Invariants.** Told of every change by [`super::world::World`] alone. No
//! look-up walks through all transfers.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::transfer::{Schedule, SimTransfer, Stage};

/// Positions of transfers in the world, each kept by one question.
#[derive(Debug)]
pub(super) struct Index {
    schedule: Schedule,
    by_id: HashMap<String, usize>,
    /// By recipient's transfer id: the transfer, and the recipient in it.
    recipients: HashMap<String, (usize, usize)>,
    /// By sender, oldest first.
    sent: HashMap<(usize, Part), Vec<usize>>,
    /// By recipient's address in lower case, oldest first.
    received: HashMap<String, Vec<usize>>,
    active: Pool,
    due: BTreeSet<(Timestamp, usize)>,
    due_at: HashMap<usize, Timestamp>,
}

/// A part of a sender's transfers, by what `active` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Part {
    All,
    Active,
    /// All but the active ones.
    Inactive,
    /// Active or about to be.
    Living,
    /// All but the living ones.
    Ended,
}

impl Part {
    const ALL: [Self; 5] = [
        Self::All,
        Self::Active,
        Self::Inactive,
        Self::Living,
        Self::Ended,
    ];

    pub(super) fn holds(self, stage: Stage) -> bool {
        match self {
            Self::All => true,
            Self::Active => stage == Stage::Active,
            Self::Inactive => stage != Stage::Active,
            Self::Living => stage.lives(),
            Self::Ended => !stage.lives(),
        }
    }
}

impl Index {
    /// Without any transfer.
    pub(super) fn new(schedule: Schedule) -> Self {
        Self {
            schedule,
            by_id: HashMap::new(),
            recipients: HashMap::new(),
            sent: HashMap::new(),
            received: HashMap::new(),
            active: Pool::default(),
            due: BTreeSet::new(),
            due_at: HashMap::new(),
        }
    }

    /// Lets the server tidy up at other times; the transfers must be told of
    /// anew.
    pub(super) fn set_schedule(&mut self, schedule: Schedule) {
        self.schedule = schedule;
    }

    /// The transfer with this id, unless it is forgotten.
    pub(super) fn find(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// The transfer with a recipient of this transfer id, and the recipient's
    /// place in it.
    pub(super) fn recipient(&self, id: &str) -> Option<(usize, usize)> {
        self.recipients.get(id).copied()
    }

    /// What the server lists for `sender`, oldest first.
    pub(super) fn sent(&self, sender: usize, part: Part) -> &[usize] {
        self.sent.get(&(sender, part)).map_or(&[], Vec::as_slice)
    }

    /// What has this address among its recipients, oldest first.
    pub(super) fn received(&self, address: &str) -> &[usize] {
        let received = self.received.get(&address.to_lowercase());
        received.map_or(&[], Vec::as_slice)
    }

    /// The active ones to which things happen by chance, in no meaningful order.
    pub(super) fn active(&self) -> &[usize] {
        &self.active.items
    }

    /// Takes the first transfer to which the clock brings something by `at`.
    pub(super) fn pop_due(&mut self, at: Timestamp) -> Option<usize> {
        let (due, position) = *self.due.first()?;
        if due > at {
            return None;
        }
        self.schedule(position, None);
        Some(position)
    }

    /// Takes in a new transfer.
    pub(super) fn add(&mut self, position: usize, transfer: &SimTransfer) {
        self.by_id.insert(transfer.id.clone(), position);
        for (place, recipient) in transfer.recipients.iter().enumerate() {
            let id = recipient.id.clone();
            self.recipients.insert(id, (position, place));
            let received = self.received.entry(recipient.mail.to_lowercase());
            put(received.or_default(), position, true);
        }
        self.update(position, transfer);
    }

    /// Takes in what has become of a transfer.
    pub(super) fn update(&mut self, position: usize, transfer: &SimTransfer) {
        let lives_by_chance = transfer.stage == Stage::Active && !transfer.is_of_client();
        let is_active = lives_by_chance && !transfer.forgotten;
        self.active.put(position, is_active);
        self.schedule(position, transfer.due(self.schedule));
        for part in Part::ALL {
            let is_in = part.holds(transfer.stage) && !transfer.forgotten;
            let sent = self.sent.entry((transfer.sender, part)).or_default();
            put(sent, position, is_in);
        }
        if transfer.forgotten && self.by_id.remove(&transfer.id).is_some() {
            for recipient in &transfer.recipients {
                self.recipients.remove(&recipient.id);
                if let Some(received) = self.received.get_mut(&recipient.mail.to_lowercase()) {
                    put(received, position, false);
                }
            }
        }
    }

    fn schedule(&mut self, position: usize, due: Option<Timestamp>) {
        if let Some(before) = self.due_at.remove(&position) {
            self.due.remove(&(before, position));
        }
        if let Some(due) = due {
            self.due_at.insert(position, due);
            self.due.insert((due, position));
        }
    }
}

/// Lets `position` be in a sorted list, or not.
fn put(list: &mut Vec<usize>, position: usize, is_in: bool) {
    match (list.binary_search(&position), is_in) {
        (Ok(place), false) => {
            list.remove(place);
        }
        (Err(place), true) => list.insert(place, position),
        (Ok(_), true) | (Err(_), false) => {}
    }
}

/// A set from which one can be picked by its place.
#[derive(Debug, Default)]
struct Pool {
    items: Vec<usize>,
    places: HashMap<usize, usize>,
}

impl Pool {
    /// Lets `item` be in the set, or not.
    fn put(&mut self, item: usize, is_in: bool) {
        let place = self.places.get(&item).copied();
        match (place, is_in) {
            (None, true) => {
                self.places.insert(item, self.items.len());
                self.items.push(item);
            }
            (Some(place), false) => {
                self.places.remove(&item);
                self.items.swap_remove(place);
                if let Some(moved) = self.items.get(place) {
                    self.places.insert(*moved, place);
                }
            }
            (None, false) | (Some(_), true) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_keeps_each_item_once_and_finds_it_again() {
        let mut pool = Pool::default();
        for (item, is_in) in [(4, true), (7, true), (4, true), (9, true), (4, false)] {
            pool.put(item, is_in);
        }
        pool.put(9, false);
        pool.put(4, false);
        assert_eq!(pool.items, [7]);
        assert_eq!(pool.places, HashMap::from([(7, 0)]));
    }
}
