use std::collections::HashMap;
use std::sync::Arc;

use rkllmjs_core::SequenceId;

use crate::places::Places;

/// Who holds cells: a sequence id of llama.cpp, and what its cells were computed under.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    pub(crate) slot: i32,
    /// The adapters' age when cells were computed under any.
    pub(crate) adapters_of: Option<u64>,
    /// Where its tokens stand, of one that is not open.
    pub(crate) places: Arc<Places>,
}

impl Holder {
    /// Whether its cells were computed under adapters that may not be there any more.
    pub(crate) fn is_stale(&self, adapters_age: u64) -> bool {
        self.adapters_of.is_some_and(|age| age != adapters_age)
    }
}

/// Hands out the sequence ids of llama.cpp to those who hold cells.
#[derive(Debug)]
pub(crate) struct Holders {
    free: Vec<i32>,
    held: HashMap<SequenceId, Holder>,
}

impl Holders {
    pub(crate) fn new(slots: u32) -> Self {
        Self { free: (0..slots.cast_signed()).rev().collect(), held: HashMap::new() }
    }

    pub(crate) fn find(&self, sequence: SequenceId) -> Option<Holder> {
        self.held.get(&sequence).cloned()
    }

    pub(crate) fn find_mut(&mut self, sequence: SequenceId) -> Option<&mut Holder> {
        self.held.get_mut(&sequence)
    }

    /// That of a sequence, which gets one if it has none and there is one left.
    pub(crate) fn take(&mut self, sequence: SequenceId) -> Option<Holder> {
        if let Some(holder) = self.find(sequence) {
            return Some(holder);
        }
        let holder = Holder { slot: self.free.pop()?, adapters_of: None, places: Arc::default() };
        self.held.insert(sequence, holder.clone());
        Some(holder)
    }

    /// Takes a sequence's id back; its cells must be removed before another gets it.
    pub(crate) fn give_back(&mut self, sequence: SequenceId) -> Option<Holder> {
        let holder = self.held.remove(&sequence)?;
        self.free.push(holder.slot);
        Some(holder)
    }
}
