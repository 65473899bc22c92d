//! llama.cpp with nothing around it: batches of any number of sequences, the highest logit, the next token.

use std::ffi::CString;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant};

use llama_cpp_sys_2 as sys;
use rkllmjs_llama::ThreadPool;

/// What a bench can fail with.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// How a model is set up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Threads, for prompts and answers alike.
    pub(crate) threads: u16,
    /// Tokens of all sequences together.
    pub(crate) cells: u32,
    /// Most tokens computed in one step.
    pub(crate) batch: u32,
    pub(crate) sequences: u32,
    pub(crate) layout: Layout,
}

/// Where sequences keep their keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// All in one place, as the engine has them: any can use the cells of another.
    Unified,
    /// Each in its own part, of equal size.
    Separate,
}

impl FromStr for Layout {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "unified" => Ok(Self::Unified),
            "separate" => Ok(Self::Separate),
            other => Err(format!("a layout is unified or separate, got {other}")),
        }
    }
}

/// What a run came to.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// The tokens of each sequence.
    pub(crate) tokens: Vec<Vec<i32>>,
    /// When each had its first token, from the start of the run.
    pub(crate) first: Vec<Duration>,
}

/// A token on its way into a batch.
struct Entry {
    token: i32,
    position: usize,
    sequence: usize,
    /// Whether the next token is wanted.
    samples: bool,
}

/// A loaded model with a context.
pub(crate) struct Bare {
    model: *mut sys::llama_model,
    context: *mut sys::llama_context,
    /// Ends after the context, which `drop` frees.
    _pool: ThreadPool,
    batch: sys::llama_batch,
    batch_size: usize,
    vocabulary: usize,
}

impl Bare {
    /// Loads a model.
    pub(crate) fn new(path: &Path, settings: Settings) -> Outcome<Self> {
        let path = CString::new(path.as_os_str().as_encoded_bytes())?;
        rkllmjs_llama::start()?;
        // SAFETY: a plain function that returns a struct.
        let model_params = unsafe { sys::llama_model_default_params() };
        // SAFETY: the path ends in NUL.
        let model = unsafe { sys::llama_model_load_from_file(path.as_ptr(), model_params) };
        if model.is_null() {
            return Err("the model does not load".into());
        }
        let threads = i32::from(settings.threads);
        // SAFETY: a plain function that returns a struct.
        let mut params = unsafe { sys::llama_context_default_params() };
        params.n_ctx = settings.cells;
        params.n_batch = settings.batch;
        params.n_ubatch = settings.batch;
        params.n_seq_max = settings.sequences;
        params.n_threads = threads;
        params.n_threads_batch = threads;
        params.kv_unified = settings.layout == Layout::Unified;
        // SAFETY: the model is alive.
        let context = unsafe { sys::llama_init_from_model(model, params) };
        // SAFETY: a plain function that returns a struct.
        let pool = ThreadPool::start(unsafe { sys::ggml_threadpool_params_default(threads) })?;
        if context.is_null() {
            return Err("llama.cpp makes no context".into());
        }
        // SAFETY: the pool is freed after the context.
        unsafe { sys::llama_attach_threadpool(context, pool.raw(), pool.raw()) };
        // SAFETY: the model is alive.
        let vocab = unsafe { sys::llama_model_get_vocab(model) };
        // SAFETY: the vocabulary lives as long as the model.
        let vocabulary = usize::try_from(unsafe { sys::llama_vocab_n_tokens(vocab) })?;
        // SAFETY: a plain function that allocates; each token belongs to one sequence.
        let batch = unsafe { sys::llama_batch_init(i32::try_from(settings.batch)?, 0, 1) };
        Ok(Self { model, context, _pool: pool, batch, batch_size: settings.batch as usize, vocabulary })
    }

