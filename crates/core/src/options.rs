use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::speculation::DRAFTS_DEFAULT;
use crate::{
    Adapters, CONTROL_VECTOR_PREFIX, Constraint, Error, OptionSupport, Request, SamplerKind, Sampling,
    Speculation, SpeculationMode, StopRules, Token,
};

/// One generation option: its name, default, range and meaning. The documentation's table of
/// options is written from these rows, and values are checked against them.
#[derive(Debug, Clone, Copy)]
pub struct OptionFact {
    /// Its name in `snake_case`.
    pub name: &'static str,
    /// Its default, as text for people.
    pub default: &'static str,
    /// The smallest allowed number.
    pub min: f64,
    /// The largest allowed number.
    pub max: f64,
    /// Whether it must be whole.
    pub whole: bool,
    /// What it does, in one sentence.
    pub meaning: &'static str,
}

const fn real(
    name: &'static str,
    default: &'static str,
    min: f64,
    max: f64,
    meaning: &'static str,
) -> OptionFact {
    OptionFact { name, default, min, max, whole: false, meaning }
}

impl OptionFact {
    /// A row for a whole number.
    pub const fn whole(
        name: &'static str,
        default: &'static str,
        min: f64,
        max: f64,
        meaning: &'static str,
    ) -> Self {
        Self { name, default, min, max, whole: true, meaning }
    }

    /// A value within the row's range.
    ///
    /// # Errors
    ///
    /// `invalid-request` naming the option.
    pub fn check(&self, value: f64) -> Result<f64, Error> {
        if self.whole && value.fract() != 0.0 {
            return Err(Error::option(self.name, format!("must be a whole number, got {value}")));
        }
        // Written so that NaN, which is in no range, fails too.
        if !(value >= self.min && value <= self.max) {
            let message = format!("must be between {} and {}, got {value}", self.min, self.max);
            return Err(Error::option(self.name, message));
        }
        Ok(value)
    }
}

const U32_MAX: f64 = 4_294_967_295.0;

/// Every numeric generation option.
pub const OPTIONS: [OptionFact; 30] = [
    OptionFact::whole(
        "max_tokens",
        "up to the end of the context",
        1.0,
        2_147_483_647.0,
        "Most tokens of one answer.",
    ),
    real("temperature", "0.8", 0.0, 100.0, "Divides the logits; 0 always picks the most likely token."),
    OptionFact::whole(
        "top_k",
        "40",
        0.0,
        2_147_483_647.0,
        "Keeps this many most likely tokens; 0 keeps all.",
    ),
    real("top_p", "0.95", 0.0, 1.0, "Keeps the smallest set with this much probability; 1 keeps all."),
    real("min_p", "0.05", 0.0, 1.0, "Keeps tokens with at least this share of the best one's probability."),
    real("typical_p", "1", 0.0, 1.0, "Keeps the locally typical set of this mass; 1 keeps all."),
    real(
        "top_n_sigma",
        "0",
        0.0,
        1e6,
        "Keeps logits within this many standard deviations of the best; 0 is off.",
    ),
    real(
        "xtc_probability",
        "0",
        0.0,
        1.0,
        "Chance of dropping all top choices but the least likely; 0 is off.",
    ),
    real("xtc_threshold", "0.1", 0.0, 1.0, "Probability that makes a top choice; above 0.5 XTC is off."),
    real(
        "dynatemp_range",
        "0",
        0.0,
        100.0,
        "Half-width of the temperature's dynamic range; 0 keeps it fixed.",
    ),
    real("repeat_penalty", "1", 0.01, 100.0, "Weakens recent tokens by this factor; 1 is off."),
    OptionFact::whole(
        "repeat_last_n",
        "64",
        -1.0,
        1_048_576.0,
        "How many recent tokens the penalties look at; -1 is the whole context.",
    ),
    real(
        "frequency_penalty",
        "0",
        -100.0,
        100.0,
        "Subtracted from a token's logit once per recent occurrence.",
    ),
    real("presence_penalty", "0", -100.0, 100.0, "Subtracted from a token's logit if it occurred recently."),
    real(
        "dry_multiplier",
        "0",
        0.0,
        100.0,
        "Strength of the DRY penalty against repeated passages; 0 is off.",
    ),
    real("dry_base", "1.75", 1.0, 100.0, "Growth of the DRY penalty per repeated token."),
    OptionFact::whole(
        "dry_allowed_length",
        "2",
        0.0,
        1_048_576.0,
        "Repeats up to this long are free of the DRY penalty.",
    ),
    OptionFact::whole(
        "mirostat",
        "0",
        0.0,
        2.0,
        "1 or 2: Mirostat of that version instead of the truncating samplers.",
    ),
    real("mirostat_tau", "5", 0.0, 1000.0, "Mirostat's target surprise in bits."),
    real("mirostat_eta", "0.1", 0.0, 10.0, "Mirostat's learning rate."),
    OptionFact::whole(
        "seed",
        "random",
        0.0,
        U32_MAX,
        "Start of the random numbers: the same seed gives the same text.",
    ),
    OptionFact::whole(
        "top_logprobs",
        "0",
        0.0,
        1024.0,
        "How many alternatives `logprobs` reports per token.",
    ),
    OptionFact::whole("n", "1", 1.0, 64.0, "How many answers."),
    OptionFact::whole("priority", "0", -1_000_000.0, 1_000_000.0, "Higher runs earlier."),
    real("timeout_ms", "none", 1.0, 604_800_000.0, "Ends `deadline-exceeded` this long after the call."),
    real(
        "reader_timeout_ms",
        "60000",
        1.0,
        604_800_000.0,
        "How long an answer may stay unread while others wait.",
    ),
    real("logit_bias", "none", -1e9, 1e9, "Added to the logits of single tokens."),
    real("lora", "none", -1e6, 1e6, "Adapters to run under, with their scales."),
    OptionFact::whole(
        "speculative",
        "16",
        1.0,
        63.0,
        "Most tokens guessed for one step, and where the guesses come from.",
    ),
    real("control_vectors", "none", -1e6, 1e6, "Control vectors to run under, with their scales."),
];

