use std::sync::Arc;

use rkllmjs_core::{Error, ErrorCode, Medium, RowAttention, Run, SequenceId, Tokenizer};

use crate::LlamaEngine;
use crate::batch::BatchBuffer;
use crate::context::{Computed, RowMask};
use crate::engine::MICRO_BATCH;

/// A run of rows as llama.cpp takes it; kept between steps.
#[derive(Debug, Default)]
pub(crate) struct RowBatch {
    places: BatchBuffer,
    values: Vec<f32>,
}

/// What follows a run of rows: the next computation would overwrite it where llama.cpp keeps it.
pub(crate) type KeptLogits = (SequenceId, Vec<f32>);

impl LlamaEngine {
    /// Refuses media that are not of this model.
    pub(crate) fn check_media(&self, media: &[Arc<Medium>]) -> Result<(), Error> {
        let width = self.model.input_size();
        if let Some(medium) = media.iter().find(|medium| medium.width() != width) {
            let message = format!("a medium has rows of {}, the model reads {width}", medium.width());
            return Err(Error::new(ErrorCode::Internal, message));
        }
        let most = mutual_rows_max(self.limits.batch);
        let is_large =
            |medium: &&Arc<Medium>| medium.attention() == RowAttention::Mutual && medium.rows() > most;
        match media.iter().find(is_large) {
            None => Ok(()),
            Some(medium) => Err(too_many_rows(medium.rows(), most)),
        }
    }

    /// Computes runs of rows, each by itself: llama.cpp mixes no rows with tokens.
    pub(crate) fn compute_rows(
        &mut self,
        runs: &[&Run<'_>],
        kept: &mut Vec<KeptLogits>,
    ) -> Result<Computed, Error> {
        for run in runs {
            let computed = self.compute_run(run)?;
            if computed != Computed::Done {
                return Ok(computed);
            }
            if run.sample {
                let vocabulary = self.model.vocabulary_size();
                let last = i32::try_from(run.tokens.len()).unwrap_or(i32::MAX) - 1;
                let logits = self.context()?.logits(last, vocabulary)?.to_vec();
                kept.push((run.sequence, logits));
            }
        }
        Ok(Computed::Done)
    }

    fn compute_run(&mut self, run: &Run<'_>) -> Result<Computed, Error> {
        let slot = self.slot(run.sequence)?;
        let mut rows = std::mem::take(&mut self.rows);
        let mask = self.fill(&mut rows, run, slot);
        let computed = mask.and_then(|mask| {
            let (threads, threads_batch) = (self.options.threads, self.options.threads_batch);
            let context = self.context()?;
            context.set_threads(threads, threads_batch);
            context.decode_rows(&mut rows.places, &mut rows.values, mask)
        });
        self.rows = rows;
        computed
    }

    /// Lays out the rows of a run; what they see of each other.
    fn fill(&self, rows: &mut RowBatch, run: &Run<'_>, slot: i32) -> Result<RowMask, Error> {
        rows.places.clear();
        rows.values.clear();
        let media = self.open.get(&run.sequence).map_or([].as_slice(), |open| open.media.as_slice());
        let medium = run.tokens.first().and_then(|&token| media.iter().find(|medium| medium.has(token)));
        let unknown = || Error::new(ErrorCode::Internal, "a run of rows of an unknown medium");
        let medium = medium.ok_or_else(unknown)?;
        for (i, &token) in (0..).zip(run.tokens) {
            rows.values.extend_from_slice(medium.row(token).ok_or_else(unknown)?);
            let is_last = i + 1 == run.tokens.len();
            let position = run.start + u32::try_from(i).unwrap_or(u32::MAX);
            rows.places.push(0, position, slot, run.sample && is_last);
        }
        Ok(match medium.attention() {
            RowAttention::Causal => RowMask::Causal,
            RowAttention::Mutual => RowMask::Open,
        })
    }
}

/// Most rows that see each other where a step has at most `batch` tokens: llama.cpp ends the process where they do
/// not fit one of its micro batches.
pub fn mutual_rows_max(batch: u32) -> u32 {
    batch.min(MICRO_BATCH)
}

fn too_many_rows(rows: u32, most: u32) -> Error {
    let message = if rows <= MICRO_BATCH {
        format!("must be at least {rows}, the rows of an image for this model, got {most}")
    } else {
        format!(
            "cannot be as large as this model's images need: {rows}, and at most {MICRO_BATCH} are computed at once"
        )
    };
    Error::unsupported("batch_size", message)
}
