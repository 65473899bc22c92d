//! A model and what has been said with it; one thread at a time.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::lane::Lane;
use super::prompt_cache::PromptCache;
use super::{Callback, Runtime};
use crate::backend::Backend;
use crate::run::{Input, Mode, RunInput, RunParams, State};
use crate::template::{Template, Tools};
use crate::{Config, Failure, Family, log};

/// What only one thread at a time may touch.
pub(super) struct Loaded {
    pub(super) config: Config,
    pub(super) backend: Box<dyn Backend>,
    pub(super) template: Template,
    pub(super) tools: Option<Tools>,
    pub(super) lanes: Vec<Lane>,
    pub(super) adapters: BTreeSet<String>,
    pub(super) adapter: Option<String>,
    pub(super) prompt_cache: Option<PromptCache>,
    /// Hidden states or logits of the last run, until released.
    pub(super) output: Option<Arc<[f32]>>,
    /// Whether the last run was paused, and whether it kept its history.
    pub(super) paused: bool,
    pub(super) kept_history: bool,
    /// Whether the run after a pause adds its input to what was said.
    pub(super) resumes: bool,
}

impl Loaded {
    pub(super) fn run(
        &mut self,
        runtime: &Runtime,
        inputs: &[RunInput],
        params: &RunParams,
        callback: &mut Callback<'_>,
    ) -> Result<(), Failure> {
        if inputs.len() != self.lanes.len() {
            return Err(Failure::new(format!(
                "{} inputs are needed, not {}",
                self.lanes.len(),
                inputs.len()
            )));
        }
        if let Some(sampling) = &params.sampling {
            sampling.check()?;
        }
        if let Some(unknown) = params.adapter.as_ref().filter(|name| !self.adapters.contains(*name)) {
            callback(State::Error, None);
            return Err(Failure::new(format!("Not Found Lora adapter {unknown:?}")));
        }
        self.use_adapter(params.adapter.as_deref())?;
        let new = self.read_inputs(inputs, params)?;
        self.assert_as_the_vendor_does(inputs, params);
        self.paused = false;
        self.kept_history = params.keep_history;
        match params.mode {
            Mode::Generate => self.generate(runtime, new, params, callback)?,
            Mode::LastHiddenLayer | Mode::Logits => self.show_outputs(runtime, new, params, callback)?,
        }
        if let Some(request) = &params.save_prompt_cache {
            self.save_prompt_cache(request.path.as_deref())?;
        }
        Ok(())
    }

    /// 1.2.3 ends the process when logits of tokens are asked for with a history.
    fn assert_as_the_vendor_does(&self, inputs: &[RunInput], params: &RunParams) {
        let tokens = inputs.iter().any(|input| matches!(input.input, Input::Tokens(_)));
        let logits = params.mode == Mode::Logits && params.keep_history;
        if self.config.family == Family::V12 && logits && tokens {
            log::assertion("logits of token input without history");
            std::process::abort();
        }
    }

    /// Switches the adapter; what was computed under another one is of no use then.
    fn use_adapter(&mut self, name: Option<&str>) -> Result<(), Failure> {
        if self.adapter.as_deref() == name {
            return Ok(());
        }
        self.backend.use_adapter(name)?;
        self.adapter = name.map(str::to_owned);
        for (number, lane) in self.lanes.iter_mut().enumerate() {
            self.backend.truncate(number, 0);
            lane.stored.clear();
        }
        Ok(())
    }

    pub(super) fn clear(&mut self, kept: impl Fn(&Lane) -> usize) {
        self.paused = false;
        for (number, lane) in self.lanes.iter_mut().enumerate() {
            let keep = kept(lane).min(lane.stored.len());
            let keep = if self.backend.truncate(number, keep) { keep } else { 0 };
            lane.stored.truncate(keep);
            lane.history.clear();
        }
    }

    pub(super) fn clear_ranges(&mut self, ranges: &[(i32, i32)]) -> Result<(), Failure> {
        if !self.paused || self.kept_history {
            return Err(Failure::new(
                "a range of the cache is cleared only while a run without history is paused",
            ));
        }
        let place = |n: i32| usize::try_from(n).ok();
        let mut cuts = Vec::with_capacity(ranges.len());
        for (lane, &(start, end)) in self.lanes.iter().zip(ranges) {
            match (place(start), place(end)) {
                (Some(start), Some(end)) if start < end && end <= lane.stored.len() => {
                    cuts.push((start, end))
                }
                _ => return Err(Failure::new(format!("the cache has no range {start} to {end}"))),
            }
        }
        for (number, (lane, (start, end))) in self.lanes.iter_mut().zip(cuts).enumerate() {
            if !self.backend.cut(number, start, end) {
                return Err(Failure::new("this model cannot clear a range of its cache"));
            }
            lane.cut(start, end);
        }
        Ok(())
    }
}
