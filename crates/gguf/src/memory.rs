//! A rough estimate of how much memory a model takes, from its metadata alone.
//!
//! The estimate exists to warn before a load that cannot succeed. How far it is from what
//! llama.cpp allocates has not been measured over the model families, so treat it as an order of
//! magnitude. All formulas are beside the code that computes them.

use crate::facts::Facts;
use crate::types::TensorType;

/// How a model is going to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Positions in the KV cache, over all sequences together.
    pub cells: u64,
    /// How keys are stored.
    pub kv_type_k: TensorType,
    /// How values are stored.
    pub kv_type_v: TensorType,
    /// Most tokens handed to the model in one call.
    pub batch: u64,
    /// Most tokens computed at once.
    pub micro_batch: u64,
    /// Most sequences at a time.
    pub sequences: u64,
}

/// Estimated bytes, by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// The tensors of the file. Mapped from disk, so they need not all be resident at once.
    pub weights_bytes: u64,
    /// The KV cache. Recurrent states are not counted; they do not grow with the context.
    pub kv_bytes: u64,
    /// Intermediate results and output buffers.
    pub compute_bytes: u64,
    /// The sum.
    pub total: u64,
}

const F32: u64 = 4;

/// Estimates the memory for running the model of `facts` as `plan` says.
///
/// Absent facts count as zero, and sums stop at the largest number instead of overflowing. A
/// sliding window is not taken into account, so for such models the cache is overestimated.
#[must_use]
pub fn estimate(facts: &Facts<'_>, plan: &Plan) -> Estimate {
    let weights_bytes = facts.weights_bytes;
    let kv_bytes = kv_bytes(facts, plan);
    let compute_bytes = compute_bytes(facts, plan);
    let total = weights_bytes.saturating_add(kv_bytes).saturating_add(compute_bytes);
    Estimate { weights_bytes, kv_bytes, compute_bytes, total }
}

/// `cells * sum over cached layers of (row of keys + row of values)`, where a row is
/// `head_count_kv * length` elements in whole blocks of its type.
fn kv_bytes(facts: &Facts<'_>, plan: &Plan) -> u64 {
    let row = |heads: u64, length: Option<u64>, kind: TensorType| {
        let elements = heads.saturating_mul(length.unwrap_or_default());
        kind.bytes_for(elements).unwrap_or(u64::MAX)
    };
    let layers = facts.head_count_kv.iter().zip(&facts.cached_layers).filter(|(_, cached)| **cached);
    let per_cell = layers.fold(0_u64, |sum, (&heads, _)| {
        sum.saturating_add(row(heads, facts.key_length, plan.kv_type_k)).saturating_add(row(
            heads,
            facts.value_length,
            plan.kv_type_v,
        ))
    });
    per_cell.saturating_mul(plan.cells)
}

/// The sum of, in `f32`:
/// - `micro_batch * (vocabulary + 4 * embedding + 3 * feed_forward)`: logits, the residual stream
///   with queries, keys and values, and the feed-forward part of one layer, whose memory the
///   next layer reuses;
/// - `micro_batch * cells * (heads + 1)`: attention scores of one layer and the mask, as without
///   flash attention;
/// - `sequences * vocabulary + batch * embedding`: output logits and embeddings.
fn compute_bytes(facts: &Facts<'_>, plan: &Plan) -> u64 {
    let vocabulary = facts.vocabulary_size.unwrap_or_default();
    let embedding = facts.embedding_length.unwrap_or_default();
    let feed_forward = facts.feed_forward_length.unwrap_or_default();
    let heads = facts.head_count.iter().copied().max().unwrap_or_default();
    let activations = vocabulary
        .saturating_add(embedding.saturating_mul(4))
        .saturating_add(feed_forward.saturating_mul(3))
        .saturating_mul(plan.micro_batch);
    let scores = plan.micro_batch.saturating_mul(plan.cells).saturating_mul(heads.saturating_add(1));
    let outputs =
        plan.sequences.saturating_mul(vocabulary).saturating_add(plan.batch.saturating_mul(embedding));
    activations.saturating_add(scores).saturating_add(outputs).saturating_mul(F32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts;
    use crate::testing::llama;

    const PLAN: Plan = Plan {
        cells: 100,
        kv_type_k: TensorType::F16,
        kv_type_v: TensorType::Q8_0,
        batch: 8,
        micro_batch: 4,
        sequences: 2,
    };

    #[test]
    fn counts_keys_and_values_of_every_layer() {
        let file = llama().open().unwrap();
        let estimate = estimate(&facts(&file), &PLAN);
        // Two layers of two heads of 16: 32 elements, 64 bytes as F16 and 34 as Q8_0.
        assert_eq!(estimate.kv_bytes, 100 * 2 * (64 + 34));
        assert_eq!(estimate.compute_bytes, 4 * (4 * (4 + 256 + 288) + 4 * 100 * 5 + 2 * 4 + 8 * 64));
        assert_eq!(estimate.total, estimate.weights_bytes + estimate.kv_bytes + estimate.compute_bytes);
    }

    #[test]
    fn stops_at_the_largest_number_instead_of_overflowing() {
        let file = llama().open().unwrap();
        let plan = Plan { cells: u64::MAX, micro_batch: u64::MAX, ..PLAN };
        assert_eq!(estimate(&facts(&file), &plan).total, u64::MAX);
    }
}
