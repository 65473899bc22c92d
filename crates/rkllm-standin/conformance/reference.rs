//! What the model says according to our own engine.

use std::sync::{Arc, OnceLock};

use rkllmjs_core::{
    Adapters, Batch, Engine, Error, Run, Sampled, SamplerKind, Sampling, SequenceId, Sink, Special, Token,
    Tokenizer,
};
use rkllmjs_llama::{EngineOptions, KvType, LlamaEngine, LoadOptions, Model, Pooling};

use super::driver::tiny_file;

/// Answer's tokens with the text they make.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) tokens: Vec<i32>,
    pub(crate) text: String,
}

#[derive(Default)]
struct Tray(Option<(Token, Vec<u8>, bool)>);

impl Sink for Tray {
    fn token(&mut self, _: SequenceId, sampled: Sampled<'_>) {
        self.0 = Some((sampled.token, sampled.bytes.to_vec(), sampled.end));
    }

    fn failed(&mut self, _: SequenceId, error: Error) {
        std::panic::panic_any(error.message);
    }
}

pub(crate) fn model() -> Arc<Model> {
    static MODEL: OnceLock<Arc<Model>> = OnceLock::new();
    let load = || Model::load(&tiny_file("rkllmjs-tiny-q8_0.gguf"), &LoadOptions::default(), |_| true);
    Arc::clone(MODEL.get_or_init(|| load().expect("the model loads")))
}

pub(crate) fn tokens(text: &str) -> Vec<i32> {
    let tokens = model().tokenize(text, Special { add: true, parse: true }).expect("tokens");
    tokens.into_iter().map(u32::cast_signed).collect()
}

/// A question as the model's own template writes it.
pub(crate) fn question(text: &str) -> String {
    format!("<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n")
}

/// The most likely answer to a text that is in the template's form already.
pub(crate) fn answer(text: &str, most: usize) -> Answer {
    let prompt: Vec<Token> = tokens(text).into_iter().map(i32::cast_unsigned).collect();
    let mut engine = LlamaEngine::new(model(), options()).expect("an engine");
    let sequence = SequenceId(1);
    let sampling = greedy();
    open(&mut engine, sequence, &sampling, &prompt);
    let mut answer = Answer::default();
    let mut bytes = Vec::new();
    let (mut start, mut next) = (0, prompt);
    while answer.tokens.len() < most {
        let run = Run { sequence, start, tokens: &next, sample: true, drafted: 0 };
        let mut tray = Tray::default();
        engine
            .step(&Batch { runs: vec![run], adapters: Adapters::new(), ..Batch::default() }, &mut tray)
            .expect("a step");
        let (token, piece, end) = tray.0.expect("a token");
        if end {
            break;
        }
        answer.tokens.push(token.cast_signed());
        bytes.extend(piece);
        start += u32::try_from(next.len()).expect("a short prompt");
        next = vec![token];
    }
    answer.text = String::from_utf8(bytes).expect("whole characters");
    answer
}

fn open(engine: &mut LlamaEngine, sequence: SequenceId, sampling: &Sampling, prompt: &[Token]) {
    let opening = rkllmjs_core::Opening {
        sampling,
        prompt,
        logprobs: None,
        candidates: &[],
        max_tokens: None,
        media: &[],
        native: None,
    };
    engine.open(sequence, opening).expect("it opens");
}

fn options() -> EngineOptions {
    EngineOptions {
        context: 512,
        cells: 512,
        sequences: 1,
        batch: 512,
        threads: 1,
        threads_batch: 1,
        kv_type: KvType::F16,
        flash_attention: None,
        pooling: Pooling::Model,
        model_pools: false,
        encoder_only: false,
        embeds_with_encoder: false,
        log: None,
    }
}

fn greedy() -> Sampling {
    Sampling {
        temperature: 0.0,
        dynatemp_range: 0.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        typical_p: 1.0,
        top_n_sigma: 0.0,
        xtc_probability: 0.0,
        xtc_threshold: 0.5,
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
        order: vec![SamplerKind::Temperature],
    }
}
