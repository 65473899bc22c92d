use crate::Token;

/// Most tokens of one [`Scoring`]: what may keep answers from their next step, and bounds the memory for the
/// probabilities of a whole vocabulary at each token.
pub const SCORED_TOKENS_MAX: usize = 256;

/// A piece of a window of text whose tokens are to be scored by what comes before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scoring<'a> {
    /// Most tokens of the whole window.
    pub window: u32,
    /// The place of the first of `tokens` in the window; 0 begins a new window, and everything else follows
    /// the piece before.
    pub start: u32,
    /// What to read, at most [`SCORED_TOKENS_MAX`].
    pub tokens: &'a [Token],
    /// What follows the last tokens of `tokens`, one after each: how likely were these?
    pub targets: &'a [Token],
}
