//! How one sequence chooses its tokens: a chain of llama.cpp's samplers, applied one by one so that
//! every draw is ours.

use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::Arc;

use llama_cpp_sys_2 as sys;
use rkllmjs_core::{Error, ErrorCode, SamplerKind, Sampling, Token, Tokenizer};

use crate::random::uniform;
use crate::{Model, ffi, log};

/// Places where DRY's search for repeats starts anew; the ones its author recommends.
const DRY_BREAKERS: [&std::ffi::CStr; 4] = [c"\n", c":", c"\"", c"*"];
/// Mirostat 1 estimates the distribution's tail from this many tokens, as in its paper.
const MIROSTAT_TOKENS: i32 = 100;

/// One sampler of llama.cpp.
#[derive(Debug)]
struct RawSampler(NonNull<sys::llama_sampler>);

// SAFETY: a sampler is plain memory; only the thread that owns the engine uses it.
unsafe impl Send for RawSampler {}

impl RawSampler {
    fn from_raw(raw: *mut sys::llama_sampler, what: &str) -> Result<Self, Error> {
        NonNull::new(raw)
            .map(Self)
            .ok_or_else(|| Error::new(ErrorCode::EngineFailed, format!("llama.cpp made no {what} sampler")))
    }

    fn apply(&mut self, candidates: &mut sys::llama_token_data_array) -> Result<(), Error> {
        // SAFETY: the candidates are a valid array of `size` entries; exceptions are caught.
        let status = unsafe { ffi::rkllmjs_llama_sampler_apply(self.0.as_ptr(), candidates) };
        threw(status)
    }

    fn accept(&mut self, token: Token) -> Result<(), Error> {
        // SAFETY: the sampler is alive; exceptions are caught.
        let status = unsafe { ffi::rkllmjs_llama_sampler_accept(self.0.as_ptr(), token.cast_signed()) };
        threw(status)
    }
}

impl Drop for RawSampler {
    fn drop(&mut self) {
        // SAFETY: freed once.
        unsafe { sys::llama_sampler_free(self.0.as_ptr()) }
    }
}

fn threw(status: i32) -> Result<(), Error> {
    if status == 0 {
        return Ok(());
    }
    Err(Error::new(ErrorCode::EngineFailed, format!("sampling failed: {}", ffi::message())))
}

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
            Error::new(ErrorCode::InvalidRequest, "logit_bias, ignore_eos or the samplers leave no token to choose from")
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

fn grammar_sampler(model: &Model, text: &str) -> Result<RawSampler, Error> {
    let bad = |why: String| Error::option("grammar", format!("is not valid GBNF: {why}"));
    let text = CString::new(text).map_err(|_| bad("it holds a NUL character".to_owned()))?;
    log::take_error();
    // SAFETY: the vocabulary lives as long as the model; the strings end in NUL.
    let raw = unsafe { ffi::rkllmjs_llama_grammar_new(model.raw_vocab(), text.as_ptr(), c"root".as_ptr()) };
    let made = NonNull::new(raw).map(RawSampler);
    // A left-recursive grammar leaves a sampler without a grammar behind, and a line in the log.
    match log::take_error() {
        Some(line) => Err(bad(line)),
        None => made.ok_or_else(|| bad(ffi::message())),
    }
}

/// The links of the chain in the request's order, without those whose values do nothing.
fn links(model: &Arc<Model>, s: &Sampling) -> Result<Vec<Link>, Error> {
    let mut links = Vec::new();
    if let Some(sampler) = bias(model, s)? {
        links.push(Link { sampler, chance: None });
    }
    for &kind in &s.order {
        // Mirostat replaces what truncates.
        let with_mirostat = matches!(kind, SamplerKind::Penalties | SamplerKind::Dry | SamplerKind::Temperature);
        if s.mirostat > 0 && s.temperature > 0.0 && !with_mirostat {
            continue;
        }
        if let Some(raw) = raw_link(model, s, kind) {
            let sampler = RawSampler::from_raw(raw, "chain")?;
            let chance = (kind == SamplerKind::Xtc).then_some(f64::from(s.xtc_probability));
            links.push(Link { sampler, chance });
        }
    }
    if s.mirostat > 0 && s.temperature > 0.0 {
        let vocabulary = model.vocabulary_size().cast_signed();
        // SAFETY: plain constructors.
        let raw = unsafe {
            if s.mirostat == 1 {
                sys::llama_sampler_init_mirostat(vocabulary, s.seed, s.mirostat_tau, s.mirostat_eta, MIROSTAT_TOKENS)
            } else {
                sys::llama_sampler_init_mirostat_v2(s.seed, s.mirostat_tau, s.mirostat_eta)
            }
        };
        links.push(Link { sampler: RawSampler::from_raw(raw, "mirostat")?, chance: None });
    }
    Ok(links)
}

