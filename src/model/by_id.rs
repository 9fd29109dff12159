//! Few values, each under the id of a recipient or of a file.
//!
//! A transfer has a handful of either, and there are many transfers: a sorted
//! list takes a fraction of a tree's memory and is searched as quickly.
//!
//! **Invariants.** Sorted by id, each id once. What a whole answer adds is
//! sorted in once, so that no answer costs more than its length in all but a
//! logarithm. Never more than [`MOST`] ids.

/// So many recipients, or files, of one transfer are remembered: far beyond any
/// that people send, and a bound where a server tells of others at each read.
pub const MOST: usize = 10_000;

/// A value for each id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ById<T>(Box<[(Box<str>, T)]>);

impl<T> ById<T> {
    /// The value of `id`.
    pub fn get(&self, id: &str) -> Option<&T> {
        let place = self.place(id)?;
        self.0.get(place).map(|(_, value)| value)
    }

    /// How many there are.
    pub const fn count(&self) -> usize {
        self.0.len()
    }

    /// Every id and its value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(id, value)| (&**id, value))
    }

    /// Every value, in the order of the ids.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, value)| value)
    }

    fn place(&self, id: &str) -> Option<usize> {
        self.0.binary_search_by(|(known, _)| (**known).cmp(id)).ok()
    }
}

impl<T: Default> ById<T> {
    /// Folds each reading into the value of its id, which begins as the
    /// default. Ids beyond [`MOST`] are left out.
    pub fn fold<'a, R: 'a>(
        &mut self,
        readings: impl Iterator<Item = &'a R> + Clone,
        id: impl Fn(&'a R) -> &'a str,
        mut fold: impl FnMut(&mut T, &'a R),
    ) {
        self.admit(readings.clone().map(&id));
        for reading in readings {
            let place = self.place(id(reading));
            if let Some((_, value)) = place.and_then(|place| self.0.get_mut(place)) {
                fold(value, reading);
            }
        }
    }

    /// Lets every id have a value for which there is room.
    fn admit<'a>(&mut self, ids: impl Iterator<Item = &'a str>) {
        let room = MOST.saturating_sub(self.count());
        let unknown = ids.filter(|id| self.place(id).is_none()).take(room);
        let unknown: Vec<_> = unknown.map(|id| (id.into(), T::default())).collect();
        if !unknown.is_empty() {
            let known = std::mem::take(&mut self.0);
            *self = known.into_iter().chain(unknown).collect();
        }
    }
}

impl<T> Default for ById<T> {
    fn default() -> Self {
        Self(Box::default())
    }
}

/// Of an id that comes twice the first value stays.
impl<T> FromIterator<(Box<str>, T)> for ById<T> {
    fn from_iter<I: IntoIterator<Item = (Box<str>, T)>>(values: I) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(|(a, _), (b, _)| a.cmp(b));
        values.dedup_by(|(later, _), (first, _)| later == first);
        Self(values.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_are_folded_in_whatever_their_order() {
        let mut sums = ById::<u32>::default();
        for readings in [[("b", 1), ("a", 2)], [("a", 3), ("c", 4)]] {
            sums.fold(readings.iter(), |(id, _)| id, |sum, (_, more)| *sum += more);
        }
        let all: Vec<_> = sums.iter().collect();
        assert_eq!(all, [("a", &5), ("b", &1), ("c", &4)]);
        assert_eq!(
            (sums.get("b"), sums.get("d"), sums.count()),
            (Some(&1), None, 3)
        );
    }

    #[test]
    fn a_server_that_always_tells_of_others_fills_no_memory() {
        let mut sums = ById::<usize>::default();
        for round in 0..30 {
            let readings: Vec<_> = (0..1_000).map(|n| format!("{round}-{n}")).collect();
            sums.fold(readings.iter(), |id| id, |sum, _| *sum += 1);
        }
        assert_eq!(sums.count(), MOST);
        let again = ["0-7".to_owned(), "29-7".to_owned()];
        sums.fold(again.iter(), |id| id, |sum, _| *sum += 1);
        assert_eq!((sums.get("0-7"), sums.get("29-7")), (Some(&2), None));
    }

    #[test]
    fn an_id_that_comes_twice_is_one() {
        let mut sums = ById::<u32>::default();
        let readings = [("a", 1), ("a", 2)];
        sums.fold(readings.iter(), |(id, _)| id, |sum, (_, more)| *sum += more);
        assert_eq!(sums.iter().collect::<Vec<_>>(), [("a", &3)]);
        let first: ById<u32> = [("a".into(), 1), ("a".into(), 2)].into_iter().collect();
        assert_eq!(first.get("a"), Some(&1));
    }
}
