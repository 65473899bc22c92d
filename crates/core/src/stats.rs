/// A look at a model at work.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stats {
    /// Answers that wait for their first place in a batch.
    pub waiting: u32,
    /// Sequences that hold cache, the paused ones included.
    pub running: u32,
    /// Sequences whose reader stopped reading.
    pub paused: u32,
    /// Most sequences that may hold cache at once.
    pub sequences: u32,
    /// Tokens in the cache for what runs; those that run at once and share count once.
    pub cells_used: u32,
    /// Tokens the cache can hold.
    pub cells: u32,
    /// Prefixes of ended sequences that are kept for later ones.
    pub kept_prefixes: u32,
    /// Their tokens.
    pub kept_tokens: u32,
    /// Prefixes that had to leave the cache and are in this process's memory.
    pub host_prefixes: u32,
    /// Their tokens.
    pub host_tokens: u64,
    /// Their bytes.
    pub host_bytes: u64,
    /// Steps run since the model was loaded.
    pub steps: u64,
    /// Requests taken since the model was loaded.
    pub requests: u64,
    /// Prompt tokens computed since the model was loaded.
    pub prompt_tokens: u64,
    /// Tokens made since the model was loaded.
    pub completion_tokens: u64,
    /// Tokens that were guessed before they were computed, since the model was loaded.
    pub draft_tokens: u64,
    /// Those of them that were right.
    pub accepted_tokens: u64,
    /// Tokens made a second over all sequences, averaged over the last steps.
    pub tokens_per_second: f64,
}
