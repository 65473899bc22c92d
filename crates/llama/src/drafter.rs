use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rkllmjs_core::{Error, ErrorCode, SequenceId, Special, Token, Tokenizer};

use crate::Model;
use crate::batch::BatchBuffer;
use crate::context::{Computed, Context, ContextOptions};
use crate::holders::Holders;

/// Most tokens that are read at once to catch up with a sequence; the rest waits for the next time, so that nobody
/// waits long.
const BATCH: u32 = 512;
/// Models of one family fill up their vocabularies to different sizes, by as much as this.
const VOCABULARY_DIFFERENCE_MAX: u32 = 128;

/// A smaller model that guesses what another will say, in a context of its own beside that one's.
#[derive(Debug)]
pub(crate) struct Drafter {
    model: Arc<Model>,
    context: Context,
    batch: BatchBuffer,
    holders: Holders,
    known: HashMap<SequenceId, Known>,
    /// Tokens from here on mean nothing to one of the two.
    vocabulary: u32,
}

/// What is in the cache of a sequence.
#[derive(Debug, Default)]
struct Known {
    /// So many of its tokens…
    certain: usize,
    /// …and these guesses after them.
    guessed: Vec<Token>,
}

/// A sequence to guess for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) sequence: SequenceId,
    /// All it has.
    pub(crate) tokens: &'a [Token],
    pub(crate) most: usize,
}

/// One that guesses are under way for.
#[derive(Debug, Clone, Copy)]
struct Asked {
    /// Its place among those that want guesses.
    place: usize,
    slot: i32,
    /// Where its next token goes.
    position: u32,
    /// Where in the batch its last token is.
    index: i32,
}

impl Drafter {
    /// `target` is the model to guess for, `options` those of its context.
    pub(crate) fn new(
        model: Arc<Model>,
        target: &Model,
        options: ContextOptions,
        abort: Arc<AtomicBool>,
    ) -> Result<Self, Error> {
        let vocabulary = check_vocabulary(&model, target)?;
        let options = ContextOptions { batch: BATCH.max(options.sequences), micro_batch: BATCH, ..options };
        let mut context = Context::new(&model, &options, abort)?;
        if model.is_recurrent() || model.has_sliding_window() || !context.can_share() {
            let message = "has a memory that cannot take back what was guessed wrong; take another model";
            return Err(Error::unsupported("draft_model", message));
        }
        let holders = Holders::new(options.sequences);
        Ok(Self { model, context, batch: BatchBuffer::default(), holders, known: HashMap::new(), vocabulary })
    }

    /// The context, to share its threads.
    pub(crate) fn context(&mut self) -> &mut Context {
        &mut self.context
    }

    /// Forgets a sequence.
    pub(crate) fn forget(&mut self, sequence: SequenceId) {
        self.known.remove(&sequence);
        if let Some(holder) = self.holders.give_back(sequence) {
            self.context.remove(holder.slot, 0);
        }
    }

