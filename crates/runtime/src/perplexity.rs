//! How well a model foretells a text.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use rkllmjs_core::{Detail, Error, ErrorCode, ModelHandle, SCORED_TOKENS_MAX, Scoring, Special, Token};
use serde_json::{Value, json};

use crate::fill::start_token;
use crate::model::closed;
use crate::{Hooks, Model};

/// The window of llama.cpp's own tool.
const CONTEXT_DEFAULT: u32 = 512;
const CONTEXT_LEAST: u32 = 8;
/// Most bytes of a text: some ten times the usual test text.
const TEXT_BYTES_MAX: usize = 16 << 20;

/// How a text is scored, as a caller wrote it.
#[derive(Debug, Clone, Default)]
pub struct PerplexityOptions {
    /// Tokens of a window; 512, or the model's context where that is smaller.
    pub context_size: Option<f64>,
}

impl Model {
    /// The perplexity of `text` as llama.cpp's tool computes it. Blocks for as long as that takes; answers get
    /// their steps in between.
    ///
    /// The text's tokens are cut into windows of `context_size`, and the rest is left out. In each window the
    /// first token is replaced by the start token where the vocabulary has one, and the tokens of its second
    /// half but the first are scored by what precedes them in the window. The perplexity is `e` to the power
    /// of the mean of their negated logarithmic probabilities.
    ///
    /// # Errors
    ///
    /// `invalid-request` for a text of fewer than two windows; `unsupported` by engines that show no
    /// probabilities; `overloaded` while another text is scored; `unavailable` if the hooks stopped it.
    pub fn perplexity(&self, text: &str, options: &PerplexityOptions, hooks: &Hooks) -> Result<Value, Error> {
        let window = window(options.context_size, self.handle().limits().context)?;
        if text.len() > TEXT_BYTES_MAX {
            let message = format!("text has {} bytes, at most {TEXT_BYTES_MAX} are allowed", text.len());
            return Err(Error::new(ErrorCode::PayloadTooLarge, message));
        }
        let _turn = Turn::take(self.scoring(), self.handle().clone())?;
        let tokenizer = self.tokenizer()?;
        let start = start_token(tokenizer.as_ref())?;
        let tokens = tokenizer.tokenize(text, Special { add: true, parse: false })?;
        let least = 2 * window as usize;
        if tokens.len() < least {
            let message = format!(
                "is too short: it has {} tokens, and two windows of {window} need {least}; give more or a smaller \
                 context_size",
                tokens.len()
            );
            return Err(Error::option("text", message)
                .with("tokens", Detail::Number(tokens.len() as u64))
                .with("needed", Detail::Number(least as u64)));
        }
        let mut sums = Sums::default();
        let windows = tokens.chunks_exact(window as usize);
        let count = windows.len();
        for (done, tokens) in (1..).zip(windows) {
            self.score_window(tokens, start, &mut sums, hooks)?;
            (hooks.progress)((f64::from(done) / count as f64) as f32);
        }
        sums.result(window, count, tokens.len())
    }

    fn score_window(
        &self,
        tokens: &[Token],
        start: Option<Token>,
        sums: &mut Sums,
        hooks: &Hooks,
    ) -> Result<(), Error> {
        let mut tokens = tokens.to_vec();
        if let (Some(first), Some(start)) = (tokens.first_mut(), start) {
            *first = start;
        }
        let half = tokens.len() / 2;
        // The last token follows others and precedes none.
        let read = tokens.len() - 1;
        for from in (0..read).step_by(SCORED_TOKENS_MAX) {
            let to = read.min(from + SCORED_TOKENS_MAX);
            if hooks.cancelled.load(Ordering::SeqCst) {
                return Err(Error::new(ErrorCode::Unavailable, "the computation was stopped"));
            }
            let piece = Piece {
                window: tokens.len() as u32,
                start: from as u32,
                tokens: tokens.get(from..to).unwrap_or_default().to_vec(),
                targets: tokens.get(half.max(from) + 1..=to).unwrap_or_default().to_vec(),
            };
            for score in score(self.handle(), piece)? {
                sums.add(score)?;
            }
        }
        Ok(())
    }
}

