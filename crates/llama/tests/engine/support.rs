//! The engine as the tests use it, and the model's logits read past it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use llama_cpp_sys_2 as sys;
use rkllmjs_core::{
    Adapters, Batch, Engine, Error, GenerateOptions, Opening, Request, Run, Sampled, SequenceId, Sink,
    Special, StepOutcome, Token, TokenLogprob, Tokenizer,
};
use rkllmjs_llama::{EngineOptions, KvType, LlamaEngine, LoadOptions, Model, Pooling};
use rkllmjs_synthetic::{Kind, Options};

/// Sequences that one step of [`Bench::counts`] draws for.
const DRAWS_AT_ONCE: u32 = 64;

pub(crate) fn tiny_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tiny").join(name)
}

/// The tiny model, loaded once for all tests.
pub(crate) fn tiny() -> Arc<Model> {
    static MODEL: OnceLock<Arc<Model>> = OnceLock::new();
    Arc::clone(MODEL.get_or_init(|| load(&tiny_file("rkllmjs-tiny-q8_0.gguf"))))
}

fn load(path: &Path) -> Arc<Model> {
    Model::load(path, &LoadOptions::default(), |_| true).expect("the model loads")
}

/// A made-up model in a file that is removed with this value.
pub(crate) struct SyntheticModel(PathBuf);

