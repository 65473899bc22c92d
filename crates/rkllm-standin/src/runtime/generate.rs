//! The mode that answers.

use std::time::Duration;

use rkllmjs_core::{Special, Token};

use super::reading::Reading;
use super::{Callback, Loaded, Runtime};
use crate::backend::{Item, Purpose, Row};
use crate::measure::Measure;
use crate::run::{Flow, Outcome, RunParams, State};
use crate::text::TextStream;
use crate::{Failure, log};

/// How long a run that hangs sleeps at a time.
const HANG: Duration = Duration::from_secs(3600);

/// An answer on its way.
#[derive(Debug)]
struct Answer {
    lane: usize,
    text: TextStream,
    /// What comes next; none once the answer is over.
    next: Option<Token>,
    /// How many tokens it may still say.
    left: usize,
}

impl Runtime {
    pub(super) fn is_aborted(&self) -> bool {
        self.aborted.load(std::sync::atomic::Ordering::SeqCst)
    }
}

impl Loaded {
    pub(super) fn generate(
        &mut self,
        runtime: &Runtime,
        readings: Vec<Reading>,
        params: &RunParams,
        callback: &mut Callback<'_>,
    ) -> Result<(), Failure> {
        let mut measure = Measure::begin();
        let mut answers = Vec::with_capacity(readings.len());
        for (lane, reading) in readings.into_iter().enumerate() {
            answers.push(self.prefill(runtime, lane, reading, params, &mut measure)?);
        }
        let mut said = 0;
        loop {
            if runtime.is_aborted() {
                std::thread::sleep(runtime.traps().slow_abort);
                break;
            }
            if answers.iter().all(|answer| answer.next.is_none()) {
                break;
            }
            spring(runtime, said, callback)?;
            std::thread::sleep(runtime.traps().slow_token);
            match self.say(&mut answers, &mut said, callback) {
                Flow::Pause => {
                    self.paused = true;
                    return Ok(());
                }
                Flow::Continue | Flow::Release => {}
            }
            if !runtime.is_aborted() {
                self.advance(&mut answers)?;
            }
        }
        self.finish(runtime, &measure, said, callback);
        Ok(())
    }

    /// Reads an input and chooses the first token of its answer.
    fn prefill(
        &mut self,
        runtime: &Runtime,
        number: usize,
        reading: Reading,
        params: &RunParams,
        measure: &mut Measure,
    ) -> Result<Answer, Failure> {
        let target = self.begin_target(number, reading, 1)?;
        let sampling = params.sampling.clone().unwrap_or_else(|| self.config.sampling.clone());
        let tokens: Vec<Token> = target.iter().filter_map(Item::token).collect();
        self.backend.begin(number, &sampling, &tokens)?;
        if number == 0 {
            self.use_prompt_cache(&target);
        }
        let Some(lane) = self.lanes.get_mut(number) else { return Err(Failure::new("no such lane")) };
        // The last position is computed in any case, for what follows it.
        let known = target.get(..target.len().saturating_sub(1)).unwrap_or_default();
        let start = lane.reuse(number, known, self.backend.as_mut());
        let row = self.compute(number, &target, start)?;
        measure.read(target.len() - start);
        let room = self.context().saturating_sub(target.len());
        let limits = [params.max_new_tokens, self.config.max_new_tokens];
        let limit = limits.into_iter().find(|&limit| limit > 0).and_then(|n| usize::try_from(n).ok());
        let next = Some(self.backend.sample(number, row)?);
        let text = TextStream::new(runtime.traps().waiting);
        if let Some(lane) = self.lanes.get_mut(number) {
            lane.stored.clone_from(&target);
            lane.history = target;
        }
        Ok(Answer { lane: number, text, next, left: limit.map_or(room, |limit| limit.min(room)) })
    }

    /// What the lane must hold before the answer: its history, if the input continues it, and the
    /// input. Where that leaves no room for `spare` more, the oldest of the history goes.
    pub(super) fn begin_target(
        &mut self,
        number: usize,
        reading: Reading,
        spare: usize,
    ) -> Result<Vec<Item>, Failure> {
        let context = self.context();
        let keep = usize::try_from(self.config.n_keep).ok();
        let Some(lane) = self.lanes.get_mut(number) else { return Err(Failure::new("no such lane")) };
        if let Some(system) = reading.system_tokens {
            lane.system_tokens = system;
        }
        if !reading.continues {
            lane.history.clear();
        }
        let needed = lane.history.len() + reading.items.len() + spare;
        if needed > context {
            let keep = keep.unwrap_or(lane.system_tokens).min(lane.history.len());
            let old = lane.history.len() - keep;
            if needed - old > context {
                return Err(Failure::new(format!(
                    "prompt is greater than max context: {} tokens and {context}",
                    reading.items.len()
                )));
            }
            // Half of it, so that the next turns find room too.
            let gone = (needed - context).max(old / 2);
            lane.history.drain(keep..keep + gone);
        }
        let mut target = lane.history.clone();
        target.extend(reading.items);
        Ok(target)
    }

    fn context(&self) -> usize {
        usize::try_from(self.config.max_context_len).unwrap_or(0)
    }