    /// The likeliest tokens to follow each sequence, none for one that there is still much to read of.
    pub(crate) fn propose(&mut self, wanted: &[Wanted<'_>]) -> Result<Vec<Vec<Token>>, Error> {
        let mut drafts = vec![Vec::new(); wanted.len()];
        let mut asked = self.catch_up(wanted)?;
        while !asked.is_empty() {
            let mut going = Vec::with_capacity(asked.len());
            let mut guesses = Vec::with_capacity(asked.len());
            for one in asked {
                let token = best(self.context.logits(one.index, self.model.vocabulary_size())?);
                let (Some(draft), Some(want)) = (drafts.get_mut(one.place), wanted.get(one.place)) else {
                    continue;
                };
                if token >= self.vocabulary {
                    continue;
                }
                draft.push(token);
                if draft.len() < want.most && !self.model.is_end(token) {
                    going.push(one);
                    guesses.push((want.sequence, token));
                }
            }
            self.batch.clear();
            for (one, (_, token)) in going.iter_mut().zip(&guesses) {
                one.index = self.batch.push(*token, one.position, one.slot, true);
                one.position += 1;
            }
            if going.is_empty() || !self.compute(wanted)? {
                break;
            }
            for (sequence, token) in guesses {
                if let Some(known) = self.known.get_mut(&sequence) {
                    known.guessed.push(token);
                }
            }
            asked = going;
        }
        Ok(drafts)
    }

    /// Reads what the sequences have become. Those that are read to their end can be guessed for.
    fn catch_up(&mut self, wanted: &[Wanted<'_>]) -> Result<Vec<Asked>, Error> {
        self.batch.clear();
        let (mut asked, mut read) = (Vec::new(), Vec::new());
        let mut budget = BATCH as usize;
        for (place, want) in wanted.iter().enumerate() {
            let Some(slot) = self.agree(want) else { continue };
            let certain = self.known.get(&want.sequence).map_or(0, |known| known.certain);
            let unread = want.tokens.get(certain..).unwrap_or_default();
            let count = unread.len().min(budget);
            if want.most == 0 || unread.iter().take(count).any(|&token| token >= self.vocabulary) {
                continue;
            }
            budget -= count;
            let first = u32::try_from(certain).unwrap_or(u32::MAX);
            for (position, (read, &token)) in (first..).zip((1..).zip(unread.iter().take(count))) {
                let is_last = read == unread.len();
                let index = self.batch.push(token, position, slot, is_last);
                if is_last {
                    asked.push(Asked { place, slot, position: position + 1, index });
                }
            }
            read.push((want.sequence, count));
        }
        if self.batch.len() == 0 || !self.compute(wanted)? {
            return Ok(Vec::new());
        }
        for (sequence, count) in read {
            if let Some(known) = self.known.get_mut(&sequence) {
                known.certain += count;
            }
        }
        Ok(asked)
    }

    /// Takes back what was guessed wrong of a sequence. Its id in the cache; none if there is no room for it.
    fn agree(&mut self, want: &Wanted<'_>) -> Option<i32> {
        let slot = self.holders.take(want.sequence)?.slot;
        let known = self.known.entry(want.sequence).or_default();
        let came = want.tokens.get(known.certain..).unwrap_or_default();
        known.certain += known.guessed.iter().zip(came).take_while(|(guess, token)| guess == token).count();
        // What follows the last token must be computed to be known.
        known.certain = known.certain.min(want.tokens.len().saturating_sub(1));
        known.guessed.clear();
        self.context.remove(slot, u32::try_from(known.certain).unwrap_or(u32::MAX));
        Some(slot)
    }

    /// Computes the batch. False if it was stopped.
    fn compute(&mut self, wanted: &[Wanted<'_>]) -> Result<bool, Error> {
        match self.context.decode(&mut self.batch)? {
            Computed::Done => Ok(true),
            Computed::Aborted => {
                for want in wanted {
                    self.agree(want);
                }
                Ok(false)
            }
            Computed::CacheFull => {
                self.context.clear();
                let sequences: Vec<SequenceId> = self.known.keys().copied().collect();
                sequences.into_iter().for_each(|sequence| self.forget(sequence));
                Err(Error::new(ErrorCode::EngineFailed, "the cache of the draft model is full"))
            }
        }
    }
}

/// How many tokens mean the same to both models.
///
/// # Errors
///
/// `invalid-request` if that is not nearly all of them.
fn check_vocabulary(draft: &Model, target: &Model) -> Result<u32, Error> {
    let (small, large) = (draft.vocabulary_size(), target.vocabulary_size());
    if small.abs_diff(large) > VOCABULARY_DIFFERENCE_MAX {
        let message = format!("has {small} tokens where the model has {large}; take one of the same family");
        return Err(Error::option("draft_model", message));
    }
    let common = small.min(large);
    let piece = |model: &Model, token| model.piece(token, Special { add: false, parse: true });
    let other = (0..common).find(|&token| piece(draft, token) != piece(target, token));
    match other {
        None => Ok(common),
        Some(token) => {
            let text = |model| String::from_utf8_lossy(&piece(model, token)).into_owned();
            let message = format!(
                "has another vocabulary than the model: token {token} is {:?} there and {:?} here; take one of the \
                 same family",
                text(draft),
                text(target),
            );
            Err(Error::option("draft_model", message))
        }
    }
}

/// The number of the highest logit.
fn best(logits: &[f32]) -> Token {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let place = logits.iter().position(|&logit| logit >= highest).unwrap_or(0);
    u32::try_from(place).unwrap_or(0)
}
