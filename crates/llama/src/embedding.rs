use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use llama_cpp_sys_2 as sys;
use rkllmjs_core::{Error, ErrorCode, Token};

use crate::Model;
use crate::batch::BatchBuffer;
use crate::context::{Computed, Context, ContextOptions, KvType};

/// Most inputs that one computation embeds together.
const INPUTS_MAX: usize = 16;
/// Most tokens of one input. All of an input is computed at once, and its buffers grow with this.
pub const INPUT_TOKENS_MAX: u32 = 2048;

/// How the vectors of a text's tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pooling {
    /// As the model's file says; mean where it says nothing.
    #[default]
    Model,
    /// Their mean.
    Mean,
    /// The first one.
    Cls,
    /// The last one.
    Last,
    /// They do not: the head that the model ranks with makes scores of one of them.
    Rank,
}

/// Makes embeddings in a context of its own, so that generation keeps its cache.
#[derive(Debug)]
pub(crate) struct Embedder {
    context: Context,
    batch: BatchBuffer,
    capacity: u32,
    encoder_only: bool,
}

impl Embedder {
    pub(crate) fn new(
        model: &Arc<Model>,
        pooling: Pooling,
        context_size: u32,
        threads: u32,
        encoder_only: bool,
        model_pools: bool,
        abort: Arc<AtomicBool>,
    ) -> Result<Self, Error> {
        let capacity = context_size.min(INPUT_TOKENS_MAX);
        let pooling = match pooling {
            Pooling::Model if model_pools => sys::LLAMA_POOLING_TYPE_UNSPECIFIED,
            Pooling::Model | Pooling::Mean => sys::LLAMA_POOLING_TYPE_MEAN,
            Pooling::Cls => sys::LLAMA_POOLING_TYPE_CLS,
            Pooling::Last => sys::LLAMA_POOLING_TYPE_LAST,
            Pooling::Rank => sys::LLAMA_POOLING_TYPE_RANK,
        };
        // llama.cpp's graph needs the same number of tokens, at least one, for every sequence.
        let size = capacity.next_multiple_of(INPUTS_MAX as u32);
        let options = ContextOptions {
            cells: size,
            sequences: INPUTS_MAX as u32,
            batch: size,
            micro_batch: size,
            threads,
            threads_batch: threads,
            kv_type: KvType::F16,
            flash_attention: None,
            pooling: Some(pooling),
        };
        let context = Context::new(model, &options, abort)?;
        Ok(Self { context, batch: BatchBuffer::default(), capacity, encoder_only })
    }

    /// The vectors of `inputs`, in their order.
    pub(crate) fn embed(&mut self, inputs: &[Vec<Token>]) -> Result<Vec<Vec<f32>>, Error> {
        let mut vectors = Vec::with_capacity(inputs.len());
        let mut rest = inputs;
        while !rest.is_empty() {
            let fit = self.fitting(rest)?;
            let (group, later) = rest.split_at(fit);
            self.embed_group(group, &mut vectors)?;
            rest = later;
        }
        Ok(vectors)
    }

    /// The first score that the head gives each of `inputs`, in their order.
    pub(crate) fn rank(&mut self, inputs: &[Vec<Token>]) -> Result<Vec<f32>, Error> {
        let scores = self.embed(inputs)?.into_iter().map(|scores| scores.first().copied());
        let none = || Error::new(ErrorCode::EngineFailed, "the model's head gave no score");
        scores.collect::<Option<_>>().ok_or_else(none)
    }

    /// How many inputs from the first on fit one computation; at least 1.
    fn fitting(&self, inputs: &[Vec<Token>]) -> Result<usize, Error> {
        let mut tokens = 0;
        let mut count = 0;
        for input in inputs.iter().take(INPUTS_MAX) {
            if input.is_empty() {
                return Err(Error::option("input", "has an empty text: there is nothing to embed"));
            }
            if input.len() > self.capacity as usize {
                return Err(Error::context_exceeded(input.len(), self.capacity));
            }
            tokens += input.len();
            if tokens > self.capacity as usize {
                break;
            }
            count += 1;
        }
        Ok(count)
    }

    fn embed_group(&mut self, group: &[Vec<Token>], vectors: &mut Vec<Vec<f32>>) -> Result<(), Error> {
        self.context.clear();
        self.batch.clear();
        for (slot, input) in (0..).zip(group) {
            for (position, &token) in (0..).zip(input) {
                self.batch.push(token, position, slot, true);
            }
        }
        let computed = if self.encoder_only {
            self.context.encode(&mut self.batch)?
        } else {
            self.context.decode(&mut self.batch)?
        };
        if computed != Computed::Done {
            return Err(Error::new(ErrorCode::EngineFailed, "the embedding was interrupted"));
        }
        for (slot, _) in (0..).zip(group) {
            vectors.push(self.context.embedding(slot)?.to_vec());
        }
        Ok(())
    }
}
