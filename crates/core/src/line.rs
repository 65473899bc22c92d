use std::collections::BTreeMap;

use crate::SequenceId;
use crate::fair_shares::FairShares;
use crate::sequence::Sequence;

/// Where a sequence stands: by priority, then by age.
pub(crate) type Place = (i64, SequenceId);

/// Those who wait for a place to run.
///
/// A higher priority goes first. Within one, the tenant goes first that has had least, so that one who asks much does
/// not keep the others waiting; within a tenant, and between tenants that have had as much, the oldest goes first.
#[derive(Debug, Default)]
pub(crate) struct Line {
    waiting: BTreeMap<Place, Sequence>,
}

impl Line {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn insert(&mut self, sequence: Sequence) {
        self.waiting.insert(sequence.place_in_line(), sequence);
    }

    /// Who is to run next.
    pub(crate) fn first(&self, shares: &FairShares) -> Option<&Sequence> {
        let (oldest, _) = self.waiting.first_key_value()?;
        let of_priority = self.waiting.range(*oldest..=(oldest.0, SequenceId(u64::MAX)));
        let (_, first) =
            of_priority.min_by_key(|(place, sequence)| (shares.of(&sequence.request.tenant), **place))?;
        Some(first)
    }

    pub(crate) fn remove(&mut self, place: Place) -> Option<Sequence> {
        self.waiting.remove(&place)
    }

    /// Takes out all sequences of an answer.
    pub(crate) fn take_answer(&mut self, answer: u64) -> Vec<Sequence> {
        let places: Vec<Place> =
            self.waiting.values().filter(|s| s.answer == answer).map(Sequence::place_in_line).collect();
        places.into_iter().filter_map(|place| self.waiting.remove(&place)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{GenerateOptions, OptionSupport, Request};

    /// Sequences that wait: each with its tenant, its priority and the tokens of its prompt.
    struct Waiting {
        line: Line,
        shares: FairShares,
    }

    impl Waiting {
        fn new() -> Self {
            Self { line: Line::default(), shares: FairShares::default() }
        }

        fn add(&mut self, id: u64, tenant: &str, priority: i32, tokens: u32) {
            let built = GenerateOptions::default().build(&OptionSupport::default(), 1000, 0).unwrap();
            let prompt = (0..tokens).collect();
            let request = Request { prompt, tenant: Some(tenant.to_owned()), priority, ..built };
            let present: Vec<_> = self.line.waiting.values().map(|s| s.request.tenant.clone()).collect();
            self.shares.enter(Some(tenant), present.iter().map(Option::as_deref));
            self.line.insert(Sequence::new(SequenceId(id), id, 0, Arc::new(request)));
        }

        fn next(&mut self) -> Option<u64> {
            let place = self.line.first(&self.shares)?.place_in_line();
            let sequence = self.line.remove(place)?;
            self.shares.charge(&sequence.request.tenant, sequence.pending());
            Some(sequence.id.0)
        }

        fn order(mut self) -> Vec<u64> {
            std::iter::from_fn(|| self.next()).collect()
        }
    }

    #[test]
    fn tenants_take_turns_however_much_one_of_them_asks() {
        let mut waiting = Waiting::new();
        (1..5).for_each(|id| waiting.add(id, "a", 0, 10));
        (5..7).for_each(|id| waiting.add(id, "b", 0, 10));
        assert_eq!(waiting.order(), [1, 5, 2, 6, 3, 4]);
    }

    #[test]
    fn who_asks_for_more_goes_less_often() {
        let mut waiting = Waiting::new();
        (1..4).for_each(|id| waiting.add(id, "long", 0, 30));
        (4..9).for_each(|id| waiting.add(id, "short", 0, 10));
        assert_eq!(waiting.order(), [1, 4, 5, 6, 2, 7, 8, 3]);
    }

    #[test]
    fn who_comes_late_begins_with_what_the_least_served_has_had() {
        let mut waiting = Waiting::new();
        (1..6).for_each(|id| waiting.add(id, "a", 0, 10));
        assert_eq!((waiting.next(), waiting.next()), (Some(1), Some(2)));
        (6..9).for_each(|id| waiting.add(id, "b", 0, 10));
        assert_eq!(waiting.order(), [3, 6, 4, 7, 5, 8]);
    }

    #[test]
    fn a_priority_goes_before_every_turn() {
        let mut waiting = Waiting::new();
        for (id, tenant, priority) in [(1, "a", 0), (2, "a", 0), (3, "b", 0), (4, "a", 5), (5, "a", 5)] {
            waiting.add(id, tenant, priority, 10);
        }
        assert_eq!(waiting.order(), [4, 5, 3, 1, 2]);
    }

    #[test]
    fn tenants_that_have_gone_leave_nothing_behind() {
        let mut waiting = Waiting::new();
        for id in 0..100 {
            waiting.add(id, &format!("tenant {id}"), 0, 10);
            assert_eq!(waiting.next(), Some(id));
        }
        waiting.add(100, "b", 0, 10);
        assert_eq!(waiting.shares.of(&Some("tenant 7".to_owned())), 0);
        assert_eq!(waiting.shares.of(&Some("b".to_owned())), 0);
    }
}
