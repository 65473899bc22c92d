use crate::{Adapters, Request, SequenceId, Token};

/// Among whom cells are shared: requests of one tenant under the same adapters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scope {
    pub(crate) tenant: Option<String>,
    pub(crate) adapters: Adapters,
}

impl Scope {
    /// That of a request, unless it keeps to itself.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        let takes_part = request.cache_prompt && request.native.is_none();
        takes_part.then(|| Self { tenant: request.tenant.clone(), adapters: request.adapters.clone() })
    }
}

/// How many tokens two sequences begin with alike.
pub(crate) fn common_length(a: &[Token], b: &[Token]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// The beginning of an ended sequence whose cells are still there.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) id: SequenceId,
    pub(crate) scope: Scope,
    pub(crate) tokens: Vec<Token>,
    last_use: u64,
    /// When the last sequence ended that left it.
    ended_at: u64,
}

/// Prefixes that outlive their sequences, to be shared with those to come. Few enough to look at each one:
/// see `docs/decisions/0006`.
#[derive(Debug)]
pub(crate) struct KeptPrefixes {
    entries: Vec<Kept>,
    entries_max: usize,
    tokens_max: usize,
    /// Tokens of all entries, what several begin with counted once.
    tokens: usize,
    uses: u64,
}

impl KeptPrefixes {
    /// At most `entries_max`, of which only one may go beyond `tokens_max`.
    pub(crate) fn new(entries_max: usize, tokens_max: usize) -> Self {
        Self { entries: Vec::new(), entries_max, tokens_max, tokens: 0, uses: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    /// The entry that begins most like `tokens`, and how far.
    pub(crate) fn longest(&self, scope: &Scope, tokens: &[Token]) -> Option<(SequenceId, usize)> {
        let same_scope = self.entries.iter().filter(|kept| kept.scope == *scope);
        let common = same_scope.map(|kept| (common_length(&kept.tokens, tokens), kept.last_use, kept.id));
        common.max().map(|(length, _, id)| (id, length))
    }

    pub(crate) fn touch(&mut self, id: SequenceId) {
        self.uses += 1;
        if let Some(kept) = self.entries.iter_mut().find(|kept| kept.id == id) {
            kept.last_use = self.uses;
        }
    }

    /// Whether an entry begins with all of `tokens`. It counts as used, and as what ended last.
    pub(crate) fn covers(&mut self, scope: &Scope, tokens: &[Token]) -> bool {
        let Some((id, length)) = self.longest(scope, tokens) else { return false };
        if length < tokens.len() {
            return false;
        }
        self.touch(id);
        if let Some(kept) = self.entries.iter_mut().find(|kept| kept.id == id) {
            kept.ended_at = self.uses;
        }
        true
    }

    /// The entry of a tenant that begins most like `tokens`, or without them the one that ended last.
    pub(crate) fn of_tenant(&self, tenant: Option<&str>, tokens: Option<&[Token]>) -> Option<(&Kept, usize)> {
        let own = self.entries.iter().filter(|kept| kept.scope.tenant.as_deref() == tenant);
        match tokens {
            None => own.max_by_key(|kept| kept.ended_at).map(|kept| (kept, kept.tokens.len())),
            Some(tokens) => own
                .map(|kept| (kept, common_length(&kept.tokens, tokens)))
                .max_by_key(|(kept, length)| (*length, kept.last_use)),
        }
    }

    /// Takes out the entries that `tokens` begin with, which hold nothing that `tokens` do not.
    pub(crate) fn remove_beginnings(&mut self, scope: &Scope, tokens: &[Token]) -> Vec<Kept> {
        let is_beginning = |kept: &&Kept| kept.scope == *scope && tokens.starts_with(&kept.tokens);
        let ids: Vec<SequenceId> = self.entries.iter().filter(is_beginning).map(|kept| kept.id).collect();
        ids.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    /// Takes out the entry that was used least recently, if there is no place for another.
    pub(crate) fn make_place(&mut self) -> Option<Kept> {
        if self.entries.len() < self.entries_max.max(1) { None } else { self.remove_oldest() }
    }

    /// Adds an entry, after [`make_place`](Self::make_place).
    pub(crate) fn insert(&mut self, id: SequenceId, scope: Scope, tokens: Vec<Token>) {
        self.uses += 1;
        self.tokens += self.own_tokens(&scope, &tokens);
        self.entries.push(Kept { id, scope, tokens, last_use: self.uses, ended_at: self.uses });
    }

    /// Takes out the entry that was used least recently, if there are more than the most tokens and it is not
    /// the only one.
    pub(crate) fn trim(&mut self) -> Option<Kept> {
        if self.tokens > self.tokens_max && self.entries.len() > 1 { self.remove_oldest() } else { None }
    }

    /// Takes out the entry that was used least recently.
    pub(crate) fn remove_oldest(&mut self) -> Option<Kept> {
        let oldest = self.entries.iter().min_by_key(|kept| kept.last_use)?.id;
        self.remove(oldest)
    }

    /// Takes out the entries that were computed under an adapter.
    pub(crate) fn remove_adapter(&mut self, name: &str) -> Vec<Kept> {
        let is_under = |kept: &&Kept| kept.scope.adapters.iter().any(|(own, _)| own == name);
        let ids: Vec<SequenceId> = self.entries.iter().filter(is_under).map(|kept| kept.id).collect();
        ids.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    pub(crate) fn remove(&mut self, id: SequenceId) -> Option<Kept> {
        let place = self.entries.iter().position(|kept| kept.id == id)?;
        let kept = self.entries.swap_remove(place);
        self.tokens -= self.own_tokens(&kept.scope, &kept.tokens);
        Some(kept)
    }

    /// How many of `tokens` no entry begins with.
    fn own_tokens(&self, scope: &Scope, tokens: &[Token]) -> usize {
        tokens.len() - self.longest(scope, tokens).map_or(0, |(_, length)| length)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{KeptPrefixes, Scope};
    use crate::SequenceId;

    fn scope(tenant: &str) -> Scope {
        Scope { tenant: Some(tenant.to_owned()), adapters: Vec::new() }
    }

    fn insert(kept: &mut KeptPrefixes, id: u64, tokens: &[u32]) -> Vec<u64> {
        let mut gone = kept.remove_beginnings(&scope("a"), tokens);
        gone.extend(kept.make_place());
        kept.insert(SequenceId(id), scope("a"), tokens.to_vec());
        gone.extend(std::iter::from_fn(|| kept.trim()));
        gone.into_iter().map(|kept| kept.id.0).collect()
    }

    #[test]
    fn the_longest_common_beginning_is_found_within_its_scope() {
        let mut kept = KeptPrefixes::new(4, 100);
        insert(&mut kept, 1, &[1, 2, 3, 4]);
        insert(&mut kept, 2, &[1, 2, 9]);
        assert_eq!(kept.longest(&scope("a"), &[1, 2, 3, 7]), Some((SequenceId(1), 3)));
        assert_eq!(kept.longest(&scope("a"), &[1, 2, 9, 9]), Some((SequenceId(2), 3)));
        assert_eq!(kept.longest(&scope("b"), &[1, 2, 3, 7]), None);
    }

    #[test]
    fn what_several_begin_with_counts_once() {
        let mut kept = KeptPrefixes::new(4, 100);
        for (id, tokens, total) in [(1, vec![1, 2, 3, 4], 4), (2, vec![1, 2, 9], 5), (3, vec![7, 7], 7)] {
            insert(&mut kept, id, &tokens);
            assert_eq!(kept.tokens(), total);
        }
        kept.remove(SequenceId(1));
        assert_eq!(kept.tokens(), 5);
        kept.remove(SequenceId(2));
        kept.remove(SequenceId(3));
        assert_eq!((kept.tokens(), kept.len()), (0, 0));
    }

    #[test]
    fn an_entry_replaces_its_beginnings_and_is_covered_by_what_is_longer() {
        let mut kept = KeptPrefixes::new(4, 100);
        insert(&mut kept, 1, &[1, 2]);
        assert_eq!(insert(&mut kept, 2, &[1, 2, 3]), [1]);
        assert!(kept.covers(&scope("a"), &[1, 2, 3]) && kept.covers(&scope("a"), &[1]));
        assert!(!kept.covers(&scope("a"), &[1, 2, 3, 4]) && !kept.covers(&scope("b"), &[1]));
    }

    #[test]
    fn the_least_recently_used_leaves_first_and_the_last_one_stays() {
        let mut kept = KeptPrefixes::new(3, 10);
        (1..=3).for_each(|id| drop(insert(&mut kept, id.into(), &[id, 0, 0])));
        kept.touch(SequenceId(1));
        assert_eq!(insert(&mut kept, 4, &[4, 0, 0]), [2], "there are three places");
        assert_eq!(insert(&mut kept, 5, &[5; 20]), [3, 1, 4], "it alone is more than ten tokens");
        assert_eq!(kept.tokens(), 20);
        assert_eq!(insert(&mut kept, 6, &[6]), [5]);
    }

    #[test]
    fn a_look_through_two_hundred_long_entries_takes_no_time_that_anybody_notices() {
        let mut kept = KeptPrefixes::new(256, 1_000_000);
        let prompt: Vec<u32> = (0..4000).collect();
        for id in 0..200 {
            let tokens = prompt.iter().copied().chain([10_000 + id]).collect();
            kept.insert(SequenceId(id.into()), scope("a"), tokens);
        }
        let began = Instant::now();
        assert_eq!(kept.longest(&scope("a"), &prompt).map(|(_, length)| length), Some(4000));
        let took = began.elapsed();
        assert!(took < Duration::from_millis(50), "{took:?}");
    }
}
