use crate::Token;
use crate::kept_prefixes::{Scope, common_length};

/// The beginning of an ended sequence, with its cells as bytes.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) scope: Scope,
    pub(crate) tokens: Vec<Token>,
    pub(crate) cells: Vec<u8>,
}

impl Stored {
    fn bytes(&self) -> u64 {
        (self.cells.len() + size_of_val(self.tokens.as_slice())) as u64
    }

    fn begins_with(&self, scope: &Scope, tokens: &[Token]) -> bool {
        self.scope == *scope && self.tokens.starts_with(tokens)
    }
}

/// Prefixes that had to leave the cache, in this process's memory: the tier behind it. The one that was put
/// there or asked for least recently leaves first.
#[derive(Debug, Default)]
pub(crate) struct HostPrefixes {
    /// In the order of their use.
    entries: Vec<Stored>,
    bytes_max: u64,
    bytes: u64,
}

impl HostPrefixes {
    /// At most `bytes_max`; nothing is stored where that is 0.
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Tokens of all entries.
    pub(crate) fn tokens(&self) -> usize {
        self.entries.iter().map(|stored| stored.tokens.len()).sum()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether these tokens are worth their bytes: they are not there yet. If they are, they count as used.
    pub(crate) fn wants(&mut self, scope: &Scope, tokens: &[Token]) -> bool {
        let place = self.entries.iter().position(|stored| stored.begins_with(scope, tokens));
        if let Some(place) = place {
            let used = self.entries.remove(place);
            self.entries.push(used);
        }
        place.is_none() && self.bytes_max > 0
    }

    /// Adds an entry; what it begins with, and what was used least recently, makes room for it.
    pub(crate) fn insert(&mut self, stored: Stored) {
        self.remove_where(|other| stored.begins_with(&other.scope, &other.tokens));
        let most = self.bytes_max.checked_sub(stored.bytes());
        let Some(most) = most else { return };
        while self.bytes > most && !self.entries.is_empty() {
            let oldest = self.entries.remove(0);
            self.bytes -= oldest.bytes();
        }
        self.bytes += stored.bytes();
        self.entries.push(stored);
    }

    /// Takes out the entry that begins most like `tokens`, and how far, if that is at least `least`.
    pub(crate) fn take_longest(
        &mut self,
        scope: &Scope,
        tokens: &[Token],
        least: usize,
    ) -> Option<(Stored, usize)> {
        let own = self.entries.iter().enumerate().filter(|(_, stored)| stored.scope == *scope);
        let common = own.map(|(place, stored)| (common_length(&stored.tokens, tokens), place));
        let (length, place) = common.max().filter(|(length, _)| *length >= least)?;
        let stored = self.entries.remove(place);
        self.bytes -= stored.bytes();
        Some((stored, length))
    }

    /// The entry of a tenant that begins most like `tokens`, or without them the one used last.
    pub(crate) fn of_tenant(
        &self,
        tenant: Option<&str>,
        tokens: Option<&[Token]>,
    ) -> Option<(&Stored, usize)> {
        let own = self.entries.iter().filter(|stored| stored.scope.tenant.as_deref() == tenant);
        let mut lengths = own.map(|stored| {
            let length = tokens.map_or(stored.tokens.len(), |tokens| common_length(&stored.tokens, tokens));
            (stored, length)
        });
        if tokens.is_none() { lengths.next_back() } else { lengths.max_by_key(|(_, length)| *length) }
    }

    /// Removes the entries that were computed under an adapter.
    pub(crate) fn remove_adapter(&mut self, name: &str) {
        self.remove_where(|stored| stored.scope.adapters.iter().any(|(own, _)| own == name));
    }

    fn remove_where(&mut self, is_meant: impl Fn(&Stored) -> bool) {
        self.entries.retain(|stored| !is_meant(stored));
        self.bytes = self.entries.iter().map(Stored::bytes).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::{HostPrefixes, Stored};
    use crate::Token;
    use crate::kept_prefixes::Scope;

    fn scope(tenant: &str) -> Scope {
        Scope { tenant: Some(tenant.to_owned()), adapters: vec![(format!("of {tenant}"), 1.0)] }
    }

    fn stored(tenant: &str, tokens: &[Token], cells: usize) -> Stored {
        Stored { scope: scope(tenant), tokens: tokens.to_vec(), cells: vec![0; cells] }
    }

    #[test]
    fn the_least_recently_used_leave_for_what_comes_and_what_is_too_large_stays_out() {
        let mut host = HostPrefixes::new(1000);
        for token in 1..=3 {
            host.insert(stored("a", &[token], 296));
        }
        assert_eq!((host.len(), host.tokens(), host.bytes()), (3, 3, 900));
        assert!(!host.wants(&scope("a"), &[1]), "it is there, and counts as used");
        host.insert(stored("a", &[4], 296));
        assert!(host.wants(&scope("a"), &[2]) && !host.wants(&scope("a"), &[1]));
        host.insert(stored("a", &[5], 1000));
        assert_eq!((host.len(), host.bytes()), (3, 900));
        host.insert(stored("a", &[6], 996));
        assert_eq!((host.len(), host.bytes()), (1, 1000));
    }

    #[test]
    fn what_is_longer_takes_the_place_of_its_beginning() {
        let mut host = HostPrefixes::new(1000);
        host.insert(stored("a", &[1, 2], 10));
        host.insert(stored("b", &[1, 2], 10));
        host.insert(stored("a", &[1, 2, 3], 10));
        assert_eq!((host.len(), host.bytes()), (2, 18 + 22));
        assert!(!host.wants(&scope("a"), &[1, 2]) && host.wants(&scope("a"), &[1, 3]));
    }

    #[test]
    fn only_enough_of_the_same_scope_is_taken_out() {
        let mut host = HostPrefixes::new(1000);
        host.insert(stored("a", &[1, 2, 3, 4], 10));
        host.insert(stored("a", &[1, 2, 9, 9], 10));
        assert!(host.take_longest(&scope("b"), &[1, 2, 3], 1).is_none());
        assert!(host.take_longest(&scope("a"), &[1, 2, 3], 4).is_none());
        let (taken, length) = host.take_longest(&scope("a"), &[1, 2, 3, 7], 3).unwrap();
        assert_eq!((taken.tokens, length, host.len()), (vec![1, 2, 3, 4], 3, 1));
        host.remove_adapter("of b");
        assert_eq!(host.len(), 1);
        host.remove_adapter("of a");
        assert_eq!((host.len(), host.bytes()), (0, 0));
    }

    #[test]
    fn nothing_is_wanted_without_room() {
        let mut host = HostPrefixes::new(0);
        assert!(!host.wants(&scope("a"), &[1]));
        host.insert(stored("a", &[1], 1));
        assert_eq!(host.len(), 0);
    }
}