/// The names of `samplers`, in their default order.
pub const SAMPLER_NAMES: [(&str, SamplerKind); 9] = [
    ("penalties", SamplerKind::Penalties),
    ("dry", SamplerKind::Dry),
    ("top_n_sigma", SamplerKind::TopNSigma),
    ("top_k", SamplerKind::TopK),
    ("typical_p", SamplerKind::TypicalP),
    ("top_p", SamplerKind::TopP),
    ("min_p", SamplerKind::MinP),
    ("xtc", SamplerKind::Xtc),
    ("temperature", SamplerKind::Temperature),
];

/// Most stop strings of one request.
const STOP_STRINGS_MAX: usize = 64;
/// Most bytes of one stop string: what a reader's text may lag behind.
const STOP_STRING_BYTES_MAX: usize = 4096;
/// Most entries of `stop_tokens` and of `logit_bias`.
const TOKEN_LIST_MAX: usize = 65_536;
/// Most bytes of a grammar.
const GRAMMAR_BYTES_MAX: usize = 256 * 1024;
/// Most bytes of a tenant's name.
const TENANT_BYTES_MAX: usize = 256;
/// Deepest nesting of a grammar's parentheses: the parser behind it recurses.
const GRAMMAR_DEPTH_MAX: usize = 64;

/// Generation options as a caller wrote them: anything may be absent, any number may be wrong.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each field is a row of OPTIONS or described by `build`")]
pub struct GenerateOptions {
    pub max_tokens: Option<f64>,
    pub temperature: Option<f64>,
    pub top_k: Option<f64>,
    pub top_p: Option<f64>,
    pub min_p: Option<f64>,
    pub typical_p: Option<f64>,
    pub top_n_sigma: Option<f64>,
    pub xtc_probability: Option<f64>,
    pub xtc_threshold: Option<f64>,
    pub dynatemp_range: Option<f64>,
    pub repeat_penalty: Option<f64>,
    pub repeat_last_n: Option<f64>,
    pub frequency_penalty: Option<f64>,
    pub presence_penalty: Option<f64>,
    pub dry_multiplier: Option<f64>,
    pub dry_base: Option<f64>,
    pub dry_allowed_length: Option<f64>,
    pub mirostat: Option<f64>,
    pub mirostat_tau: Option<f64>,
    pub mirostat_eta: Option<f64>,
    pub seed: Option<f64>,
    pub logit_bias: Option<Vec<(f64, f64)>>,
    pub stop: Option<Vec<String>>,
    pub stop_tokens: Option<Vec<f64>>,
    pub ignore_eos: Option<bool>,
    pub grammar: Option<String>,
    pub json_schema: Option<String>,
    pub response_format: Option<String>,
    pub regex: Option<String>,
    pub logprobs: Option<bool>,
    pub top_logprobs: Option<f64>,
    pub n: Option<f64>,
    pub samplers: Option<Vec<String>>,
    pub priority: Option<f64>,
    pub timeout_ms: Option<f64>,
    pub reader_timeout_ms: Option<f64>,
    pub lora: Option<Vec<(String, f64)>>,
    pub cache_prompt: Option<bool>,
    pub tenant: Option<String>,
    pub control_vectors: Option<Vec<(String, f64)>>,
    pub speculative: Option<String>,
    pub speculative_max_tokens: Option<f64>,
}