fn bias(model: &Model, s: &Sampling) -> Result<Option<RawSampler>, Error> {
    let mut biases: Vec<sys::llama_logit_bias> = s
        .logit_bias
        .iter()
        .map(|&(token, bias)| sys::llama_logit_bias { token: token.cast_signed(), bias })
        .collect();
    if s.ignore_end {
        let banned = |token: Token| sys::llama_logit_bias { token: token.cast_signed(), bias: f32::NEG_INFINITY };
        biases.extend(model.end_tokens().into_iter().map(banned));
    }
    if biases.is_empty() {
        return Ok(None);
    }
    let count = i32::try_from(biases.len()).unwrap_or(i32::MAX);
    let vocabulary = model.vocabulary_size().cast_signed();
    // SAFETY: the array has `count` entries and is copied.
    let raw = unsafe { sys::llama_sampler_init_logit_bias(vocabulary, count, biases.as_ptr()) };
    RawSampler::from_raw(raw, "logit bias").map(Some)
}

/// A new sampler of this kind; `None` where the options leave it without effect.
fn raw_link(model: &Model, s: &Sampling, kind: SamplerKind) -> Option<*mut sys::llama_sampler> {
    let vocabulary = model.vocabulary_size().cast_signed();
    let last_n = i32::try_from(s.repeat_last_n).unwrap_or(1 << 20).min(1 << 20);
    // SAFETY: plain constructors of values; DRY copies the breakers, which are static.
    unsafe {
        match kind {
            SamplerKind::Penalties => (last_n > 0
                && (s.repeat_penalty != 1.0 || s.frequency_penalty != 0.0 || s.presence_penalty != 0.0))
                .then(|| {
                    sys::llama_sampler_init_penalties(
                        vocabulary,
                        last_n,
                        s.repeat_penalty,
                        s.frequency_penalty,
                        s.presence_penalty,
                    )
                }),
            SamplerKind::Dry => (s.dry_multiplier != 0.0).then(|| {
                let mut breakers = DRY_BREAKERS.map(std::ffi::CStr::as_ptr);
                sys::llama_sampler_init_dry(
                    model.raw_vocab(),
                    s.dry_multiplier,
                    s.dry_base,
                    i32::try_from(s.dry_allowed_length).unwrap_or(i32::MAX),
                    1 << 20,
                    breakers.as_mut_ptr(),
                    breakers.len(),
                )
            }),
            SamplerKind::TopNSigma => (s.top_n_sigma > 0.0).then(|| sys::llama_sampler_init_top_n_sigma(s.top_n_sigma)),
            SamplerKind::TopK => (s.top_k > 0 && s.top_k < model.vocabulary_size())
                .then(|| sys::llama_sampler_init_top_k(s.top_k.cast_signed())),
            SamplerKind::TypicalP => (s.typical_p < 1.0).then(|| sys::llama_sampler_init_typical(s.typical_p, 1)),
            SamplerKind::TopP => (s.top_p < 1.0).then(|| sys::llama_sampler_init_top_p(s.top_p, 1)),
            SamplerKind::MinP => (s.min_p > 0.0).then(|| sys::llama_sampler_init_min_p(s.min_p, 1)),
            // Its own coin always falls right: the chance is decided by the link.
            SamplerKind::Xtc => (s.xtc_probability > 0.0 && s.xtc_threshold <= 0.5)
                .then(|| sys::llama_sampler_init_xtc(1.0, s.xtc_threshold, 1, s.seed)),
            SamplerKind::Temperature => (s.temperature > 0.0 && (s.temperature != 1.0 || s.dynatemp_range > 0.0))
                .then(|| sys::llama_sampler_init_temp_ext(s.temperature, s.dynatemp_range, 1.0)),
        }
    }
}
