use std::sync::Arc;

use llama_cpp_sys_2 as sys;
use rkllmjs_core::{Error, SamplerKind, Sampling, Token, Tokenizer};

use super::raw::RawSampler;
use super::{COLDEST, Link};
use crate::Model;

/// Places where DRY's search for repeats starts anew; the ones its author recommends.
const DRY_BREAKERS: [&std::ffi::CStr; 4] = [c"\n", c":", c"\"", c"*"];
/// The penalties' memory is allocated at this size, so it is bounded here and not by the context.
const LOOK_BACK_MAX: u32 = 1 << 20;

/// The links of the chain in the request's order, without those whose values do nothing.
pub(super) fn links(model: &Arc<Model>, s: &Sampling, mirostat: bool) -> Result<Vec<Link>, Error> {
    let mut links = Vec::new();
    if let Some(sampler) = bias(model, s)? {
        links.push(Link { sampler, chance: None, bans: true, needs_mass: false });
    }
    for &kind in &s.order {
        // Mirostat replaces what truncates.
        let with_mirostat =
            matches!(kind, SamplerKind::Penalties | SamplerKind::Dry | SamplerKind::Temperature);
        if mirostat && !with_mirostat {
            continue;
        }
        if let Some(raw) = raw_link(model, s, kind) {
            links.push(Link {
                sampler: RawSampler::from_raw(raw, "chain")?,
                chance: (kind == SamplerKind::Xtc).then_some(f64::from(s.xtc_probability)),
                bans: matches!(kind, SamplerKind::Dry | SamplerKind::TopNSigma | SamplerKind::Temperature),
                needs_mass: kind == SamplerKind::TypicalP,
            });
        }
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
        let banned =
            |token: Token| sys::llama_logit_bias { token: token.cast_signed(), bias: f32::NEG_INFINITY };
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
    match kind {
        SamplerKind::Penalties => penalties(model, s),
        SamplerKind::Dry => (s.dry_multiplier != 0.0).then(|| dry(model, s)),
        SamplerKind::TopNSigma => (s.top_n_sigma > 0.0).then(|| {
            // SAFETY: a plain constructor.
            unsafe { sys::llama_sampler_init_top_n_sigma(s.top_n_sigma) }
        }),
        SamplerKind::TopK => (s.top_k > 0 && s.top_k < model.vocabulary_size()).then(|| {
            // SAFETY: a plain constructor.
            unsafe { sys::llama_sampler_init_top_k(s.top_k.cast_signed()) }
        }),
        SamplerKind::TypicalP => (s.typical_p < 1.0).then(|| {
            // SAFETY: a plain constructor.
            unsafe { sys::llama_sampler_init_typical(s.typical_p, 1) }
        }),
        SamplerKind::TopP => (s.top_p < 1.0).then(|| {
            // SAFETY: a plain constructor.
            unsafe { sys::llama_sampler_init_top_p(s.top_p, 1) }
        }),
        SamplerKind::MinP => (s.min_p > 0.0).then(|| {
            // SAFETY: a plain constructor.
            unsafe { sys::llama_sampler_init_min_p(s.min_p, 1) }
        }),
        SamplerKind::Xtc => (s.xtc_probability > 0.0 && s.xtc_threshold <= 0.5).then(|| {
            // Its own coin always falls right: the chance is decided by the link.
            // SAFETY: a plain constructor.
            unsafe { sys::llama_sampler_init_xtc(1.0, s.xtc_threshold, 1, s.seed) }
        }),
        SamplerKind::Temperature => {
            let neutral = s.temperature == 1.0 && s.dynatemp_range == 0.0;
            (s.temperature >= COLDEST && !neutral).then(|| {
                // SAFETY: a plain constructor.
                unsafe { sys::llama_sampler_init_temp_ext(s.temperature, s.dynatemp_range, 1.0) }
            })
        }
    }
}

fn penalties(model: &Model, s: &Sampling) -> Option<*mut sys::llama_sampler> {
    let neutral = s.repeat_penalty == 1.0 && s.frequency_penalty == 0.0 && s.presence_penalty == 0.0;
    if neutral || s.repeat_last_n == 0 {
        return None;
    }
    let vocabulary = model.vocabulary_size().cast_signed();
    let (repeat, frequency, presence) = (s.repeat_penalty, s.frequency_penalty, s.presence_penalty);
    // SAFETY: a plain constructor.
    Some(unsafe { sys::llama_sampler_init_penalties(vocabulary, look_back(s), repeat, frequency, presence) })
}

/// How many tokens the penalties remember; more than any context is as good as all.
fn look_back(s: &Sampling) -> i32 {
    s.repeat_last_n.min(LOOK_BACK_MAX).cast_signed()
}

fn dry(model: &Model, s: &Sampling) -> *mut sys::llama_sampler {
    let mut breakers = DRY_BREAKERS.map(std::ffi::CStr::as_ptr);
    let allowed = i32::try_from(s.dry_allowed_length).unwrap_or(i32::MAX);
    // SAFETY: the vocabulary is alive; the breakers end in NUL and are copied.
    unsafe {
        sys::llama_sampler_init_dry(
            model.raw_vocab(),
            s.dry_multiplier,
            s.dry_base,
            allowed,
            LOOK_BACK_MAX.cast_signed(),
            breakers.as_mut_ptr(),
            breakers.len(),
        )
    }
}
