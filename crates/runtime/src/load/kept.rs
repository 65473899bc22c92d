//! What is kept of ended requests: whether anything is, where it may go, and what it belongs to.

use std::path::Path;

use rkllmjs_core::{Detail, Error, ErrorCode, Limits, Overflow};
use rkllmjs_gguf::{Facts, Parts};

use super::LoadOptions;
use super::gguf::only_reads;
use crate::machine::machine;
use crate::plan::{Plan, bytes};
use crate::state::{Origin, StateFacts};

const HOST_CACHE_BYTES: &str = "host_cache_bytes";
/// Beside its numbers a cell has its position and its owners, at most this much.
const CELL_BYTES: u64 = 64;
/// For what stands around the cells.
const FRAME_BYTES: u64 = 1 << 20;

/// Whether the model keeps anything for later requests, and if not, why.
pub(super) struct Kept {
    nothing_because: Option<&'static str>,
}

impl Kept {
    pub(super) fn of(options: &LoadOptions, facts: &Facts<'_>, overflow: Overflow, limits: &Limits) -> Self {
        let nothing_because = if only_reads(options, facts) {
            Some("it only reads")
        } else if overflow == Overflow::Shift {
            Some("it was loaded with context_overflow: 'shift'")
        } else if !limits.rolls_back {
            Some("its memory is a running state, of which no beginning can be cut off")
        } else if !limits.shares {
            Some("some of its layers see the last tokens alone, and its cache forgets the others")
        } else if limits.kept == 0 {
            Some("its max_sequences take all places of the cache")
        } else {
            None
        };
        Self { nothing_because }
    }

    /// The bytes for what has to leave the cache.
    ///
    /// # Errors
    ///
    /// `unsupported` where nothing is kept; `insufficient-memory` where there are not as many.
    pub(super) fn host_cache_bytes(&self, options: &LoadOptions, plan: &Plan) -> Result<u64, Error> {
        let wanted = bytes(HOST_CACHE_BYTES, options.host_cache_bytes)?.unwrap_or(0);
        if wanted == 0 {
            return Ok(0);
        }
        if let Some(why) = self.nothing_because {
            let message =
                format!("must be 0: nothing of an ended request is kept by this model, because {why}");
            return Err(Error::unsupported(HOST_CACHE_BYTES, message));
        }
        let needed = plan.memory.total.saturating_add(wanted);
        match machine().memory_available {
            // The weights may be loaded already, and are then no longer among what is available.
            Some(available) if wanted > available => {
                let message = format!(
                    "the model needs about {} MiB with {HOST_CACHE_BYTES}, and {} MiB are free; ask for less",
                    needed >> 20,
                    available >> 20
                );
                Err(Error::new(ErrorCode::InsufficientMemory, message)
                    .with("needed", Detail::Number(needed))
                    .with("available", Detail::Number(available)))
            }
            _ => Ok(wanted),
        }
    }

    /// What saved conversations of the model belong to, or why there are none.
    ///
    /// # Errors
    ///
    /// `model-invalid` if the model's files cannot be read again.
    pub(super) fn state_facts(
        &self,
        parts: &Parts,
        path: &Path,
        facts: &Facts<'_>,
        plan: &Plan,
    ) -> Result<Result<StateFacts, Error>, Error> {
        if let Some(why) = self.nothing_because {
            let message = format!(
                "conversations of this model cannot be saved: nothing is kept of them, because {why}"
            );
            return Ok(Err(Error::new(ErrorCode::Unsupported, message)));
        }
        // Twice, because the estimate is one.
        let cells = u64::from(plan.cells).saturating_mul(CELL_BYTES);
        let cells_bytes =
            plan.memory.kv_bytes.saturating_mul(2).saturating_add(cells).saturating_add(FRAME_BYTES);
        Ok(Ok(StateFacts { origin: Origin::of(parts, path, facts, plan)?, cells_bytes }))
    }
}