impl GenerateOptions {
    /// Checks everything that does not depend on the prompt and fills in the defaults.
    ///
    /// `support` is what the engine makes of them; `vocabulary_size` bounds token numbers;
    /// `random_seed` is used when no seed was given. The request's prompt is left empty.
    ///
    /// # Errors
    ///
    /// `invalid-request` naming the first option at fault; `unsupported` naming one that the engine
    /// cannot honour.
    pub fn build(
        &self,
        support: &OptionSupport,
        vocabulary_size: u32,
        random_seed: u32,
    ) -> Result<Request, Error> {
        if self.top_logprobs.is_some() && self.logprobs != Some(true) {
            return Err(Error::option("top_logprobs", "needs logprobs: true"));
        }
        let top_logprobs = integer("top_logprobs", self.top_logprobs, 0)?;
        let logprobs = self.logprobs.unwrap_or(false).then_some(top_logprobs);
        let sampling = self.sampling(&support.defaults, vocabulary_size, random_seed)?;
        for &name in &support.fixed {
            if self.chooses(name, &sampling, &support.defaults) {
                return Err(Error::unsupported(name, "cannot be chosen for a request: this engine fixes it"));
            }
        }
        Ok(Request {
            prompt: Vec::new(),
            media: Vec::new(),
            native: None,
            sampling,
            stop: self.stop_rules(vocabulary_size)?,
            spelled: Vec::new(),
            max_tokens: self.max_tokens.map(|n| integer("max_tokens", Some(n), 0)).transpose()?,
            choices: integer("n", self.n, 1)?,
            logprobs,
            candidates: Vec::new(),
            priority: number("priority", self.priority, 0.0)? as i32,
            timeout: self.timeout_ms.map(|ms| milliseconds("timeout_ms", ms)).transpose()?,
            reader_timeout: milliseconds("reader_timeout_ms", self.reader_timeout_ms.unwrap_or(60_000.0))?,
            adapters: self.adapters()?,
            cache_prompt: self.cache_prompt.unwrap_or(true),
            tenant: self.tenant.as_deref().map(checked_tenant).transpose()?,
            speculation: self.speculation(support)?,
            keep: 0,
        })
    }

    /// Where guesses come from: whatever there is, unless the request says so.
    fn speculation(&self, support: &OptionSupport) -> Result<Speculation, Error> {
        let max_tokens = integer("speculative", self.speculative_max_tokens, DRAFTS_DEFAULT)?;
        let mode = match self.speculative.as_deref() {
            None if !support.can_choose("speculative") => SpeculationMode::None,
            None if support.draft_model => SpeculationMode::Draft,
            None => SpeculationMode::Lookup,
            Some(name) => SpeculationMode::named(name).ok_or_else(|| {
                Error::option("speculative", format!("must be none, lookup or draft, got {name:?}"))
            })?,
        };
        if mode == SpeculationMode::Draft && !support.draft_model {
            let message = "cannot be draft: the model was loaded without draft_model";
            return Err(Error::option("speculative", message));
        }
        Ok(Speculation { mode, max_tokens })
    }

