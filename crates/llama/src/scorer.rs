use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rkllmjs_core::{Error, ErrorCode, SCORED_TOKENS_MAX, Scoring, Token};

use crate::Model;
use crate::batch::BatchBuffer;
use crate::context::{Computed, Context, ContextOptions, KvType};

/// Tells how likely given tokens are, in a context of its own, so that answers keep their cache.
#[derive(Debug)]
pub(crate) struct Scorer {
    context: Context,
    batch: BatchBuffer,
    window: u32,
    /// Tokens of the present window that were read.
    read: u32,
    vocabulary: u32,
}

impl Scorer {
    pub(crate) fn new(
        model: &Arc<Model>,
        window: u32,
        threads: u32,
        abort: Arc<AtomicBool>,
    ) -> Result<Self, Error> {
        let batch = SCORED_TOKENS_MAX as u32;
        let options = ContextOptions {
            cells: window.max(batch),
            sequences: 1,
            batch,
            micro_batch: batch,
            threads,
            threads_batch: threads,
            kv_type: KvType::F16,
            flash_attention: None,
            pooling: None,
        };
        let context = Context::new(model, &options, abort)?;
        let vocabulary = rkllmjs_core::Tokenizer::vocabulary_size(model.as_ref());
        Ok(Self { context, batch: BatchBuffer::default(), window, read: 0, vocabulary })
    }

    pub(crate) fn window(&self) -> u32 {
        self.window
    }

    pub(crate) fn score(&mut self, piece: Scoring<'_>) -> Result<Vec<f32>, Error> {
        self.check(&piece)?;
        if piece.start == 0 {
            self.context.clear();
        }
        self.batch.clear();
        let unscored = piece.tokens.len() - piece.targets.len();
        for (position, (index, &token)) in (piece.start..).zip(piece.tokens.iter().enumerate()) {
            self.batch.push(token, position, 0, index >= unscored);
        }
        if self.context.decode(&mut self.batch)? != Computed::Done {
            return Err(Error::new(ErrorCode::EngineFailed, "the computation was interrupted"));
        }
        self.read = piece.start + piece.tokens.len() as u32;
        let mut scores = Vec::with_capacity(piece.targets.len());
        for (index, &target) in (unscored..).zip(piece.targets) {
            let index = i32::try_from(index).unwrap_or(i32::MAX);
            scores.push(log_probability(self.context.logits(index, self.vocabulary)?, target));
        }
        Ok(scores)
    }

    fn check(&self, piece: &Scoring<'_>) -> Result<(), Error> {
        let internal = |what: &str| Err(Error::new(ErrorCode::Internal, format!("a piece to score {what}")));
        let tokens = piece.tokens.len();
        if tokens == 0 || tokens > SCORED_TOKENS_MAX || piece.targets.len() > tokens {
            return internal("has no tokens, too many, or more targets than tokens");
        }
        if piece.start != 0 && piece.start != self.read {
            return internal("does not follow the one before");
        }
        if piece.start as usize + tokens > self.window as usize {
            return internal("is longer than its window");
        }
        let unknown = |&token: &Token| token >= self.vocabulary;
        if piece.tokens.iter().chain(piece.targets).any(unknown) {
            return internal("has a token outside the vocabulary");
        }
        Ok(())
    }
}

/// Logarithm of the softmax of `logits` at `token`.
fn log_probability(logits: &[f32], token: Token) -> f32 {
    let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit - best).exp()).sum();
    let logit = logits.get(token as usize).copied().unwrap_or(f32::NAN);
    (f64::from(logit) - f64::from(best) - sum.ln()) as f32
}

#[cfg(test)]
mod tests {
    use super::log_probability;

    #[test]
    fn probabilities_of_all_tokens_add_up_to_one() {
        let logits = [1.5, -2.0, 30.0, 29.5];
        let sum: f32 = (0..4).map(|token| log_probability(&logits, token).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        assert!((log_probability(&[0.0, 0.0], 1) - 0.5_f32.ln()).abs() < 1e-6);
    }
}
