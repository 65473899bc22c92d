use std::ops::Range;

use crate::Adapters;

/// A run as the engine saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedRun {
    /// Whose.
    pub sequence: u64,
    /// The place of its first token.
    pub start: u32,
    /// How many tokens.
    pub tokens: usize,
    /// Whether what follows was sampled.
    pub sample: bool,
}

/// A step that was done.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RecordedStep {
    /// Its runs.
    pub runs: Vec<RecordedRun>,
    /// The adapters of all of them.
    pub adapters: Adapters,
    /// Every sequence that held cache afterwards, in order.
    pub holders: Vec<u64>,
}

/// What an engine was asked for.
#[derive(Debug, Default)]
pub struct Record {
    /// The steps that were done.
    pub steps: Vec<RecordedStep>,
    /// Steps that the switch stopped.
    pub aborted: u64,
    /// Steps that found no room.
    pub full: u64,
    /// Sequences that were opened, with their seeds.
    pub opened: Vec<(u64, u32)>,
    /// Cells that were shared: from whom, with whom, and which positions.
    pub shared: Vec<(u64, u64, Range<u32>)>,
    /// Sequences that were saved, and how many of their positions.
    pub saved: Vec<(u64, u32)>,
    /// Sequences that were restored, and how many positions.
    pub restored: Vec<(u64, u32)>,
    /// Sequences that were parked.
    pub parked: Vec<u64>,
    /// Sequences that were released.
    pub released: Vec<u64>,
    /// What no scheduler may ask for, in words. Always empty.
    pub breaches: Vec<String>,
}
