use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use llama_cpp_sys_2 as sys;
use rkllmjs_core::{Error, ErrorCode, Sampling, Token};

use crate::Model;
use crate::adapter::Adapter;
use crate::batch::BatchBuffer;
use crate::context::{Computed, Context, ContextOptions, Hidden, KvType};
use crate::sampler::SequenceSampler;

/// Most rows of one computation.
const ROWS_MAX: u32 = 512;

/// How a session is set up. Every number must have been checked against the machine.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Most tokens of one sequence.
    pub context: u32,
    /// Sequences at once, at most 256.
    pub sequences: u32,
    /// Compute threads.
    pub threads: u32,
}

/// One token of a computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Which.
    pub token: Token,
    /// Its place in its sequence; everything before it is in the cache.
    pub position: u32,
    /// Its sequence, below the session's number of them.
    pub sequence: u32,
    /// Whether its logits are wanted.
    pub output: bool,
}

/// A model for one caller who keeps the books of the cache: the layer below [`LlamaEngine`], for what
/// the [`Engine`] trait has no words for.
///
/// [`LlamaEngine`]: crate::LlamaEngine
/// [`Engine`]: rkllmjs_core::Engine
#[derive(Debug)]
pub struct Session {
    // Dropped in this order: the context before the adapters it may point to.
    context: Context,
    adapters: BTreeMap<String, (Adapter, f32)>,
    batch: BatchBuffer,
    hidden: Hidden,
    model: Arc<Model>,
}

impl Session {
    /// Most rows of one computation.
    pub const ROWS_MAX: usize = ROWS_MAX as usize;

    /// Sets up the cache and the threads for a loaded model.
    ///
    /// # Errors
    ///
    /// `insufficient-memory` if llama.cpp gets no memory for the cache.
    pub fn new(model: Arc<Model>, options: &SessionOptions) -> Result<Self, Error> {
        let context_options = ContextOptions {
            cells: options.context.saturating_mul(options.sequences),
            sequences: options.sequences,
            batch: ROWS_MAX,
            micro_batch: ROWS_MAX,
            threads: options.threads,
            threads_batch: options.threads,
            kv_type: KvType::F16,
            flash_attention: None,
            pooling: Some(sys::LLAMA_POOLING_TYPE_NONE),
        };
        let mut context = Context::new(&model, &context_options, Arc::new(AtomicBool::new(false)))?;
        context.show_hidden(Hidden::Left);
        let (adapters, batch) = (BTreeMap::new(), BatchBuffer::default());
        Ok(Self { context, adapters, batch, hidden: Hidden::Left, model })
    }

    /// Computes `rows`, at most [`Session::ROWS_MAX`].
    ///
    /// # Errors
    ///
    /// `engine-failed`; the sequences of these rows are then undefined.
    pub fn decode(&mut self, rows: &[Row]) -> Result<(), Error> {
        self.show(Hidden::Left);
        self.fill(rows)?;
        done(self.context.decode(&mut self.batch)?)
    }

    /// Computes `rows` so that [`Session::hidden`] can tell the hidden state of each.
    ///
    /// # Errors
    ///
    /// As [`Session::decode`].
    pub fn decode_for_hidden(&mut self, rows: &[Row]) -> Result<(), Error> {
        self.show(Hidden::Shown);
        self.fill(rows)?;
        done(self.context.decode(&mut self.batch)?)
    }

    /// Computes rows that are vectors of the model's embedding size, one after another in `vectors`,
    /// instead of tokens; the tokens of `rows` count for nothing.
    ///
    /// # Errors
    ///
    /// `invalid-request` if the vectors are not as many as the rows; as [`Session::decode`].
    pub fn decode_vectors(&mut self, rows: &[Row], vectors: &mut [f32]) -> Result<(), Error> {
        if rows.len().checked_mul(self.model.embedding_size()) != Some(vectors.len()) {
            return Err(Error::new(ErrorCode::InvalidRequest, "as many vectors as rows are needed"));
        }
        self.show(Hidden::Left);
        self.fill(rows)?;
        done(self.context.decode_vectors(&mut self.batch, vectors)?)
    }

    fn show(&mut self, hidden: Hidden) {
        if self.hidden != hidden {
            self.hidden = hidden;
            self.context.show_hidden(hidden);
        }
    }