    /// Whether these options ask for another value of `name` than `default` has. What they say without
    /// changing anything is no wish.
    fn chooses(&self, name: &str, wanted: &Sampling, default: &Sampling) -> bool {
        match name {
            "temperature" => wanted.temperature != default.temperature,
            "top_k" => wanted.top_k != default.top_k,
            "top_p" => wanted.top_p != default.top_p,
            "min_p" => wanted.min_p != default.min_p,
            "typical_p" => wanted.typical_p != default.typical_p,
            "top_n_sigma" => wanted.top_n_sigma != default.top_n_sigma,
            "xtc_probability" => wanted.xtc_probability != default.xtc_probability,
            "dynatemp_range" => wanted.dynatemp_range != default.dynatemp_range,
            "repeat_penalty" => wanted.repeat_penalty != default.repeat_penalty,
            "repeat_last_n" => wanted.repeat_last_n != default.repeat_last_n,
            "frequency_penalty" => wanted.frequency_penalty != default.frequency_penalty,
            "presence_penalty" => wanted.presence_penalty != default.presence_penalty,
            "dry_multiplier" => wanted.dry_multiplier != default.dry_multiplier,
            "mirostat" => wanted.mirostat != default.mirostat,
            "mirostat_tau" => wanted.mirostat_tau != default.mirostat_tau,
            "mirostat_eta" => wanted.mirostat_eta != default.mirostat_eta,
            "logit_bias" => wanted.logit_bias != default.logit_bias,
            "ignore_eos" => wanted.ignore_end != default.ignore_end,
            "grammar" => wanted.grammar != default.grammar,
            "json_schema" | "response_format" | "regex" => {
                wanted.constraint.as_ref().is_some_and(|constraint| constraint.option() == name)
            }
            "samplers" => wanted.order != default.order,
            "seed" => self.seed.is_some(),
            "logprobs" => self.logprobs == Some(true),
            "speculative" => self.speculative.as_deref().is_some_and(|mode| mode != "none"),
            "n" => self.n.is_some_and(|n| n != 1.0),
            _ => false,
        }
    }

    fn sampling(
        &self,
        default: &Sampling,
        vocabulary_size: u32,
        random_seed: u32,
    ) -> Result<Sampling, Error> {
        let last_n = self.repeat_last_n.map(|n| number("repeat_last_n", Some(n), 0.0)).transpose()?;
        Ok(Sampling {
            temperature: float("temperature", self.temperature, default.temperature)?,
            dynatemp_range: float("dynatemp_range", self.dynatemp_range, default.dynatemp_range)?,
            top_k: integer("top_k", self.top_k, default.top_k)?,
            top_p: float("top_p", self.top_p, default.top_p)?,
            min_p: float("min_p", self.min_p, default.min_p)?,
            typical_p: float("typical_p", self.typical_p, default.typical_p)?,
            top_n_sigma: float("top_n_sigma", self.top_n_sigma, default.top_n_sigma)?,
            xtc_probability: float("xtc_probability", self.xtc_probability, default.xtc_probability)?,
            xtc_threshold: float("xtc_threshold", self.xtc_threshold, default.xtc_threshold)?,
            repeat_penalty: float("repeat_penalty", self.repeat_penalty, default.repeat_penalty)?,
            repeat_last_n: match last_n {
                None => default.repeat_last_n,
                Some(n) if n < 0.0 => u32::MAX,
                Some(n) => n as u32,
            },
            frequency_penalty: float("frequency_penalty", self.frequency_penalty, default.frequency_penalty)?,
            presence_penalty: float("presence_penalty", self.presence_penalty, default.presence_penalty)?,
            dry_multiplier: float("dry_multiplier", self.dry_multiplier, default.dry_multiplier)?,
            dry_base: float("dry_base", self.dry_base, default.dry_base)?,
            dry_allowed_length: integer(
                "dry_allowed_length",
                self.dry_allowed_length,
                default.dry_allowed_length,
            )?,
            mirostat: integer("mirostat", self.mirostat, default.mirostat)?,
            mirostat_tau: float("mirostat_tau", self.mirostat_tau, default.mirostat_tau)?,
            mirostat_eta: float("mirostat_eta", self.mirostat_eta, default.mirostat_eta)?,
            seed: integer("seed", self.seed, random_seed)?,
            logit_bias: match &self.logit_bias {
                Some(biases) => checked_biases(biases, vocabulary_size)?,
                None => default.logit_bias.clone(),
            },
            ignore_end: self.ignore_eos.unwrap_or(default.ignore_end),
            grammar: match &self.grammar {
                Some(grammar) => Some(checked_grammar(grammar)?),
                None => default.grammar.clone(),
            },
            grammar_triggers: default.grammar_triggers.clone(),
            grammar_prefix: default.grammar_prefix.clone(),
            constraint: Constraint::asked_for(self)?,
            free_thoughts: None,
            thoughts: default.thoughts.clone(),
            order: match &self.samplers {
                Some(names) => checked_order(names)?,
                None => default.order.clone(),
            },
        })
    }