    /// Answers all prompts at once, each with `most` tokens.
    pub(crate) fn answer(&mut self, prompts: &[Vec<i32>], most: usize) -> Outcome<Answers> {
        let began = Instant::now();
        // SAFETY: the context is alive.
        let memory = unsafe { sys::llama_get_memory(self.context) };
        // SAFETY: the memory belongs to the context.
        unsafe { sys::llama_memory_clear(memory, false) };
        let mut answers =
            Answers { tokens: vec![Vec::with_capacity(most); prompts.len()], first: Vec::new() };
        let waiting: Vec<Entry> =
            prompts.iter().enumerate().flat_map(|(sequence, prompt)| entries(sequence, prompt)).collect();
        for entries in waiting.chunks(self.batch_size) {
            let made = self.step(entries)?;
            answers.first.extend(made.iter().map(|_| began.elapsed()));
            keep(&mut answers.tokens, made);
        }
        for _ in 1..most {
            let next: Vec<Entry> = answers
                .tokens
                .iter()
                .zip(prompts)
                .enumerate()
                .filter_map(|(sequence, (tokens, prompt))| {
                    let position = prompt.len() + tokens.len() - 1;
                    tokens.last().map(|&token| Entry { token, position, sequence, samples: true })
                })
                .collect();
            let made = self.step(&next)?;
            keep(&mut answers.tokens, made);
        }
        Ok(answers)
    }

    /// Computes one batch: the next token of each sequence that wants one.
    fn step(&mut self, entries: &[Entry]) -> Outcome<Vec<(usize, i32)>> {
        for (at, entry) in entries.iter().enumerate() {
            // SAFETY: `batch_size` places were allocated, and no more entries are given.
            unsafe { self.batch.token.wrapping_add(at).write(entry.token) };
            // SAFETY: as above.
            unsafe { self.batch.pos.wrapping_add(at).write(i32::try_from(entry.position)?) };
            // SAFETY: as above.
            unsafe { self.batch.n_seq_id.wrapping_add(at).write(1) };
            // SAFETY: as above.
            let sequences = unsafe { self.batch.seq_id.wrapping_add(at).read() };
            // SAFETY: one sequence was allocated for each token.
            unsafe { sequences.write(i32::try_from(entry.sequence)?) };
            // SAFETY: as above.
            unsafe { self.batch.logits.wrapping_add(at).write(i8::from(entry.samples)) };
        }
        self.batch.n_tokens = i32::try_from(entries.len())?;
        // SAFETY: context and batch are valid.
        if unsafe { sys::llama_decode(self.context, self.batch) } != 0 {
            return Err("llama.cpp does not decode".into());
        }
        let wanted = entries.iter().enumerate().filter(|(_, entry)| entry.samples);
        wanted.map(|(at, entry)| Ok((entry.sequence, self.best(at)?))).collect()
    }

    /// The token with the highest logit.
    fn best(&self, at: usize) -> Outcome<i32> {
        // SAFETY: this token of the last batch asked for its logits.
        let logits = unsafe { sys::llama_get_logits_ith(self.context, i32::try_from(at)?) };
        // SAFETY: one float for each token of the vocabulary, alive until the next decode.
        let logits = unsafe { std::slice::from_raw_parts(logits, self.vocabulary) };
        let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        Ok(i32::try_from(logits.iter().position(|&x| x >= highest).unwrap_or(0))?)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // SAFETY: freed once.
        unsafe { sys::llama_batch_free(self.batch) };
        // SAFETY: freed once, before the pool and the model it uses.
        unsafe { sys::llama_free(self.context) };
        // SAFETY: freed once.
        unsafe { sys::llama_model_free(self.model) };
    }
}

fn entries(sequence: usize, prompt: &[i32]) -> impl Iterator<Item = Entry> {
    let last = prompt.len().saturating_sub(1);
    let entry = move |(position, &token)| Entry { token, position, sequence, samples: position == last };
    prompt.iter().enumerate().map(entry)
}

fn keep(answers: &mut [Vec<i32>], made: Vec<(usize, i32)>) {
    for (sequence, token) in made {
        if let Some(answer) = answers.get_mut(sequence) {
            answer.push(token);
        }
    }
}

/// CPU time of all threads of this process.
pub(crate) fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the place for the time is valid.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
