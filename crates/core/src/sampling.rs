use serde::{Deserialize, Serialize};

use crate::{Constraint, SAMPLER_NAMES, ThoughtLimit, Thoughts, Token};

/// A step of the sampler chain, named as the option that drives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SamplerKind {
    /// Repeat, frequency and presence penalties.
    Penalties,
    /// DRY: against repeating a passage.
    Dry,
    /// Top-n-sigma.
    TopNSigma,
    /// Top-k.
    TopK,
    /// Locally typical.
    TypicalP,
    /// Top-p (nucleus).
    TopP,
    /// Min-p.
    MinP,
    /// XTC: exclude top choices.
    Xtc,
    /// Temperature, with its dynamic range.
    Temperature,
}

/// How the next token is chosen: checked values, ready for an engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Divides the logits; 0 picks the most likely token.
    pub temperature: f32,
    /// Half-width of the temperature's dynamic range; 0 keeps it fixed.
    pub dynatemp_range: f32,
    /// Keep this many most likely tokens; 0 keeps all.
    pub top_k: u32,
    /// Keep the smallest set with this much probability; 1 keeps all.
    pub top_p: f32,
    /// Keep tokens with at least this share of the best one's probability; 0 keeps all.
    pub min_p: f32,
    /// Keep the locally typical set of this mass; 1 keeps all.
    pub typical_p: f32,
    /// Keep logits within this many standard deviations of the best; 0 keeps all.
    pub top_n_sigma: f32,
    /// Chance that the top choices above the threshold are dropped, all but the least likely.
    pub xtc_probability: f32,
    /// The probability a token must have to count as a top choice.
    pub xtc_threshold: f32,
    /// Divides (or, where negative, multiplies) the logits of recent tokens; 1 does nothing.
    pub repeat_penalty: f32,
    /// How many recent tokens the penalties look at.
    pub repeat_last_n: u32,
    /// Subtracted once per occurrence among the recent tokens.
    pub frequency_penalty: f32,
    /// Subtracted once if among the recent tokens.
    pub presence_penalty: f32,
    /// Strength of DRY; 0 is off.
    pub dry_multiplier: f32,
    /// Growth of the DRY penalty per repeated token.
    pub dry_base: f32,
    /// Repeats up to this long are free of the DRY penalty.
    pub dry_allowed_length: u32,
    /// 0 off, 1 or 2: Mirostat of that version instead of the truncating samplers.
    pub mirostat: u32,
    /// Mirostat's target surprise, in bits.
    pub mirostat_tau: f32,
    /// Mirostat's learning rate.
    pub mirostat_eta: f32,
    /// Start of the random numbers; with the position it decides every draw.
    pub seed: u32,
    /// Added to the logits of these tokens; negative infinity bans one.
    pub logit_bias: Vec<(Token, f32)>,
    /// Ban the tokens that end an answer.
    pub ignore_end: bool,
    /// A GBNF grammar the answer must follow.
    pub grammar: Option<String>,
    /// Words of which the first in the answer brings the grammar into force, from where it begins. With none
    /// the grammar always is.
    pub grammar_triggers: Vec<String>,
    /// The end of the prompt, where the grammar or a trigger begins with it.
    pub grammar_prefix: Vec<Token>,
    /// What the text must be besides. At most one of this and the grammar is there.
    pub constraint: Option<Constraint>,
    /// What the constraint leaves free before it binds.
    pub free_thoughts: Option<Thoughts>,
    /// What ends thoughts that get too long.
    pub thoughts: Option<ThoughtLimit>,
    /// The order of the chain.
    pub order: Vec<SamplerKind>,
}

impl Default for Sampling {
    /// The defaults of the table of options, with seed 0.
    fn default() -> Self {
        Self {
            temperature: 0.8,
            dynatemp_range: 0.0,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            typical_p: 1.0,
            top_n_sigma: 0.0,
            xtc_probability: 0.0,
            xtc_threshold: 0.1,
            repeat_penalty: 1.0,
            repeat_last_n: 64,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            dry_multiplier: 0.0,
            dry_base: 1.75,
            dry_allowed_length: 2,
            mirostat: 0,
            mirostat_tau: 5.0,
            mirostat_eta: 0.1,
            seed: 0,
            logit_bias: Vec::new(),
            ignore_end: false,
            grammar: None,
            grammar_triggers: Vec::new(),
            grammar_prefix: Vec::new(),
            constraint: None,
            free_thoughts: None,
            thoughts: None,
            order: SAMPLER_NAMES.iter().map(|&(_, kind)| kind).collect(),
        }
    }
}
