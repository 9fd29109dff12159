//! Who gets one of a bounded number of places.
//!
//! Places go class by class. Within a class those already shown stay; the rest
//! shares what is left fairly: the sender with the fewest places so far is
//! next, its best-ranked candidate first. Where even the shown ones of a class
//! do not fit, because a higher class needs places, they share in the same way.
//!
//! **Invariants.** Pure. Never more places than the cap. Nobody is left out
//! while a lower class has a place, and nobody who is shown makes way for a
//! candidate of its own class or a lower one.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet},
    hash::{BuildHasher, Hash},
};

use foldhash::quality::FixedState;

/// How important a candidate is, the most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// The configuration names it.
    Named,
    /// It has a failure or a warning.
    Troubled,
    /// It can still change.
    Active,
    /// It is over.
    Ended,
}

/// A candidate for a place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) class: Class,
    /// Within the class and the sender, the lowest first.
    pub(super) rank: i128,
    /// The sender's position.
    pub(super) sender: usize,
    /// It had a place before.
    pub(super) is_shown: bool,
}

/// Who has a place, so that it is kept: a digest of each. If two had one digest,
/// either would keep the place of the other, and nothing else would be wrong.
#[derive(Debug, Default)]
pub(super) struct Holders(HashSet<u64, FixedState>);

impl Holders {
    pub(super) fn has(&self, who: impl Hash) -> bool {
        !self.0.is_empty() && self.0.contains(&FixedState::default().hash_one(who))
    }

    pub(super) fn add(&mut self, who: impl Hash) {
        self.0.insert(FixedState::default().hash_one(who));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Which of the candidates get one of `most` places, by position; all do if
/// `most` is 0. Candidates of one rank are taken in the order given.
pub(super) fn choose(candidates: &[Candidate], most: usize) -> Vec<bool> {
    if most == 0 || candidates.len() <= most {
        return vec![true; candidates.len()];
    }
    let mut queue: Vec<_> = candidates.iter().enumerate().collect();
    queue.sort_by_key(|(at, c)| (c.class, !c.is_shown, c.sender, c.rank, *at));
    let mut places = Places::new(candidates, most);
    for class in queue.chunk_by(|(_, a), (_, b)| a.class == b.class) {
        let (shown, rest) = class.split_at(class.partition_point(|(_, c)| c.is_shown));
        places.share(shown);
        places.share(rest);
    }
    places.taken
}

/// The places given so far.
struct Places {
    taken: Vec<bool>,
    left: usize,
    by_sender: Vec<usize>,
}

/// Whose turn it is: the fewest places first, then the best rank.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    places: usize,
    rank: i128,
    at: usize,
    sender: usize,
    queue: usize,
}

impl Places {
    fn new(candidates: &[Candidate], most: usize) -> Self {
        let senders = candidates.iter().map(|c| c.sender).max();
        Self {
            taken: vec![false; candidates.len()],
            left: most,
            by_sender: vec![0; senders.map_or(0, |last| last + 1)],
        }
    }

    /// Shares what is left among a group, which is sorted by sender and rank.
    fn share(&mut self, group: &[(usize, &Candidate)]) {
        let by_sender = group.chunk_by(|(_, a), (_, b)| a.sender == b.sender);
        let mut queues: Vec<_> = by_sender.map(|own| own.iter()).collect();
        let mut turns = BinaryHeap::new();
        for (queue, waiting) in queues.iter_mut().enumerate() {
            let first = waiting.next();
            turns.extend(first.map(|(at, c)| Reverse(self.turn(*at, c, queue))));
        }
        while self.left > 0
            && let Some(Reverse(turn)) = turns.pop()
        {
            self.give(&turn);
            let next = queues.get_mut(turn.queue).and_then(Iterator::next);
            turns.extend(next.map(|(at, c)| Reverse(self.turn(*at, c, turn.queue))));
        }
    }

    fn turn(&self, at: usize, candidate: &Candidate, queue: usize) -> Turn {
        let places = self.by_sender.get(candidate.sender);
        Turn {
            places: places.copied().unwrap_or_default(),
            rank: candidate.rank,
            at,
            sender: candidate.sender,
            queue,
        }
    }

