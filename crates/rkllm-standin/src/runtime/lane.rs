use crate::backend::{Backend, Item};

/// One input of the batch with what it has in the cache.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// All that was read and said since the history began.
    pub(super) history: Vec<Item>,
    /// What is in the cache; begins like the history, and may lack its last token.
    pub(super) stored: Vec<Item>,
    /// How many tokens at the start are the system prompt.
    pub(super) system_tokens: usize,
}

impl Lane {
    /// Takes a range out of the books; the cache has lost it already.
    pub(super) fn cut(&mut self, from: usize, to: usize) {
        self.stored.drain(from..to);
        self.history.drain(from..to.min(self.history.len()));
    }

    /// Cuts the cache back to what it shares with `target`. How much that is.
    pub(super) fn reuse(&mut self, number: usize, target: &[Item], backend: &mut dyn Backend) -> usize {
        let shared = shared_prefix(&self.stored, target);
        if shared < self.stored.len() {
            let kept = if backend.truncate(number, shared) { shared } else { 0 };
            self.stored.truncate(kept);
        }
        self.stored.len()
    }
}

/// How many items both begin with.
pub(super) fn shared_prefix(a: &[Item], b: &[Item]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
