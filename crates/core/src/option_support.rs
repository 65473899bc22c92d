use crate::Sampling;

/// What an engine makes of the options that decide how tokens are chosen.
///
/// An engine that samples itself takes few of them, some only when it is loaded. A request that wants
/// something else is refused by the option's name: nothing is ignored in silence.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OptionSupport {
    /// What holds where a request says nothing.
    pub defaults: Sampling,
    /// Options whose value a request cannot choose, by their names in
    /// [`GenerateOptions`](crate::GenerateOptions).
    pub fixed: Vec<&'static str>,
    /// Whether there is a smaller model to make drafts.
    pub draft_model: bool,
}

impl OptionSupport {
    /// Whether a request may choose this option.
    pub fn can_choose(&self, option: &str) -> bool {
        !self.fixed.contains(&option)
    }
}
