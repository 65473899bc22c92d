use std::sync::Arc;

use rkllmjs_core::{Error, ErrorCode, Medium, RowAttention, RowPlaces, Run, SequenceId, Token, Tokenizer};

use crate::LlamaEngine;
use crate::batch::BatchBuffer;
use crate::context::{Computed, RowMask};
use crate::engine::MICRO_BATCH;
use crate::places::{Places, row_position};

/// A run of rows as llama.cpp takes it; kept between steps.
#[derive(Debug, Default)]
pub(crate) struct RowBatch {
    places: BatchBuffer,
    values: Vec<f32>,
}

/// What follows a run of rows: the next computation would overwrite it where llama.cpp keeps it.
pub(crate) type KeptLogits = (SequenceId, Vec<f32>);

/// A row to compute: its index in the sequence, and the token that stands for it.
type Row = (u32, Token);

/// The rows that a run computes.
struct Rows {
    rows: Vec<Row>,
    medium: Arc<Medium>,
    places: Arc<Places>,
    slot: i32,
    /// Whether what follows the last one is wanted.
    sample: bool,
}

impl LlamaEngine {
    /// Refuses media that are not of this model.
    pub(crate) fn check_media(&self, media: &[Arc<Medium>]) -> Result<(), Error> {
        let width = self.model.input_size();
        if let Some(medium) = media.iter().find(|medium| medium.width() != width) {
            let message = format!("a medium has rows of {}, the model reads {width}", medium.width());
            return Err(Error::new(ErrorCode::Internal, message));
        }
        let is_grid = |medium: &Arc<Medium>| matches!(medium.places(), RowPlaces::Grid { .. });
        if media.iter().any(is_grid) && self.model.numbers_of_a_place() == 1 {
            let message = "a medium has rows in two dimensions, the model reads them one after the other";
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
            let rows = self.rows_of(run)?;
            let computed = self.compute_run(&rows)?;
            if computed != Computed::Done {
                return Ok(computed);
            }
            if run.sample {
                let vocabulary = self.model.vocabulary_size();
                let last = self.rows.places.len().saturating_sub(1);
                let last = i32::try_from(last).unwrap_or(i32::MAX);
                let logits = self.context()?.logits(last, vocabulary)?.to_vec();
                kept.push((run.sequence, logits));
            }
        }
        Ok(Computed::Done)
    }

    /// The rows of a run, and those before them that are to be computed again.
    fn rows_of(&mut self, run: &Run<'_>) -> Result<Rows, Error> {
        let slot = self.slot(run.sequence)?;
        let unknown = || Error::new(ErrorCode::Internal, "a run of rows of an unknown medium");
        let open = self.open.get(&run.sequence).ok_or_else(unknown)?;
        let (&first, &last) = run.tokens.first().zip(run.tokens.last()).ok_or_else(unknown)?;
        let medium = open.media.iter().find(|medium| medium.has(first) && medium.has(last));
        let medium = Arc::clone(medium.ok_or_else(unknown)?);
        let places = Arc::clone(&open.places);
        let lost = self.lost_rows(run.start, first, &medium, &places, slot)?;
        let start = run.start.checked_sub(lost).ok_or_else(unknown)?;
        let rows = (start..).zip(first - lost..=last).collect();
        Ok(Rows { rows, medium, places, slot, sample: run.sample })
    }

    /// How many rows of a medium before row `first` left the cache: what stands at one place leaves it together,
    /// even where only the last of it had to.
    fn lost_rows(
        &mut self,
        index: u32,
        first: Token,
        medium: &Medium,
        places: &Places,
        slot: i32,
    ) -> Result<u32, Error> {
        let before = first.saturating_sub(medium.tokens().start);
        if before == 0 || medium.places() == RowPlaces::Line {
            return Ok(0);
        }
        let is_there = self.context()?.last_position(slot) == Some(places.position(index));
        Ok(if is_there { 0 } else { before })
    }

    /// Computes rows, as many at once as a batch has room for; all if they see each other.
    fn compute_run(&mut self, rows: &Rows) -> Result<Computed, Error> {
        let most = match rows.medium.attention() {
            RowAttention::Causal => self.limits.batch as usize,
            RowAttention::Mutual => rows.rows.len(),
        };
        let mut batch = std::mem::take(&mut self.rows);
        let mut computed = Ok(Computed::Done);
        for piece in rows.rows.chunks(most.max(1)) {
            computed = fill(&mut batch, rows, piece).and_then(|mask| self.compute_batch(&mut batch, mask));
            if !matches!(computed, Ok(Computed::Done)) {
                break;
            }
        }
        self.rows = batch;
        computed
    }

    fn compute_batch(&mut self, batch: &mut RowBatch, mask: RowMask) -> Result<Computed, Error> {
        let (threads, threads_batch) = (self.options.threads, self.options.threads_batch);
        let context = self.context()?;
        context.set_threads(threads, threads_batch);
        context.decode_rows(&mut batch.places, &mut batch.values, mask)
    }
}

/// Lays out some rows of a run; what they see of each other.
fn fill(batch: &mut RowBatch, rows: &Rows, piece: &[Row]) -> Result<RowMask, Error> {
    batch.places.clear();
    batch.values.clear();
    let medium = &rows.medium;
    for &(index, token) in piece {
        let unknown = || Error::new(ErrorCode::Internal, "a row of an unknown medium");
        batch.values.extend_from_slice(medium.row(token).ok_or_else(unknown)?);
        let is_last = rows.rows.last() == Some(&(index, token));
        let place = row_position(&rows.places, index, medium, token);
        batch.places.push_at(0, place, rows.slot, rows.sample && is_last);
    }
    Ok(match medium.attention() {
        RowAttention::Causal => RowMask::Causal,
        RowAttention::Mutual => RowMask::Open,
    })
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