    fn stop_rules(&self, vocabulary_size: u32) -> Result<StopRules, Error> {
        let strings = self.stop.clone().unwrap_or_default();
        if strings.len() > STOP_STRINGS_MAX {
            return Err(too_many("stop", STOP_STRINGS_MAX, strings.len()));
        }
        if strings.iter().any(String::is_empty) {
            return Err(Error::option("stop", "must not contain an empty string"));
        }
        if let Some(long) = strings.iter().find(|s| s.len() > STOP_STRING_BYTES_MAX) {
            let message =
                format!("strings hold at most {STOP_STRING_BYTES_MAX} bytes, got one of {}", long.len());
            return Err(Error::option("stop", message));
        }
        let tokens = self.stop_tokens.as_deref().unwrap_or_default();
        if tokens.len() > TOKEN_LIST_MAX {
            return Err(too_many("stop_tokens", TOKEN_LIST_MAX, tokens.len()));
        }
        let tokens = tokens
            .iter()
            .map(|&token| checked_token("stop_tokens", token, vocabulary_size))
            .collect::<Result<_, _>>()?;
        Ok(StopRules { strings, tokens })
    }

    fn adapters(&self) -> Result<Adapters, Error> {
        let mut adapters = Vec::new();
        for (name, scale) in self.lora.as_deref().unwrap_or_default().iter().take(256) {
            adapters.push((name.clone(), float("lora", Some(*scale), 1.0)?));
        }
        for (name, scale) in self.control_vectors.as_deref().unwrap_or_default().iter().take(256) {
            let name = format!("{CONTROL_VECTOR_PREFIX}{name}");
            adapters.push((name, float("control_vectors", Some(*scale), 1.0)?));
        }
        adapters.sort_by(|a: &(String, f32), b| a.0.cmp(&b.0));
        Ok(adapters)
    }
}

fn fact(name: &str) -> Option<&'static OptionFact> {
    OPTIONS.iter().find(|fact| fact.name == name)
}

/// The value in its range, or the default.
fn number(name: &'static str, value: Option<f64>, default: f64) -> Result<f64, Error> {
    let Some(value) = value else { return Ok(default) };
    let Some(fact) = fact(name) else {
        return Err(Error::option(name, "is not a numeric option"));
    };
    fact.check(value)
}

fn float(name: &'static str, value: Option<f64>, default: f32) -> Result<f32, Error> {
    value.map_or(Ok(default), |value| Ok(number(name, Some(value), 0.0)? as f32))
}

fn integer(name: &'static str, value: Option<f64>, default: u32) -> Result<u32, Error> {
    Ok(number(name, value, f64::from(default))? as u32)
}

fn milliseconds(name: &'static str, value: f64) -> Result<Duration, Error> {
    Ok(Duration::from_micros((number(name, Some(value), 0.0)? * 1000.0) as u64))
}

fn too_many(name: &'static str, most: usize, got: usize) -> Error {
    Error::option(name, format!("holds at most {most} entries, got {got}"))
}

