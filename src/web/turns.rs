//! Whose password is verified next.
//!
//! Verifying is slow by design, so many who want it must wait. Each address has
//! a line of its own, and the lines take turns: however many come from one
//! address, another one waits for one of them only.
//!
//! **Invariants.** One turn at a time. Lines are short and few, so nobody waits
//! long in vain; who does not get in is told at once. Who left is passed over.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// So many of one line wait: a pair of scrapers, a browser and a probe may come
/// at once.
const MOST_OF_ONE: usize = 4;

/// So many wait in all. At 50 ms for each the last of them is let in after 3 s,
/// well within the time that a scrape may take.
const MOST: usize = 64;

/// Who shares a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// Those who were turned away and came again with the same password.
    Again,
    /// Those who come by a socket in the file system.
    Local,
    /// An address of IPv4.
    V4(Ipv4Addr),
    /// A network of IPv6: who has one of its addresses has all.
    V6([u16; 4]),
}

impl Line {
    /// The line of `address`.
    pub(super) fn of(address: Option<IpAddr>) -> Self {
        match address {
            None => Self::Local,
            Some(IpAddr::V4(address)) => Self::V4(address),
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

/// Why there is no turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Busy {
    /// Enough of the same line wait.
    Line,
    /// Too many wait.
    All,
}

/// The right to verify; the next one has it when it is dropped.
#[derive(Debug)]
pub(super) struct Turn(Option<Turns>);

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(turns) = self.0.take() else {
            return;
        };
        loop {
            let next = turns.queue().next();
            let Some(next) = next else {
                return;
            };
            match next.send(Self(Some(turns.clone()))) {
                Ok(()) => return,
                // Nobody waits there any more.
                Err(mut unused) => unused.0 = None,
            }
        }
    }
}

/// Everybody who waits.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns(Arc<Mutex<Queue>>);