    fn fill(&mut self, rows: &[Row]) -> Result<(), Error> {
        let unknown = rows.iter().find(|row| row.token >= vocabulary(&self.model));
        if rows.is_empty() || rows.len() > Self::ROWS_MAX || unknown.is_some() {
            let message = format!(
                "a computation needs 1 to {ROWS_MAX} rows of tokens below {}",
                vocabulary(&self.model)
            );
            return Err(Error::new(ErrorCode::InvalidRequest, message));
        }
        self.batch.clear();
        for row in rows {
            self.batch.push(row.token, row.position, row.sequence.cast_signed(), row.output);
        }
        Ok(())
    }

    /// The logits after row `index` of the last computation, which must have asked for them.
    ///
    /// # Errors
    ///
    /// `engine-failed` without such a row.
    pub fn logits(&mut self, index: usize) -> Result<&[f32], Error> {
        self.context.logits(i32::try_from(index).unwrap_or(i32::MAX), vocabulary(&self.model))
    }

    /// The hidden state after row `index` of the last [`Session::decode_for_hidden`].
    ///
    /// # Errors
    ///
    /// `engine-failed` without such a row.
    pub fn hidden(&mut self, index: usize) -> Result<&[f32], Error> {
        self.context.hidden(i32::try_from(index).unwrap_or(i32::MAX))
    }

    /// Removes a sequence's tokens from position `from` on. False if the model cannot.
    pub fn truncate(&mut self, sequence: u32, from: u32) -> bool {
        self.context.remove(sequence.cast_signed(), from)
    }

    /// Removes a sequence's positions from `from` to `to`, and moves what follows down. False if the
    /// model cannot.
    pub fn cut(&mut self, sequence: u32, from: u32, to: u32) -> bool {
        self.context.cut(sequence.cast_signed(), from, to)
    }

    /// What the cache holds of a sequence, as bytes for [`Session::restore`].
    pub fn save(&mut self, sequence: u32) -> Vec<u8> {
        self.context.save(sequence.cast_signed())
    }

    /// Makes a sequence what [`Session::save`] found; false, and the sequence is undefined, if the bytes
    /// do not fit this model.
    pub fn restore(&mut self, sequence: u32, bytes: &[u8]) -> bool {
        self.context.restore(sequence.cast_signed(), bytes)
    }

    /// Loads an adapter that was checked to fit the model.
    ///
    /// # Errors
    ///
    /// `model-invalid` if llama.cpp refuses it; `invalid-request` if the name is taken.
    pub fn load_adapter(&mut self, name: &str, path: &Path, scale: f32) -> Result<(), Error> {
        if self.adapters.contains_key(name) {
            return Err(Error::option("name", format!("{name:?} is taken by another adapter")));
        }
        let adapter = Adapter::load(&self.model, path)?;
        self.adapters.insert(name.to_owned(), (adapter, scale));
        Ok(())
    }

    /// Makes the next computations run under this adapter alone, or under none.
    ///
    /// # Errors
    ///
    /// `invalid-request` if it is not loaded.
    pub fn use_adapter(&mut self, name: Option<&str>) -> Result<(), Error> {
        let Some(name) = name else { return self.context.set_adapters(&[]) };
        let unknown = || Error::option("lora", format!("names {name:?}, which is not loaded"));
        let (adapter, scale) = self.adapters.get(name).ok_or_else(unknown)?;
        self.context.set_adapters(&[(adapter, *scale)])
    }
}

fn vocabulary(model: &Model) -> u32 {
    rkllmjs_core::Tokenizer::vocabulary_size(model)
}

fn done(computed: Computed) -> Result<(), Error> {
    match computed {
        Computed::Done => Ok(()),
        Computed::CacheFull => Err(Error::new(ErrorCode::EngineFailed, "the cache is full")),
        Computed::Aborted => Err(Error::new(ErrorCode::EngineFailed, "the computation was stopped")),
    }
}

/// Chooses the tokens of one sequence of a [`Session`].
#[derive(Debug)]
pub struct Sampler {
    sampler: SequenceSampler,
    candidates: Vec<sys::llama_token_data>,
}

impl Sampler {
    /// `prompt` is what the penalties may look back at.
    ///
    /// # Errors
    ///
    /// `invalid-request` for a grammar that cannot be read.
    pub fn new(model: &Arc<Model>, sampling: &Sampling, prompt: &[Token]) -> Result<Self, Error> {
        Ok(Self { sampler: SequenceSampler::new(model, sampling, prompt)?, candidates: Vec::new() })
    }

    /// The token that follows `logits`.
    ///
    /// # Errors
    ///
    /// `engine-failed` if the model computed no numbers.
    pub fn sample(&mut self, logits: &[f32]) -> Result<Token, Error> {
        self.sampler.sample(logits, &mut self.candidates)
    }
}
