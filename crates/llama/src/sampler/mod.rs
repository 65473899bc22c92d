//! How one sequence chooses its tokens: a chain of llama.cpp's samplers, applied one by one so that
//! every draw is ours.

mod chain;
mod grammar;
mod mirostat;
mod raw;
mod repetition;
mod rule;

use std::sync::Arc;

use llama_cpp_sys_2 as sys;
use rkllmjs_core::{Error, ErrorCode, Sampling, Special, ThoughtMeter, Token, Tokenizer};

use crate::Model;
use crate::random::uniform;
use chain::links;
use mirostat::Mirostat;
use raw::RawSampler;
use rule::Rule;

/// Below this share of the best one's probability, as a logarithm, a candidate's own would be 0 in
/// single precision.
const NEGLIGIBLE: f32 = 80.0;
/// A temperature below this would overflow the logits it divides; it tells apart what differs in
/// the last bit, so the most likely token is what it picks.
const COLDEST: f32 = 1e-6;

/// A member of the chain.
#[derive(Debug)]
struct Link {
    sampler: RawSampler,
    /// Applied only with this probability; the coin is ours.
    chance: Option<f64>,
    /// It bans by setting logits to negative infinity, which the samplers after it must not see:
    /// they count such candidates, and compute 0 · ∞ with them.
    bans: bool,
    /// It takes the logarithm of every probability, so none may be 0.
    needs_mass: bool,
}

/// How the last token is picked from what the chain leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pick {
    /// The most likely one.
    Best,
    /// One at random by probability.
    Draw,
}

/// Chooses the tokens of one sequence.
#[derive(Debug)]
pub(crate) struct SequenceSampler {
    links: Vec<Link>,
    mirostat: Option<Mirostat>,
    rule: Option<Rule>,
    thoughts: Option<ThoughtMeter>,
    pick: Pick,
    seed: u32,
    position: u64,
    /// Has the vocabulary that the samplers point into.
    model: Arc<Model>,
}

impl SequenceSampler {
    /// Builds the chain. `prompt` is what the penalties may look back at.
    pub(crate) fn new(model: &Arc<Model>, sampling: &Sampling, prompt: &[Token]) -> Result<Self, Error> {
        let greedy = sampling.temperature < COLDEST;
        let mirostat = sampling.mirostat > 0 && !greedy;
        let mut this = Self {
            links: links(model, sampling, mirostat)?,
            mirostat: mirostat.then(|| Mirostat::new(sampling, model.vocabulary_size())),
            rule: Rule::new(model, sampling)?,
            thoughts: sampling.thoughts.clone().map(ThoughtMeter::new),
            pick: if greedy { Pick::Best } else { Pick::Draw },
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
        if logits.iter().any(|&x| x.is_nan() || x == f32::INFINITY) {
            let message =
                "the model computed values that are no numbers (NaN or infinity); its weights are damaged";
            return Err(Error::new(ErrorCode::EngineFailed, message));
        }
        let token = if let Some(token) = self.forced()? {
            token
        } else if self.links.is_empty() && !self.is_bound() && self.pick == Pick::Best {
            best(logits)
        } else {
            let chosen = self.sample_by_chain(logits, candidates)?;
            if let Some(mirostat) = &mut self.mirostat {
                mirostat.learn(chosen);
            }
            chosen.id.cast_unsigned()
        };
        self.position += 1;
        for link in &mut self.links {
            link.sampler.accept(token)?;
        }
        if let Some(rule) = &mut self.rule {
            rule.accept(token, &self.model)?;
        }
        if let Some(thoughts) = &mut self.thoughts {
            thoughts.accept(token, &self.model.piece(token, Special { add: false, parse: true }));
        }
        Ok(token)
    }

    /// The token that has to come, where thoughts are at their limit. A rule that does not know them has none.
    fn forced(&mut self) -> Result<Option<Token>, Error> {
        let Some(token) = self.thoughts.as_ref().and_then(ThoughtMeter::forced) else { return Ok(None) };
        let Some(rule) = self.rule.as_mut().filter(|rule| rule.binds()) else { return Ok(Some(token)) };
        let mut candidate = [sys::llama_token_data { id: token.cast_signed(), logit: 0.0, p: 0.0 }];
        let is_allowed = !rule.among(&mut candidate, &self.model)?.is_empty();
        Ok(is_allowed.then_some(token))
    }

    /// Whether something holds the text of the next token.
    fn is_bound(&self) -> bool {
        self.rule.as_ref().is_some_and(Rule::binds)
    }

    /// Checking one token against a grammar is cheap and checking all of them is not, so the chain
    /// runs first, and the rule masks what the chain leaves only when it refuses the choice. What
    /// is drawn either way follows the same distribution: the chain's, conditioned on what the
    /// rule allows. Where the chain leaves nothing of that, it runs again on all that is allowed.
    fn sample_by_chain(
        &mut self,
        logits: &[f32],
        candidates: &mut Vec<sys::llama_token_data>,
    ) -> Result<sys::llama_token_data, Error> {
        fill(candidates, logits);
        let left = self.run_chain(candidates)?;
        let chosen = self.choose(left, 0).ok_or_else(nothing_left)?;
        let Some(rule) = self.rule.as_mut().filter(|rule| rule.binds()) else { return Ok(chosen) };
        if !rule.among(&mut [chosen], &self.model)?.is_empty() {
            return Ok(chosen);
        }
        let left = rule.among(left, &self.model)?;
        if let Some(chosen) = self.choose(left, 1) {
            return Ok(chosen);
        }
        fill(candidates, logits);
        let Some(rule) = &mut self.rule else { return Ok(chosen) };
        let valid = rule.among_all(candidates, &self.model)?;
        if valid.is_empty() {
            return Err(rule.dead_end());
        }
        let left = self.run_chain(valid)?;
        self.choose(left, 1).ok_or_else(nothing_left)
    }

    /// What the chain leaves of `candidates`, with the logits it gives them.
    fn run_chain<'a>(
        &mut self,
        candidates: &'a mut [sys::llama_token_data],
    ) -> Result<&'a mut [sys::llama_token_data], Error> {
        let mut left = candidates;
        for link in &mut self.links {
            if link.chance.is_some_and(|p| uniform(self.seed, self.position, 2) >= p) {
                continue;
            }
            if link.needs_mass {
                let floor = highest(left) - NEGLIGIBLE;
                left = keep_above(left, floor);
            }
            if left.is_empty() {
                return Err(nothing_left());
            }
            left = link.sampler.apply(left)?;
            if link.bans {
                left = keep_above(left, f32::NEG_INFINITY);
            }
        }
        if let Some(mirostat) = &mut self.mirostat {
            left = mirostat.cut(left);
        }
        Ok(left)
    }

    /// One of `left`; none only if there is none.
    fn choose(&self, left: &[sys::llama_token_data], attempt: u64) -> Option<sys::llama_token_data> {
        let place = match self.pick {
            Pick::Best => best_candidate(left),
            Pick::Draw => draw(left, uniform(self.seed, self.position, attempt)),
        };
        place.and_then(|place| left.get(place)).copied()
    }
}