fn window(asked: Option<f64>, context: u32) -> Result<u32, Error> {
    let Some(asked) = asked else { return Ok(CONTEXT_DEFAULT.min(context)) };
    if asked.fract() != 0.0 || !(asked >= f64::from(CONTEXT_LEAST) && asked <= f64::from(context)) {
        let message = format!(
            "must be a whole number from {CONTEXT_LEAST} to {context}, the context of the model, got {asked}"
        );
        return Err(Error::option("context_size", message));
    }
    Ok(asked as u32)
}

/// A [`Scoring`] that can travel to the engine's thread.
struct Piece {
    window: u32,
    start: u32,
    tokens: Vec<Token>,
    targets: Vec<Token>,
}

fn score(handle: &ModelHandle, piece: Piece) -> Result<Vec<f32>, Error> {
    let (sender, receiver) = mpsc::sync_channel(1);
    handle.call(move |engine| {
        let Piece { window, start, tokens, targets } = &piece;
        let piece = Scoring { window: *window, start: *start, tokens, targets };
        // Nobody listens any more if the caller's thread has ended.
        let _ = sender.send(engine.and_then(|engine| engine.score(piece)));
    });
    let scores = receiver.recv().unwrap_or_else(|_| Err(closed()));
    // A step stopped by closing looks like a failure from inside.
    if handle.is_closed() { Err(closed()) } else { scores }
}

/// The right to score: pieces of two texts must not mix.
struct Turn<'a> {
    taken: &'a AtomicBool,
    handle: ModelHandle,
}

impl<'a> Turn<'a> {
    fn take(taken: &'a AtomicBool, handle: ModelHandle) -> Result<Self, Error> {
        if taken.swap(true, Ordering::SeqCst) {
            let message = "the model is computing the perplexity of another text; wait for that to end";
            return Err(Error::new(ErrorCode::Overloaded, message));
        }
        Ok(Self { taken, handle })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.handle.call(|engine| {
            if let Ok(engine) = engine {
                engine.end_scoring();
            }
        });
        self.taken.store(false, Ordering::SeqCst);
    }
}

/// Sums over the scored tokens of their negated logarithmic probabilities and the squares of those.
#[derive(Debug, Default)]
struct Sums {
    count: u64,
    sum: f64,
    squares: f64,
}

impl Sums {
    fn add(&mut self, score: f32) -> Result<(), Error> {
        if !score.is_finite() {
            return Err(Error::new(
                ErrorCode::EngineFailed,
                "the model computed a probability that is no number",
            ));
        }
        let surprise = -f64::from(score);
        self.count += 1;
        self.sum += surprise;
        self.squares += surprise * surprise;
        Ok(())
    }

    fn result(&self, window: u32, windows: usize, prompt_tokens: usize) -> Result<Value, Error> {
        let count = self.count.max(1) as f64;
        let mean = self.sum / count;
        let variance = (self.squares / count - mean * mean).max(0.0);
        let perplexity = mean.exp();
        if !perplexity.is_finite() {
            return Err(Error::new(ErrorCode::EngineFailed, "the perplexity is beyond all numbers"));
        }
        Ok(json!({
            "perplexity": perplexity,
            "standardError": perplexity * (variance / (count - 1.0).max(1.0)).sqrt(),
            "tokens": self.count,
            "promptTokens": prompt_tokens,
            "windows": windows,
            "contextSize": window,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Sums, window};

    #[test]
    fn a_coin_has_a_perplexity_of_two_and_no_error() {
        let mut sums = Sums::default();
        for _ in 0..100 {
            sums.add(0.5_f32.ln()).unwrap();
        }
        let result = sums.result(8, 1, 8).unwrap();
        assert!((result["perplexity"].as_f64().unwrap() - 2.0).abs() < 1e-6);
        assert!(result["standardError"].as_f64().unwrap() < 1e-3);
    }

    #[test]
    fn a_window_fits_the_context() {
        assert_eq!(window(None, 4096), Ok(512));
        assert_eq!(window(None, 128), Ok(128));
        assert_eq!(window(Some(2048.0), 4096), Ok(2048));
        for wrong in [7.0, 4097.0, 8.5, f64::NAN] {
            assert!(window(Some(wrong), 4096).is_err(), "{wrong}");
        }
    }
}
