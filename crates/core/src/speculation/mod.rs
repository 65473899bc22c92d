//! Speculative decoding: tokens that are guessed before they are computed, so that one step may bring several.
//!
//! A guess counts only where the engine then samples that very token, so what a sequence says does not depend on
//! its guesses. What does is how long it takes, and that is all this module decides about.

mod chances;
mod costs;
mod drafter;
mod guesses;
mod lookup;

pub(crate) use drafter::Drafter;
pub(crate) use guesses::Guesses;

/// Most guesses of a sequence in one step, by default.
pub(crate) const DRAFTS_DEFAULT: u32 = 16;
/// Where guesses come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SpeculationMode {
    /// There are none.
    #[default]
    None,
    /// From what followed the same tokens earlier in the sequence.
    Lookup,
    /// From a smaller model.
    Draft,
}

impl SpeculationMode {
    /// The mode of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "lookup" => Some(Self::Lookup),
            "draft" => Some(Self::Draft),
            _ => None,
        }
    }
}

/// What a request wants of speculative decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Speculation {
    /// Where guesses come from.
    pub mode: SpeculationMode,
    /// Most of them in one step; how many there are is decided by what they bring.
    pub max_tokens: u32,
}