#[cold]
fn nothing_left() -> Error {
    let message = "logit_bias, ignore_eos or the samplers leave no token to choose from";
    Error::new(ErrorCode::InvalidRequest, message)
}

/// Those of `candidates` with a logit above `floor`, in their order.
fn keep_above(candidates: &mut [sys::llama_token_data], floor: f32) -> &mut [sys::llama_token_data] {
    let mut kept = 0;
    for i in 0..candidates.len() {
        if candidates.get(i).is_some_and(|c| c.logit > floor) {
            candidates.swap(kept, i);
            kept += 1;
        }
    }
    candidates.get_mut(..kept).unwrap_or_default()
}

fn highest(candidates: &[sys::llama_token_data]) -> f32 {
    candidates.iter().map(|c| c.logit).fold(f32::NEG_INFINITY, f32::max)
}

/// The candidates of `logits`: every token but those that the model itself rules out.
fn fill(candidates: &mut Vec<sys::llama_token_data>, logits: &[f32]) {
    let possible = (0_i32..).zip(logits).filter(|&(_, &logit)| logit > f32::NEG_INFINITY);
    candidates.clear();
    candidates.extend(possible.map(|(id, &logit)| sys::llama_token_data { id, logit, p: 0.0 }));
}

/// The number of the highest logit, the lowest number among equal ones.
fn best(logits: &[f32]) -> Token {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let place = logits.iter().position(|&x| x >= highest).unwrap_or(0);
    u32::try_from(place).unwrap_or(0)
}

fn best_candidate(left: &[sys::llama_token_data]) -> Option<usize> {
    let candidates = left.iter().enumerate().filter(|(_, c)| c.logit > f32::NEG_INFINITY);
    candidates.max_by(|(_, a), (_, b)| a.logit.total_cmp(&b.logit).then(b.id.cmp(&a.id))).map(|(i, _)| i)
}

/// Where `u` of the probability mass falls: softmax over the logits that are left.
fn draw(left: &[sys::llama_token_data], u: f64) -> Option<usize> {
    let best = highest(left);
    if best.is_infinite() {
        // Nothing left, or a logit that overflowed: that candidate is certain.
        return left.iter().position(|c| c.logit == f32::INFINITY);
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
