use rkllmjs_core::{Limits, OptionSupport, Sampling};
use serde::{Deserialize, Serialize};

use super::names::lasting;

/// [`Limits`] on their way between two processes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WireLimits {
    sequences: u32,
    context: u32,
    cells: u32,
    batch: u32,
    rolls_back: bool,
    worth_stopping: u32,
    shares: bool,
    kept: u32,
    kept_tokens: u32,
    drafts: u32,
    draft_model: bool,
    defaults: Sampling,
    fixed: Vec<String>,
}

impl From<&Limits> for WireLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            sequences: limits.sequences,
            context: limits.context,
            cells: limits.cells,
            batch: limits.batch,
            rolls_back: limits.rolls_back,
            worth_stopping: limits.worth_stopping,
            shares: limits.shares,
            kept: limits.kept,
            kept_tokens: limits.kept_tokens,
            drafts: limits.drafts,
            draft_model: limits.options.draft_model,
            defaults: limits.options.defaults.clone(),
            fixed: limits.options.fixed.iter().map(|&name| name.to_owned()).collect(),
        }
    }
}

impl From<WireLimits> for Limits {
    fn from(wire: WireLimits) -> Self {
        let fixed = wire.fixed.iter().map(|name| lasting(name)).collect();
        Self {
            sequences: wire.sequences,
            context: wire.context,
            cells: wire.cells,
            batch: wire.batch,
            rolls_back: wire.rolls_back,
            worth_stopping: wire.worth_stopping,
            shares: wire.shares,
            kept: wire.kept,
            kept_tokens: wire.kept_tokens,
            drafts: wire.drafts,
            options: OptionSupport { defaults: wire.defaults, fixed, draft_model: wire.draft_model },
        }
    }
}