/// A token's number inside the vocabulary.
fn checked_token(name: &'static str, token: f64, vocabulary_size: u32) -> Result<Token, Error> {
    if token.fract() != 0.0 || !(token >= 0.0 && token < f64::from(vocabulary_size)) {
        let message = format!(
            "has {token}, which is no token: the vocabulary holds 0 to {}",
            vocabulary_size.saturating_sub(1)
        );
        return Err(Error::option(name, message));
    }
    Ok(token as Token)
}

fn checked_biases(biases: &[(f64, f64)], vocabulary_size: u32) -> Result<Vec<(Token, f32)>, Error> {
    if biases.len() > TOKEN_LIST_MAX {
        return Err(too_many("logit_bias", TOKEN_LIST_MAX, biases.len()));
    }
    let checked = |&(token, bias): &(f64, f64)| {
        let token = checked_token("logit_bias", token, vocabulary_size)?;
        if bias == f64::NEG_INFINITY {
            return Ok((token, f32::NEG_INFINITY));
        }
        Ok((token, float("logit_bias", Some(bias), 0.0)?))
    };
    biases.iter().map(checked).collect()
}

fn checked_order(names: &[String]) -> Result<Vec<SamplerKind>, Error> {
    let mut order = Vec::new();
    for name in names.iter().take(SAMPLER_NAMES.len() + 1) {
        let known = SAMPLER_NAMES.iter().find(|(known, _)| known == name);
        let Some(&(_, kind)) = known else {
            let all: Vec<&str> = SAMPLER_NAMES.iter().map(|&(name, _)| name).collect();
            let message = format!("has no sampler {name:?}; there are {}", all.join(", "));
            return Err(Error::option("samplers", message));
        };
        if order.contains(&kind) {
            return Err(Error::option("samplers", format!("names {name:?} twice")));
        }
        order.push(kind);
    }
    Ok(order)
}

fn checked_tenant(tenant: &str) -> Result<String, Error> {
    if tenant.len() > TENANT_BYTES_MAX {
        let message = format!("holds at most {TENANT_BYTES_MAX} bytes, got {}", tenant.len());
        return Err(Error::option("tenant", message));
    }
    Ok(tenant.to_owned())
}

/// A grammar within the limits its parser survives; whether it is GBNF is the engine's to say.
fn checked_grammar(grammar: &str) -> Result<String, Error> {
    check_grammar(grammar)?;
    Ok(grammar.to_owned())
}

/// Refuses a grammar that is too large or nests too deep for the parser behind it.
///
/// # Errors
///
/// `invalid-request` naming `grammar`.
pub fn check_grammar(grammar: &str) -> Result<(), Error> {
    if grammar.len() > GRAMMAR_BYTES_MAX {
        let message = format!("holds at most {GRAMMAR_BYTES_MAX} bytes, got {}", grammar.len());
        return Err(Error::option("grammar", message));
    }
    if grammar.contains('\0') {
        return Err(Error::option("grammar", "must not contain a NUL character"));
    }
    let depth = nesting(grammar);
    if depth > GRAMMAR_DEPTH_MAX {
        let message = format!("nests parentheses {depth} deep, at most {GRAMMAR_DEPTH_MAX} are allowed");
        return Err(Error::option("grammar", message));
    }
    Ok(())
}

