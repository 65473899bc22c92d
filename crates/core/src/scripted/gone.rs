use super::ScriptedEngine;
use crate::{AbortSwitch, Batch, Engine, Error, Limits, Sampling, SequenceId, Sink, StepOutcome, Token};

/// What stands in for an engine that must not be called any more.
#[derive(Debug)]
pub(crate) struct Gone(Limits);

impl Default for Gone {
    fn default() -> Self {
        Self(ScriptedEngine::small())
    }
}

impl Engine for Gone {
    fn limits(&self) -> &Limits {
        &self.0
    }

    fn abort_switch(&self) -> AbortSwitch {
        AbortSwitch::default()
    }

    fn open(&mut self, _: SequenceId, _: &Sampling, _: &[Token], _: Option<u32>) -> Result<(), Error> {
        Err(crate::worker::closed())
    }

    fn step(&mut self, _: &Batch<'_>, _: &mut dyn Sink) -> Result<StepOutcome, Error> {
        Err(crate::worker::closed())
    }

    fn park(&mut self, _: SequenceId) {}

    fn release(&mut self, _: SequenceId) {}
}
