use crate::worker::closed;
use crate::{
    AbortSwitch, Batch, Engine, Error, Limits, Opening, OptionSupport, SequenceId, Sink, StepOutcome,
};

/// What stands in for an engine that must not be called any more.
#[derive(Debug)]
pub(crate) struct Gone(Limits);

impl Default for Gone {
    fn default() -> Self {
        Self(Limits {
            sequences: 1,
            context: 1,
            cells: 1,
            batch: 1,
            rolls_back: true,
            worth_stopping: u32::MAX,
            shares: false,
            kept: 0,
            kept_tokens: 0,
            drafts: 0,
            options: OptionSupport::default(),
        })
    }
}

impl Engine for Gone {
    fn limits(&self) -> &Limits {
        &self.0
    }

    fn abort_switch(&self) -> AbortSwitch {
        AbortSwitch::default()
    }

    fn open(&mut self, _: SequenceId, _: Opening<'_>) -> Result<(), Error> {
        Err(closed())
    }

    fn step(&mut self, _: &Batch<'_>, _: &mut dyn Sink) -> Result<StepOutcome, Error> {
        Err(closed())
    }

    fn park(&mut self, _: SequenceId) {}

    fn release(&mut self, _: SequenceId) {}
}