impl Turns {
    /// Waits for a turn in `line`.
    pub(super) async fn take(&self, line: Line) -> Result<Turn, Busy> {
        let place = self.queue().enter(line)?;
        match place {
            None => Ok(Turn(Some(self.clone()))),
            Some(place) => place.await.map_err(|_| Busy::All),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Waiting = VecDeque<oneshot::Sender<Turn>>;

#[derive(Debug, Default)]
struct Queue {
    is_taken: bool,
    /// The line that has its turn next comes first; none is empty.
    lines: VecDeque<(Line, Waiting)>,
}

impl Queue {
    /// A place in `line`, or none where it is its turn.
    fn enter(&mut self, line: Line) -> Result<Option<oneshot::Receiver<Turn>>, Busy> {
        if !self.is_taken {
            self.is_taken = true;
            return Ok(None);
        }
        self.forget_those_who_left();
        let own = self.waiting_in(line);
        if own >= MOST_OF_ONE {
            return Err(Busy::Line);
        }
        let all: usize = self.lines.iter().map(|(_, waiting)| waiting.len()).sum();
        if all >= MOST {
            self.make_place(own)?;
        }
        let (place, turn) = oneshot::channel();
        match self.lines.iter_mut().find(|(known, _)| *known == line) {
            Some((_, waiting)) => waiting.push_back(place),
            None => self.lines.push_back((line, VecDeque::from([place]))),
        }
        Ok(Some(turn))
    }

    fn waiting_in(&self, line: Line) -> usize {
        let own = self.lines.iter().find(|(known, _)| *known == line);
        own.map_or(0, |(_, waiting)| waiting.len())
    }

    fn forget_those_who_left(&mut self) {
        for (_, waiting) in &mut self.lines {
            waiting.retain(|place| !place.is_closed());
        }
        self.lines.retain(|(_, waiting)| !waiting.is_empty());
    }

    /// The last of the longest line makes place for somebody in whose line fewer
    /// wait.
    fn make_place(&mut self, own: usize) -> Result<(), Busy> {
        let lines = self.lines.iter_mut();
        let longest = lines.max_by_key(|(_, waiting)| waiting.len());
        match longest {
            Some((_, waiting)) if waiting.len() > own + 1 => {
                waiting.pop_back();
                Ok(())
            }
            Some(_) | None => Err(Busy::All),
        }
    }

    /// Who has the next turn.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let Some((line, mut waiting)) = self.lines.pop_front() else {
            self.is_taken = false;
            return None;
        };
        let next = waiting.pop_front();
        if !waiting.is_empty() {
            self.lines.push_back((line, waiting));
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::{Pin, pin},
        task::{Context, Poll, Waker},
    };

    use super::*;

    fn line(n: u8) -> Line {
        Line::of(Some(IpAddr::from([192, 0, 2, n])))
    }

    type Wait = Pin<Box<dyn Future<Output = Result<Turn, Busy>>>>;

    /// Waits in the line of `n`, as far as that goes at once.
    fn wait(turns: &Turns, n: u8) -> (Wait, Option<Result<Turn, Busy>>) {
        let turns = turns.clone();
        let mut wait: Wait = Box::pin(async move { turns.take(line(n)).await });
        let told = look(&mut wait);
        (wait, told)
    }

    fn look(wait: &mut Wait) -> Option<Result<Turn, Busy>> {
        match wait.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(told) => Some(told),
            Poll::Pending => None,
        }
    }

    #[test]
    fn lines_take_turns_and_are_short() {
        let turns = Turns::default();
        let first = wait(&turns, 1).1.unwrap().unwrap();
        let mut crowd: Vec<_> = (0..MOST_OF_ONE).map(|_| wait(&turns, 1).0).collect();
        assert_eq!(wait(&turns, 1).1.unwrap().unwrap_err(), Busy::Line);
        let (mut other, told) = wait(&turns, 2);
        assert!(told.is_none());
        drop(first);
        let second = look(&mut crowd[0]).unwrap().unwrap();
        assert!(look(&mut other).is_none());
        drop(second);
        assert!(look(&mut other).unwrap().is_ok());
        assert!(look(&mut crowd[1]).unwrap().is_ok());
    }

    #[test]
    fn who_left_is_passed_over_and_leaves_a_place() {
        let turns = Turns::default();
        let first = wait(&turns, 1).1.unwrap().unwrap();
        let crowd: Vec<_> = (0..MOST_OF_ONE).map(|_| wait(&turns, 1).0).collect();
        drop(crowd);
        let (mut last, told) = wait(&turns, 1);
        assert!(told.is_none());
        let (gone, _) = wait(&turns, 2);
        drop(gone);
        drop(first);
        drop(look(&mut last).unwrap());
        assert!(wait(&turns, 3).1.unwrap().is_ok());
    }

    #[test]
    fn the_last_of_a_long_line_makes_place() {
        let turns = Turns::default();
        let _first = wait(&turns, 0).1.unwrap().unwrap();
        let mut crowd: Vec<_> = (0..MOST)
            .map(|n| wait(&turns, u8::try_from(n / 4).unwrap()).0)
            .collect();
        let (_newcomer, told) = wait(&turns, 200);
        assert!(told.is_none());
        let out: Vec<_> = crowd.iter_mut().filter_map(look).collect();
        assert!(matches!(out[..], [Err(Busy::All)]));
        let mut alone: Vec<_> = (0..200).map(|n| wait(&turns, n)).collect();
        assert!(
            alone
                .iter_mut()
                .any(|(_, told)| matches!(told, Some(Err(Busy::All))))
        );
    }

    #[tokio::test]
    async fn a_turn_that_nobody_takes_up_goes_on() {
        let turns = Turns::default();
        let first = turns.take(line(1)).await.unwrap();
        {
            let mut leaves = pin!(turns.take(line(2)));
            let waker = Waker::noop();
            assert!(
                leaves
                    .as_mut()
                    .poll(&mut Context::from_waker(waker))
                    .is_pending()
            );
            drop(first);
            // It has the turn now, and goes without having looked.
        }
        assert!(turns.take(line(3)).await.is_ok());
    }

    #[test]
    fn an_address_of_either_family_has_its_line() {
        let of = |text: &str| Line::of(Some(text.parse().unwrap()));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }
}
