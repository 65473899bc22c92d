//! How one sequence chooses its tokens: a chain of llama.cpp's samplers, applied one by one so that
//! every draw is ours.

mod chain;
mod raw;

use std::sync::Arc;

use llama_cpp_sys_2 as sys;
use rkllmjs_core::{Error, ErrorCode, Sampling, Token, Tokenizer};

use crate::Model;
use crate::random::uniform;
use chain::{grammar_sampler, links};
use raw::RawSampler;

/// A member of the chain.
#[derive(Debug)]
struct Link {
    sampler: RawSampler,
    /// Applied only with this probability; the coin is ours.
    chance: Option<f64>,
}

/// How the last token is picked from what the chain leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pick {
    /// The most likely one.
    Best,
    /// One at random by probability.
    Draw,
    /// The one the last link selected.
    Selected,
}

/// Chooses the tokens of one sequence.
#[derive(Debug)]
pub(crate) struct SequenceSampler {
    links: Vec<Link>,
    grammar: Option<RawSampler>,
    pick: Pick,
    seed: u32,
    position: u64,
    /// Keeps the vocabulary that the samplers point into.
    model: Arc<Model>,
}

impl SequenceSampler {
    /// Builds the chain. `prompt` is what the penalties may look back at.
    pub(crate) fn new(model: &Arc<Model>, sampling: &Sampling, prompt: &[Token]) -> Result<Self, Error> {
        let grammar = sampling.grammar.as_deref().map(|text| grammar_sampler(model, text)).transpose()?;
        let mut this = Self {
            links: links(model, sampling)?,
            grammar,
            pick: if sampling.temperature == 0.0 {
                Pick::Best
            } else if sampling.mirostat > 0 {
                Pick::Selected
            } else {
                Pick::Draw
            },
            seed: sampling.seed,
            position: 0,
            model: Arc::clone(model),
        };
        for &token in prompt {
            for link in &mut this.links {
                link.sampler.accept(token)?;
            }
        }
        Ok(this)
    }

    /// Chooses the token that follows `logits`. `candidates` is scratch memory.
    pub(crate) fn sample(
        &mut self,
        logits: &[f32],
        candidates: &mut Vec<sys::llama_token_data>,
    ) -> Result<Token, Error> {
        if logits.iter().any(|x| x.is_nan()) {
            let message = "the model computed values that are no numbers (NaN); its weights are damaged";
            return Err(Error::new(ErrorCode::EngineFailed, message));
        }
        let token = if self.links.is_empty() && self.grammar.is_none() && self.pick == Pick::Best {
            best(logits)
        } else {
            self.sample_by_chain(logits, candidates)?
        };
        self.position += 1;
        for link in &mut self.links {
            link.sampler.accept(token)?;
        }
        if let Some(grammar) = &mut self.grammar {
            grammar.accept(token)?;
        }
        Ok(token)
    }

    /// Checking one token against a grammar is cheap and checking all of them is not, so the chain
    /// runs first and the grammar masks everything only when it refuses the choice. What is drawn
    /// either way follows the same distribution: the chain's, conditioned on what the grammar allows.
    fn sample_by_chain(
        &mut self,
        logits: &[f32],
        candidates: &mut Vec<sys::llama_token_data>,
    ) -> Result<Token, Error> {
        fill(candidates, logits);
        let token = self.run_chain(candidates, 0)?;
        let Some(grammar) = &mut self.grammar else { return Ok(token) };
        let mut only = [sys::llama_token_data { id: token.cast_signed(), logit: 1.0, p: 0.0 }];
        grammar.apply(&mut array(&mut only))?;
        let [checked] = only;
        if checked.logit != f32::NEG_INFINITY {
            return Ok(token);
        }
        fill(candidates, logits);
        grammar.apply(&mut array(candidates))?;
        candidates.retain(|c| c.logit != f32::NEG_INFINITY);
        if candidates.is_empty() {
            let message = "no token of the vocabulary continues the grammar from here";
            return Err(Error::new(ErrorCode::InvalidRequest, message));
        }
        let token = self.run_chain(candidates, 1)?;
        Ok(token)
    }

    fn run_chain(&mut self, candidates: &mut [sys::llama_token_data], attempt: u64) -> Result<Token, Error> {
        let mut array = array(candidates);
        for link in &mut self.links {
            let skip = link.chance.is_some_and(|p| uniform(self.seed, self.position, 2 + attempt) >= p);
            if !skip {
                link.sampler.apply(&mut array)?;
            }
        }
        // SAFETY: a sampler may shorten or reorder the array it was given, within its memory.
        let left = unsafe { std::slice::from_raw_parts(array.data, array.size) };
        let selected = match self.pick {
            Pick::Selected => usize::try_from(array.selected).ok(),
            Pick::Best => best_candidate(left),
            Pick::Draw => draw(left, uniform(self.seed, self.position, attempt)),
        };
        let token = selected.and_then(|i| left.get(i)).map(|c| c.id.cast_unsigned());
        // Only a chain that bans everything leaves nothing; the vocabulary bounds what is left.
        token.filter(|&t| t < self.model.vocabulary_size()).ok_or_else(|| {
            Error::new(
                ErrorCode::InvalidRequest,
                "logit_bias, ignore_eos or the samplers leave no token to choose from",
            )
        })
    }
}

fn array(candidates: &mut [sys::llama_token_data]) -> sys::llama_token_data_array {
    sys::llama_token_data_array {
        data: candidates.as_mut_ptr(),
        size: candidates.len(),
        selected: -1,
        sorted: false,
    }
}

fn fill(candidates: &mut Vec<sys::llama_token_data>, logits: &[f32]) {
    candidates.clear();
    candidates.extend((0_i32..).zip(logits).map(|(id, &logit)| sys::llama_token_data { id, logit, p: 0.0 }));
}

/// The number of the highest logit, the lowest number among equal ones.
fn best(logits: &[f32]) -> Token {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let place = logits.iter().position(|&x| x >= highest).unwrap_or(0);
    u32::try_from(place).unwrap_or(0)
}

fn best_candidate(left: &[sys::llama_token_data]) -> Option<usize> {
    let allowed = left.iter().enumerate().filter(|(_, c)| c.logit > f32::NEG_INFINITY);
    allowed.max_by(|(_, a), (_, b)| a.logit.total_cmp(&b.logit).then(b.id.cmp(&a.id))).map(|(i, _)| i)
}

/// Where `u` of the probability mass falls: softmax over the logits that are left.
fn draw(left: &[sys::llama_token_data], u: f64) -> Option<usize> {
    let best = left.iter().map(|c| c.logit).fold(f32::NEG_INFINITY, f32::max);
    if best == f32::NEG_INFINITY {
        return None;
    }
    let weight = |c: &sys::llama_token_data| f64::from(c.logit - best).exp();
    let mut target = u * left.iter().map(weight).sum::<f64>();
    let mut last = None;
    for (place, candidate) in left.iter().enumerate() {
        let weight = weight(candidate);
        if weight > 0.0 {
            last = Some(place);
            target -= weight;
            if target < 0.0 {
                break;
            }
        }
    }
    last
}
