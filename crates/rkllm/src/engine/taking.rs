//! What comes of a run: tokens, logits to weigh, its end, or nothing.

use std::time::Duration;

use rkllmjs_core::{Error, Sampled, SequenceId, Sink, Special, StepOutcome, Token, TokenLogprob};

use super::{Active, NO_NUMBERS, Open, RkllmEngine, failed};
use crate::session::{Event, Floats, Perf, Wait};

/// How long the runtime may be silent while it reads a prompt. The longest known ones take a minute.
pub(super) const SILENCE_MOST: Duration = Duration::from_secs(300);
/// How long it may be silent between two tokens. The slowest known models make three a second.
const SILENCE_BETWEEN_MOST: Duration = Duration::from_secs(60);

/// What stands for the token that ended an answer: most runtimes do not say which one it was.
const UNKNOWN_END: Token = 0;

/// How long to wait for the runtime.
#[derive(Debug)]
struct Patience {
    /// What it may be silent.
    silence: Duration,
    /// What is left to the request.
    left: Option<Duration>,
}

impl Patience {
    const fn new(silence: Duration, left: Option<Duration>) -> Self {
        Self { silence, left }
    }

    fn most(&self) -> Duration {
        self.left.unwrap_or(self.silence).min(self.silence)
    }

    /// Whether the request is out of time before the silence is too long.
    fn is_out_of_time(&self) -> bool {
        self.left.is_some_and(|left| left < self.silence)
    }
}

impl RkllmEngine {
    /// Waits for the token that was asked for.
    pub(super) fn take(
        &mut self,
        sequence: SequenceId,
        time_left: Option<Duration>,
        sink: &mut dyn Sink,
    ) -> Result<StepOutcome, Error> {
        let is_reading = self.active.is_none_or(|active| active.sequence != sequence);
        let patience = Patience::new(if is_reading { SILENCE_MOST } else { SILENCE_BETWEEN_MOST }, time_left);
        match self.next(&patience) {
            Some(Event::Token { token, text }) => self.give(sequence, token, &text, sink),
            Some(Event::Finished(perf)) => {
                self.active = None;
                // What is left of the run is the saving of its cache.
                self.session.drain();
                self.end(sequence, perf, sink)?;
            }
            Some(Event::Returned(0)) => {
                self.active = None;
                self.end(sequence, None, sink)?;
            }
            other => return self.fail(sequence, other.as_ref(), &patience, sink),
        }
        Ok(StepOutcome::Done)
    }

    /// Waits for the logits that were asked for and weighs the candidates of the sequence by them.
    pub(super) fn weigh(
        &mut self,
        sequence: SequenceId,
        time_left: Option<Duration>,
        sink: &mut dyn Sink,
    ) -> Result<StepOutcome, Error> {
        // What a run for logits leaves in the cache is not known.
        self.cached.clear();
        let patience = Patience::new(SILENCE_MOST, time_left);
        match self.next(&patience) {
            Some(Event::Numbers(Floats { values, .. })) => {
                self.session.drain();
                let candidates = self.open.get(&sequence).map_or(&[][..], |open| &open.candidates);
                match TokenLogprob::among(&values, candidates) {
                    Some(chosen) => {
                        let token = chosen.token;
                        sink.token(
                            sequence,
                            Sampled { token, bytes: &[], end: false, logprob: Some(chosen) },
                        );
                    }
                    None => sink.failed(sequence, failed("gave logits of another vocabulary, or no numbers")),
                }
                Ok(StepOutcome::Done)
            }
            Some(Event::Finished(_) | Event::Returned(0)) => {
                self.session.drain();
                sink.failed(sequence, failed(NO_NUMBERS));
                Ok(StepOutcome::Done)
            }
            other => self.fail(sequence, other.as_ref(), &patience, sink),
        }
    }

    fn next(&self, patience: &Patience) -> Option<Event> {
        let switch = &self.switch;
        self.session.next(&Wait { most: patience.most(), give_up: &|| switch.is_thrown() })
    }

    /// Hands over a token of the run under way.
    fn give(&mut self, sequence: SequenceId, token: i32, text: &[u8], sink: &mut dyn Sink) {
        let token = Token::try_from(token).unwrap_or(0);
        self.cached.push(token);
        let length = self.open.get(&sequence).map_or(0, |open| open.tokens.len());
        self.active = Some(Active { sequence, length });
        let Some(tokenizer) = &self.tokenizer else {
            sink.token(sequence, Sampled { token, bytes: text, end: false, logprob: None });
            return;
        };
        let end = tokenizer.is_end(token) && !self.limits.options.defaults.ignore_end;
        if end {
            // Some runtimes give the token that ends an answer before they say that it has ended.
            self.active = None;
            self.session.drain();
        }
        let bytes = tokenizer.piece(token, Special::default());
        let token = if end { UNKNOWN_END } else { token };
        sink.token(sequence, Sampled { token, bytes: &bytes, end, logprob: None });
    }

    /// What follows from an event that was not waited for, or from none.
    fn fail(
        &mut self,
        sequence: SequenceId,
        event: Option<&Event>,
        patience: &Patience,
        sink: &mut dyn Sink,
    ) -> Result<StepOutcome, Error> {
        match event {
            Some(Event::Failed) => {
                self.stop()?;
                sink.failed(sequence, failed("reports an error in the middle of the answer"));
            }
            Some(Event::Returned(status)) => {
                self.active = None;
                self.cached.clear();
                sink.failed(sequence, failed(&format!("refuses the prompt (status {status})")));
            }
            Some(Event::Numbers(_) | Event::Token { .. } | Event::Finished(_)) => {
                self.stop()?;
                sink.failed(sequence, failed("gave something else than it was asked for"));
            }
            None if self.switch.is_thrown() || patience.is_out_of_time() => {
                self.stop()?;
                self.cached.clear();
                return Ok(StepOutcome::Aborted);
            }
            None => {
                self.stop()?;
                self.cached.clear();
                let silent = format!("has said nothing for {} s", patience.silence.as_secs());
                sink.failed(sequence, failed(&silent));
            }
        }
        Ok(StepOutcome::Done)
    }

    /// Says that an answer has ended, and why: of a prompt that the runtime read itself, only the runtime knows
    /// how much of the context is taken.
    fn end(&mut self, sequence: SequenceId, perf: Option<Perf>, sink: &mut dyn Sink) -> Result<(), Error> {
        let is_counted = self.open.get(&sequence).is_none_or(Open::is_resumable);
        let held = if is_counted { 0 } else { self.session.call(|handle| handle.cache_size())?.unwrap_or(0) };
        // The last token is in the context, but not in the cache: nothing follows it.
        let is_full = held.saturating_add(1) >= self.limits.context;
        if !is_counted {
            let given = self.open.get(&sequence).map_or(0, Open::given).saturating_sub(u32::from(is_full));
            let made = perf.map_or(given, |perf| u32::try_from(perf.generate_tokens).unwrap_or(0));
            let computed = perf.map(|perf| u32::try_from(perf.prefill_tokens).unwrap_or(0));
            // All that is cached but the answer; the runtime's own count leaves out what was cached before, and some
            // say nothing at the end.
            let tokens = held.saturating_sub(made).max(computed.unwrap_or(0));
            if tokens > 0 {
                sink.prompt(sequence, tokens, tokens - computed.unwrap_or(tokens));
            }
        }
        if is_full {
            sink.full(sequence);
        } else {
            sink.token(sequence, Sampled { token: UNKNOWN_END, bytes: &[], end: true, logprob: None });
        }
        Ok(())
    }
}
