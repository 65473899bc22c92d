//! Runs that give numbers for a text instead of an answer.

use rkllmjs_core::{Adapters, Error, Token};

use super::taking::SILENCE_MOST;
use super::{NO_NUMBERS, RkllmEngine, failed};
use crate::session::{Content, Event, Floats, Mode, RunRequest, Wait};

impl RkllmEngine {
    /// A run that gives numbers for every token of `input` instead of an answer.
    pub(super) fn numbers(&mut self, input: &[Token], mode: Mode) -> Result<Floats, Error> {
        self.check_prompt_cache(&Adapters::new())?;
        self.stop()?;
        self.cached.clear();
        if input.is_empty() || input.len() >= self.limits.context as usize {
            return Err(Error::context_exceeded(input.len(), self.limits.context));
        }
        self.session.start(RunRequest {
            content: Content::Tokens(input.iter().map(|token| token.cast_signed()).collect()),
            role: None,
            thinking: false,
            mode,
            adapter: None,
            save_cache: None,
            sampling: self.handle_sampling,
            max_tokens: 1,
            keep_history: false,
        })?;
        let switch = self.switch.clone();
        let wait = Wait { most: SILENCE_MOST, give_up: &|| switch.is_thrown() };
        let mut numbers = None;
        loop {
            match self.session.next(&wait) {
                Some(Event::Numbers(floats)) => numbers = Some(floats),
                Some(Event::Token { .. }) => self.session.ask(),
                Some(Event::Finished(_)) => {}
                Some(Event::Returned(0)) => break,
                Some(Event::Failed) => return self.stop().and(Err(failed("reports an error"))),
                Some(Event::Returned(status)) => {
                    return Err(failed(&format!("refuses the text (status {status})")));
                }
                None => return self.stop().and(Err(failed("does not answer"))),
            }
        }
        numbers.ok_or_else(|| failed(NO_NUMBERS))
    }

    /// The hidden state of the last token of `input`.
    pub(super) fn vector(&mut self, input: &[Token]) -> Result<Vec<f32>, Error> {
        let Floats { values, row } = self.numbers(input, Mode::HiddenStates)?;
        let last = values.chunks_exact(row.max(1)).next_back();
        last.map(<[f32]>::to_vec).ok_or_else(|| failed("gave no hidden states"))
    }
}