/// The deepest nesting of parentheses outside literals and character classes. Counting one too
/// many in odd input is harmless, so brackets inside unbalanced quotes are not chased.
fn nesting(grammar: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    let mut inside: Option<char> = None;
    let mut characters = grammar.chars();
    while let Some(c) = characters.next() {
        match (inside, c) {
            (_, '\\') => {
                characters.next();
            }
            (Some(end), c) if c == end || (end == '"' && c == '\n') => inside = None,
            (Some(_), _) => {}
            (None, '"') => inside = Some('"'),
            (None, '[') => inside = Some(']'),
            (None, '#') => inside = Some('\n'),
            (None, '(') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (None, ')') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::{GenerateOptions, OPTIONS, nesting};
    use crate::{ErrorCode, OptionSupport, Sampling};

    fn message(options: &GenerateOptions) -> String {
        options.build(&OptionSupport::default(), 100, 1).expect_err("accepted").to_string()
    }

    #[test]
    fn the_defaults_are_those_of_the_table() {
        let request = GenerateOptions::default().build(&OptionSupport::default(), 100, 1).expect("defaults");
        let s = &request.sampling;
        let have = [
            ("temperature", s.temperature),
            ("top_k", s.top_k as f32),
            ("top_p", s.top_p),
            ("min_p", s.min_p),
            ("typical_p", s.typical_p),
            ("top_n_sigma", s.top_n_sigma),
            ("xtc_probability", s.xtc_probability),
            ("xtc_threshold", s.xtc_threshold),
            ("dynatemp_range", s.dynatemp_range),
            ("repeat_penalty", s.repeat_penalty),
            ("repeat_last_n", s.repeat_last_n as f32),
            ("frequency_penalty", s.frequency_penalty),
            ("presence_penalty", s.presence_penalty),
            ("dry_multiplier", s.dry_multiplier),
            ("dry_base", s.dry_base),
            ("dry_allowed_length", s.dry_allowed_length as f32),
            ("mirostat", s.mirostat as f32),
            ("mirostat_tau", s.mirostat_tau),
            ("mirostat_eta", s.mirostat_eta),
            ("n", request.choices as f32),
            ("priority", request.priority as f32),
            ("reader_timeout_ms", request.reader_timeout.as_millis() as f32),
        ];
        for (name, value) in have {
            let fact = OPTIONS.iter().find(|f| f.name == name).expect(name);
            assert_eq!(fact.default, value.to_string(), "{name}");
        }
    }

    #[test]
    fn a_value_outside_its_range_is_named() {
        let hot = GenerateOptions { temperature: Some(-1.0), ..Default::default() };
        assert_eq!(message(&hot), "temperature must be between 0 and 100, got -1");
        let nan = GenerateOptions { top_p: Some(f64::NAN), ..Default::default() };
        assert!(message(&nan).starts_with("top_p must be between"));
        let half = GenerateOptions { top_k: Some(1.5), ..Default::default() };
        assert_eq!(message(&half), "top_k must be a whole number, got 1.5");
        let stop = GenerateOptions { stop_tokens: Some(vec![100.0]), ..Default::default() };
        assert!(message(&stop).contains("no token"));
    }

    #[test]
    fn grammars_nest_only_so_deep() {
        assert_eq!(nesting(r#"root ::= ("(" [(] (a)) # ((("#), 2);
        let deep = GenerateOptions { grammar: Some("(".repeat(200_000)), ..Default::default() };
        assert!(message(&deep).contains("200000 deep"));
    }

    #[test]
    fn a_tenant_has_a_name_of_bounded_length() {
        let named = |length| GenerateOptions { tenant: Some("t".repeat(length)), ..Default::default() };
        let request = named(256).build(&OptionSupport::default(), 100, 1).expect("a name");
        assert_eq!((request.tenant.map(|name| name.len()), request.cache_prompt), (Some(256), true));
        assert_eq!(message(&named(257)), "tenant holds at most 256 bytes, got 257");
    }

    #[test]
    fn a_fixed_option_is_refused_by_name_unless_it_asks_for_what_holds_anyway() {
        let defaults = Sampling { temperature: 0.5, min_p: 0.0, ..Sampling::default() };
        let fixed = vec!["temperature", "min_p", "seed", "logprobs"];
        let support = OptionSupport { defaults, fixed, ..OptionSupport::default() };
        let build = |options: GenerateOptions| options.build(&support, 100, 7);
        let plain = build(GenerateOptions::default()).expect("nothing is asked for");
        assert_eq!((plain.sampling.temperature, plain.sampling.seed), (0.5, 7));
        let same = GenerateOptions { temperature: Some(0.5), min_p: Some(0.0), ..Default::default() };
        assert!(build(same).is_ok());
        for (name, options) in [
            ("temperature", GenerateOptions { temperature: Some(0.0), ..Default::default() }),
            ("min_p", GenerateOptions { min_p: Some(0.1), ..Default::default() }),
            ("seed", GenerateOptions { seed: Some(7.0), ..Default::default() }),
            ("logprobs", GenerateOptions { logprobs: Some(true), ..Default::default() }),
        ] {
            let error = build(options).expect_err(name);
            assert_eq!(error.code, ErrorCode::Unsupported, "{name}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