    /// Computes `target` from `start` on; the row of its last position.
    fn compute(&mut self, number: usize, target: &[Item], start: usize) -> Result<usize, Failure> {
        let last = target.len().saturating_sub(1);
        let most = self.backend.rows_max();
        let same_kind = |a: &Item, b: &Item| a.token().is_some() == b.token().is_some();
        let mut position = start;
        let mut row = 0;
        let rest = target.get(start..).unwrap_or_default();
        for group in rest.chunk_by(same_kind).flat_map(|group| group.chunks(most)) {
            let rows: Vec<Row<'_>> = (position..)
                .zip(group)
                .map(|(position, item)| Row { lane: number, position, item, output: position == last })
                .collect();
            self.backend.compute(&rows, Purpose::Logits)?;
            position += group.len();
            row = group.len() - 1;
        }
        Ok(row)
    }

    /// Shows the callback the next token of every answer.
    fn say(&mut self, answers: &mut [Answer], said: &mut usize, callback: &mut Callback<'_>) -> Flow {
        let alone = answers.len() == 1;
        let mut states = Vec::with_capacity(answers.len());
        let mut outcomes = Vec::with_capacity(answers.len());
        for answer in answers {
            let shown = answer.next.and_then(|token| self.show(answer, token));
            let (state, outcome) = shown.unwrap_or((State::Finish, Outcome::none()));
            *said += usize::from(state != State::Finish);
            states.push(state);
            outcomes.push(outcome);
        }
        if states.iter().all(|state| *state == State::Finish) {
            return Flow::Continue;
        }
        let waits = alone && states.first() == Some(&State::Waiting);
        callback(if waits { State::Waiting } else { State::Normal }, Some(&outcomes))
    }

    /// What the callback sees of a token; nothing of one that ends the answer and has no text.
    fn show(&mut self, answer: &mut Answer, token: Token) -> Option<(State, Outcome)> {
        let tokenizer = self.backend.tokenizer();
        let ends = tokenizer.is_end(token) && !self.config.ignore_eos_token;
        let special = Special { add: false, parse: !self.config.skip_special_token };
        let piece = tokenizer.piece(token, special);
        if let Some(lane) = self.lanes.get_mut(answer.lane) {
            lane.history.push(Item::Token(token));
        }
        let number = i32::try_from(token).unwrap_or(i32::MAX);
        answer.left = answer.left.saturating_sub(1);
        if ends || answer.left == 0 {
            let (state, shown) = answer.text.push(&piece);
            answer.next = None;
            let mut text = shown.filter(|_| state == State::Normal).unwrap_or_default();
            text.extend(answer.text.finish().unwrap_or_default());
            if ends && text.is_empty() {
                return None;
            }
            return Some((State::Normal, Outcome { text: Some(text), token: number, ..Outcome::none() }));
        }
        if piece.is_empty() {
            return Some((State::Normal, Outcome { text: None, token: number, ..Outcome::none() }));
        }
        let (state, text) = answer.text.push(&piece);
        Some((state, Outcome { text, token: number, ..Outcome::none() }))
    }

    /// Computes what was said and chooses what comes after it, for all answers in one step.
    fn advance(&mut self, answers: &mut [Answer]) -> Result<(), Failure> {
        let mut steps: Vec<(usize, usize, Item)> = Vec::with_capacity(answers.len());
        for answer in answers.iter() {
            let (Some(token), Some(lane)) = (answer.next, self.lanes.get_mut(answer.lane)) else { continue };
            steps.push((answer.lane, lane.stored.len(), Item::Token(token)));
            lane.stored.push(Item::Token(token));
        }
        if steps.is_empty() {
            return Ok(());
        }
        let rows: Vec<Row<'_>> = steps
            .iter()
            .map(|(lane, position, item)| Row { lane: *lane, position: *position, item, output: true })
            .collect();
        self.backend.compute(&rows, Purpose::Logits)?;
        let going = answers.iter_mut().filter(|answer| answer.next.is_some());
        for (row, answer) in going.enumerate() {
            answer.next = Some(self.backend.sample(answer.lane, row)?);
        }
        Ok(())
    }

    pub(super) fn finish(
        &self,
        runtime: &Runtime,
        measure: &Measure,
        said: usize,
        callback: &mut Callback<'_>,
    ) {
        let perf = Some(measure.end(said));
        let outcomes = vec![Outcome { perf, ..Outcome::none() }; self.lanes.len()];
        let shown = (!runtime.traps().null_finish).then_some(outcomes.as_slice());
        callback(State::Finish, shown);
    }
}

/// Does what the traps say happens after so many tokens.
fn spring(runtime: &Runtime, said: usize, callback: &mut Callback<'_>) -> Result<(), Failure> {
    let traps = runtime.traps();
    if traps.abort_after.is_some_and(|after| said >= after) {
        log::assertion("told to by RKLLMJS_STANDIN_TRAP");
        std::process::abort();
    }
    while traps.hang_after.is_some_and(|after| said >= after) {
        std::thread::sleep(HANG);
    }
    if traps.error_after.is_some_and(|after| said >= after) {
        callback(State::Error, None);
        return Err(Failure::new("told to fail by RKLLMJS_STANDIN_TRAP"));
    }
    Ok(())
}