    fn give(&mut self, turn: &Turn) {
        if let Some(taken) = self.taken.get_mut(turn.at) {
            *taken = true;
        }
        if let Some(places) = self.by_sender.get_mut(turn.sender) {
            *places += 1;
        }
        self.left -= 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate() -> impl Strategy<Value = Candidate> {
        let class = prop_oneof![
            Just(Class::Named),
            Just(Class::Troubled),
            Just(Class::Active),
            Just(Class::Ended),
        ];
        (class, 0_i128..6, 0_usize..4, any::<bool>()).prop_map(|(class, rank, sender, is_shown)| {
            Candidate {
                class,
                rank,
                sender,
                is_shown,
            }
        })
    }

    fn candidates() -> impl Strategy<Value = (Vec<Candidate>, usize)> {
        let all = prop::collection::vec(candidate(), 0..40);
        (all, 1_usize..30)
    }

    fn with_memory(candidates: &[Candidate], shown: &[bool]) -> Vec<Candidate> {
        let remember = |(c, is_shown): (&Candidate, &bool)| Candidate {
            is_shown: *is_shown,
            ..*c
        };
        candidates.iter().zip(shown).map(remember).collect()
    }

    /// Those with a place, then those without.
    fn split(candidates: &[Candidate], most: usize) -> (Vec<Candidate>, Vec<Candidate>) {
        let taken = choose(candidates, most);
        let mut taken = taken.into_iter();
        candidates
            .iter()
            .partition(|_| taken.next().unwrap_or_default())
    }

    fn count(candidates: &[Candidate], sender: usize) -> usize {
        candidates.iter().filter(|c| c.sender == sender).count()
    }

    proptest! {
        #[test]
        fn every_place_is_given_and_none_above_the_cap((candidates, most) in candidates()) {
            let (inside, _) = split(&candidates, most);
            prop_assert_eq!(inside.len(), most.min(candidates.len()));
        }

        #[test]
        fn nobody_is_left_out_for_a_lower_class((candidates, most) in candidates()) {
            let (inside, outside) = split(&candidates, most);
            let lowest = inside.iter().map(|c| c.class).max();
            let highest = outside.iter().map(|c| c.class).min();
            prop_assert!(highest.is_none() || highest >= lowest);
        }

        #[test]
        fn a_shown_one_makes_way_for_a_higher_class_alone((candidates, most) in candidates()) {
            let (inside, outside) = split(&candidates, most);
            for displaced in outside.iter().filter(|c| c.is_shown) {
                for taken in &inside {
                    let is_higher = taken.class < displaced.class;
                    let has_stayed = taken.class == displaced.class && taken.is_shown;
                    prop_assert!(is_higher || has_stayed, "{:?} for {:?}", taken, displaced);
                }
            }
        }

        #[test]
        fn the_same_again_is_the_same((candidates, most) in candidates()) {
            let first = choose(&candidates, most);
            let again = choose(&with_memory(&candidates, &first), most);
            prop_assert_eq!(first, again);
        }

        #[test]
        fn a_newcomer_of_no_higher_class_changes_nothing(
            (candidates, most) in candidates(),
            mut newcomer in candidate(),
        ) {
            let first = choose(&candidates, most);
            prop_assume!(candidates.len() >= most);
            let mut later = with_memory(&candidates, &first);
            let shown = later.iter().filter(|c| c.is_shown);
            newcomer.is_shown = false;
            newcomer.class = newcomer.class.max(shown.map(|c| c.class).max().unwrap());
            later.push(newcomer);
            let mut expect = first;
            expect.push(false);
            prop_assert_eq!(choose(&later, most), expect);
        }

        /// Who got its last place in the class of the cut had no more places
        /// then than any sender that still waits.
        #[test]
        fn places_are_shared_fairly((mut candidates, most) in candidates()) {
            for candidate in &mut candidates {
                candidate.is_shown = false;
            }
            let (inside, outside) = split(&candidates, most);
            let cut = outside.iter().map(|c| c.class).min();
            for waiting in outside.iter().filter(|c| Some(c.class) == cut) {
                for taken in inside.iter().filter(|c| Some(c.class) == cut) {
                    let (has, waits) = (count(&inside, taken.sender), count(&inside, waiting.sender));
                    prop_assert!(has <= waits + 1, "{} against {}", has, waits);
                    let is_better = taken.sender != waiting.sender || taken.rank <= waiting.rank;
                    prop_assert!(is_better);
                }
            }
        }

        #[test]
        fn two_senders_of_one_class_differ_by_one_place(
            ranks in prop::collection::vec(0_i128..100, 40..80),
            most in 1_usize..20,
        ) {
            let of = |(at, rank): (usize, &i128)| Candidate {
                class: Class::Active,
                rank: *rank,
                sender: usize::from(at >= 20),
                is_shown: false,
            };
            let candidates: Vec<_> = ranks.iter().enumerate().map(of).collect();
            let (inside, _) = split(&candidates, most);
            prop_assert!(count(&inside, 0).abs_diff(count(&inside, 1)) <= 1);
        }
    }

    #[test]
    fn shown_ones_that_do_not_all_fit_share_fairly() {
        let shown = |class, rank, sender| Candidate {
            class,
            rank,
            sender,
            is_shown: true,
        };
        let mut candidates = vec![shown(Class::Named, 0, 1)];
        candidates.extend((0..4).map(|rank| shown(Class::Active, rank, 0)));
        candidates.extend((0..4).map(|rank| shown(Class::Active, rank, 1)));
        let taken = choose(&candidates, 5);
        let expect = [true, true, true, false, false, true, true, false, false];
        assert_eq!(taken, expect);
    }

    #[test]
    fn no_cap_leaves_nobody_out() {
        let one = Candidate {
            class: Class::Ended,
            rank: 0,
            sender: 0,
            is_shown: false,
        };
        assert_eq!(choose(&[one; 3], 0), [true; 3]);
    }
}
