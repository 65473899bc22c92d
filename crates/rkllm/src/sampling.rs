//! How a request's sampling becomes the runtime's.

use rkllmjs_core::{Error, OptionSupport, Sampling};

use crate::library::Abi;
use crate::session::{HandleSampling, SessionSettings};

/// What no version of the runtime lets a request choose.
const NEVER: [&str; 18] = [
    "min_p",
    "typical_p",
    "top_n_sigma",
    "xtc_probability",
    "dynatemp_range",
    "repeat_last_n",
    "dry_multiplier",
    "seed",
    "logit_bias",
    "ignore_eos",
    "grammar",
    "json_schema",
    "response_format",
    "regex",
    "samplers",
    "logprobs",
    "top_logprobs",
    "speculative",
];

/// What 1.2 fixes when a model is opened.
const FIXED_BY_1_2: [&str; 9] = [
    "temperature",
    "top_k",
    "top_p",
    "repeat_penalty",
    "frequency_penalty",
    "presence_penalty",
    "mirostat",
    "mirostat_tau",
    "mirostat_eta",
];

/// What a request may choose, and what holds otherwise.
pub(crate) fn option_support(abi: Abi, settings: &SessionSettings) -> OptionSupport {
    let mut fixed = NEVER.to_vec();
    if abi == Abi::V12 {
        fixed.extend(FIXED_BY_1_2);
    }
    let own = &settings.sampling;
    let defaults = Sampling {
        temperature: own.temperature,
        top_k: u32::try_from(own.top_k).unwrap_or(0),
        top_p: own.top_p,
        min_p: 0.0,
        repeat_penalty: own.repeat_penalty,
        frequency_penalty: own.frequency_penalty,
        presence_penalty: own.presence_penalty,
        mirostat: u32::try_from(own.mirostat).unwrap_or(0),
        mirostat_tau: own.mirostat_tau,
        mirostat_eta: own.mirostat_eta,
        ignore_end: settings.ignore_end,
        ..Sampling::default()
    };
    OptionSupport { defaults, fixed, draft_model: false }
}

/// The runtime's form of a request's sampling.
///
/// # Errors
///
/// `unsupported` for what `support` says that a request cannot choose: not every caller has built the
/// sampling from options.
pub(crate) fn handle_sampling(sampling: &Sampling, support: &OptionSupport) -> Result<HandleSampling, Error> {
    if sampling.grammar.is_some() {
        return Err(Error::unsupported("grammar", "is not something the NPU runtime can follow"));
    }
    if let Some(constraint) = &sampling.constraint {
        return Err(Error::unsupported(constraint.option(), "is not something the NPU runtime can follow"));
    }
    if sampling.logit_bias != support.defaults.logit_bias {
        return Err(Error::unsupported("logit_bias", "is not something the NPU runtime can apply"));
    }
    Ok(HandleSampling::from(sampling))
}

impl From<&Sampling> for HandleSampling {
    /// What the runtime knows of it; the rest is left out.
    fn from(sampling: &Sampling) -> Self {
        let greedy = sampling.temperature == 0.0;
        Self {
            // Its manual says that a temperature of 0 picks the best; one candidate leaves no doubt.
            top_k: if greedy { 1 } else { i32::try_from(sampling.top_k).unwrap_or(i32::MAX) },
            top_p: sampling.top_p,
            temperature: sampling.temperature,
            repeat_penalty: sampling.repeat_penalty,
            frequency_penalty: sampling.frequency_penalty,
            presence_penalty: sampling.presence_penalty,
            mirostat: i32::try_from(sampling.mirostat).unwrap_or(0),
            mirostat_tau: sampling.mirostat_tau,
            mirostat_eta: sampling.mirostat_eta,
        }
    }
}

/// The vendor's own defaults, as its manual gives them, in the terms of a request.
pub fn default_sampling() -> Sampling {
    let own = HandleSampling::default();
    Sampling {
        temperature: own.temperature,
        top_k: u32::try_from(own.top_k).unwrap_or(0),
        top_p: own.top_p,
        min_p: 0.0,
        repeat_penalty: own.repeat_penalty,
        ..Sampling::default()
    }
}