impl SyntheticModel {
    pub(crate) fn new(kind: Kind, options: &Options) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("rkllmjs-{}-{}.gguf", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        rkllmjs_synthetic::write(kind, &path, options).expect("the model is written");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn load(&self) -> Arc<Model> {
        load(&self.0)
    }
}

impl Drop for SyntheticModel {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

pub(crate) fn engine_options() -> EngineOptions {
    EngineOptions {
        context: 1024,
        cells: 16_384,
        sequences: DRAWS_AT_ONCE,
        batch: 8192,
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

/// Every token as likely as the model says.
pub(crate) fn plain() -> GenerateOptions {
    GenerateOptions {
        temperature: Some(1.0),
        top_k: Some(0.0),
        top_p: Some(1.0),
        min_p: Some(0.0),
        ..GenerateOptions::default()
    }
}

/// The most likely token, always.
pub(crate) fn greedy() -> GenerateOptions {
    GenerateOptions { temperature: Some(0.0), ..plain() }
}

#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) token: Token,
    pub(crate) bytes: Vec<u8>,
    pub(crate) end: bool,
    pub(crate) logprob: Option<TokenLogprob>,
}

/// What a step brought.
#[derive(Debug, Default)]
pub(crate) struct Tray(pub(crate) Vec<(SequenceId, Result<Taken, Error>)>);

impl Sink for Tray {
    fn token(&mut self, sequence: SequenceId, sampled: Sampled<'_>) {
        let Sampled { token, bytes, end, logprob } = sampled;
        self.0.push((sequence, Ok(Taken { token, bytes: bytes.to_vec(), end, logprob })));
    }

    fn failed(&mut self, sequence: SequenceId, error: Error) {
        self.0.push((sequence, Err(error)));
    }
}

/// An engine under test.
pub(crate) struct Bench {
    pub(crate) model: Arc<Model>,
    pub(crate) engine: LlamaEngine,
    pub(crate) adapters: Adapters,
    opened: u64,
}

impl Bench {
    pub(crate) fn tiny() -> Self {
        Self::new(tiny(), engine_options())
    }

    pub(crate) fn new(model: Arc<Model>, options: EngineOptions) -> Self {
        let engine = LlamaEngine::new(Arc::clone(&model), options).expect("an engine");
        Self { model, engine, adapters: Adapters::new(), opened: 0 }
    }

    pub(crate) fn tokens(&self, text: &str) -> Vec<Token> {
        self.model.tokenize(text, Special { add: false, parse: true }).expect("tokens")
    }

    /// The one token this text is.
    pub(crate) fn token(&self, text: &str) -> Token {
        let tokens = self.tokens(text);
        assert_eq!(tokens.len(), 1, "{text:?} is {tokens:?}");
        tokens[0]
    }

    /// Opens a sequence whose random numbers start at `seed`.
    pub(crate) fn open(
        &mut self,
        options: &GenerateOptions,
        seed: u32,
        prompt: &[Token],
    ) -> Result<SequenceId, Error> {
        let request = options.build(&self.engine.limits().options, self.model.vocabulary_size(), seed)?;
        self.open_request(&request, prompt)
    }

    pub(crate) fn open_request(&mut self, request: &Request, prompt: &[Token]) -> Result<SequenceId, Error> {
        self.opened += 1;
        let id = SequenceId(self.opened);
        let opening = Opening {
            sampling: &request.sampling,
            prompt,
            logprobs: request.logprobs,
            candidates: &[],
            max_tokens: request.max_tokens,
            media: &request.media,
            native: None,
        };
        self.engine.open(id, opening)?;
        Ok(id)
    }

    pub(crate) fn step(&mut self, runs: Vec<Run<'_>>) -> (StepOutcome, Tray) {
        let mut tray = Tray::default();
        let batch = Batch { runs, adapters: self.adapters.clone(), ..Batch::default() };
        let outcome = self.engine.step(&batch, &mut tray).expect("the step runs");
        (outcome, tray)
    }

    /// What the model says to these tokens of a sequence.
    pub(crate) fn next(
        &mut self,
        sequence: SequenceId,
        start: usize,
        tokens: &[Token],
    ) -> Result<Taken, Error> {
        let start = u32::try_from(start).expect("a short prompt");
        let (outcome, mut tray) = self.step(vec![Run { sequence, start, tokens, sample: true, drafted: 0 }]);
        assert_eq!(outcome, StepOutcome::Done);
        tray.0.pop().expect("a token").1
    }

    /// The first token of an answer.
    pub(crate) fn first(
        &mut self,
        options: &GenerateOptions,
        seed: u32,
        prompt: &[Token],
    ) -> Result<Taken, Error> {
        let sequence = self.open(options, seed, prompt)?;
        let taken = self.next(sequence, 0, prompt);
        self.engine.release(sequence);
        taken
    }

    /// Up to `most` tokens of an answer, the one that ends it included.
    pub(crate) fn answer(
        &mut self,
        options: &GenerateOptions,
        seed: u32,
        prompt: &[Token],
        most: usize,
    ) -> Result<Vec<Taken>, Error> {
        let sequence = self.open(options, seed, prompt)?;
        self.go_on(sequence, prompt, most)
    }

    /// Up to `most` tokens of an opened sequence, which is then forgotten.
    pub(crate) fn go_on(
        &mut self,
        sequence: SequenceId,
        prompt: &[Token],
        most: usize,
    ) -> Result<Vec<Taken>, Error> {
        let mut answer = vec![self.next(sequence, 0, prompt)?];
        while let Some(last) = answer.last().filter(|last| answer.len() < most && !last.end) {
            let token = last.token;
            answer.push(self.next(sequence, prompt.len() + answer.len() - 1, &[token])?);
        }
        self.engine.release(sequence);
        Ok(answer)
    }

    /// The text of an answer of at most `most` tokens.
    pub(crate) fn text(
        &mut self,
        options: &GenerateOptions,
        seed: u32,
        prompt: &[Token],
        most: usize,
    ) -> String {
        let answer = self.answer(options, seed, prompt, most).expect("an answer");
        String::from_utf8_lossy(&answer.into_iter().flat_map(|taken| taken.bytes).collect::<Vec<_>>())
            .into_owned()
    }

    /// How often each token was the first of an answer, over the seeds from 0 to `draws`.
    pub(crate) fn counts(&mut self, options: &GenerateOptions, prompt: &[Token], draws: u32) -> Vec<u32> {
        let mut counts = vec![0; self.model.vocabulary_size() as usize];
        // Every token attends to the whole cache, so long prompts go in smaller groups.
        let at_once = (192 / prompt.len()).clamp(1, DRAWS_AT_ONCE as usize);
        for seeds in (0..draws).collect::<Vec<_>>().chunks(at_once) {
            let ids: Vec<SequenceId> =
                seeds.iter().map(|&seed| self.open(options, seed, prompt).expect("it opens")).collect();
            let run =
                |&sequence: &SequenceId| Run { sequence, start: 0, tokens: prompt, sample: true, drafted: 0 };
            let (outcome, tray) = self.step(ids.iter().map(run).collect());
            assert_eq!(outcome, StepOutcome::Done);
            assert_eq!(tray.0.len(), ids.len());
            for (_, taken) in tray.0 {
                counts[taken.expect("a token").token as usize] += 1;
            }
            ids.into_iter().for_each(|id| self.engine.release(id));
        }
        counts
    }
}

/// The logits the tiny model gives after `prompt`, read from llama.cpp without the engine.
pub(crate) fn logits(prompt: &[Token]) -> Vec<f64> {
    // llama.cpp must have been started.
    let vocabulary = tiny().vocabulary_size() as usize;
    let path = tiny_file("rkllmjs-tiny-q8_0.gguf");
    let path = std::ffi::CString::new(path.to_str().expect("UTF-8")).expect("no NUL");
    // SAFETY: a plain function that returns a struct.
    let model_params = unsafe { sys::llama_model_default_params() };
    // SAFETY: the path ends in NUL; the file is good.
    let model = unsafe { sys::llama_model_load_from_file(path.as_ptr(), model_params) };
    assert!(!model.is_null());
    // SAFETY: a plain function that returns a struct.
    let mut params = unsafe { sys::llama_context_default_params() };
    params.n_ctx = 512;
    params.n_threads = 1;
    params.n_threads_batch = 1;
    // SAFETY: the model is alive.
    let context = unsafe { sys::llama_init_from_model(model, params) };
    assert!(!context.is_null());
    let mut tokens: Vec<i32> = prompt.iter().map(|token| token.cast_signed()).collect();
    let count = i32::try_from(tokens.len()).expect("a short prompt");
    // SAFETY: the batch points into `tokens`, which outlives it.
    let batch = unsafe { sys::llama_batch_get_one(tokens.as_mut_ptr(), count) };
    // SAFETY: context and batch are valid.
    let status = unsafe { sys::llama_decode(context, batch) };
    assert_eq!(status, 0);
    // SAFETY: the last token of such a batch asks for its logits.
    let values = unsafe { sys::llama_get_logits_ith(context, -1) };
    // SAFETY: one float for each token of the vocabulary, alive until the context is used again.
    let logits = unsafe { std::slice::from_raw_parts(values, vocabulary) };
    let logits = logits.iter().copied().map(f64::from).collect();
    // SAFETY: freed once, before its model.
    unsafe { sys::llama_free(context) };
    // SAFETY: freed once, after everything that used it.
    unsafe { sys::llama_model_free(model) };
    logits
}
