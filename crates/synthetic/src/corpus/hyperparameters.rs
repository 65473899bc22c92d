//! Dimensions and constants that do not fit the tensors or make no sense.

use crate::corpus::case::{Base, Case, Made, loads, refused, with, without};
use crate::value::{Value, type_id};

pub(super) fn cases() -> Vec<Case> {
    [
        blocks_and_context(),
        widths_and_heads(),
        attention_shapes(),
        normalisation(),
        rope(),
        experts_and_rest(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn blocks_and_context() -> Vec<Case> {
    let u64_two = Value::Raw { type_id: type_id::U64, payload: 2_u64.to_le_bytes().to_vec() };
    vec![
        refused("block-count-0", "a model without layers", with("block_count", 0)),
        refused("block-count-one-more", "a layer without tensors", shifted("block_count", 1)),
        refused("block-count-one-less", "tensors without a layer", shifted("block_count", -1)),
        refused("block-count-513", "more layers than arrays have room for", with("block_count", 513)),
        refused("block-count-4e9", "four billion layers", with("block_count", 4_000_000_000)),
        refused("block-count-negative", "minus one layers", with("block_count", Value::I32(-1))),
        refused("block-count-as-text", "a string where a number belongs", with("block_count", "2")),
        refused("block-count-as-u64", "a number of the wrong width", with("block_count", u64_two)),
        refused("block-count-missing", "no layer count", without("block_count")),
        loads("context-length-0", "a context of nothing", with("context_length", 0)),
        loads("context-length-1", "a context of one token", with("context_length", 1)),
        loads("context-length-max", "a context no machine holds", with("context_length", u32::MAX)),
        refused("context-length-missing", "no context length", without("context_length")),
        refused("context-length-as-text", "a string where a number belongs", with("context_length", "2048")),
    ]
}

fn widths_and_heads() -> Vec<Case> {
    vec![
        refused("embedding-length-0", "no width", with("embedding_length", 0)),
        refused("embedding-length-one-more", "not the width of the tensors", shifted("embedding_length", 1)),
        refused("embedding-length-max", "a width that overflows", with("embedding_length", u32::MAX)),
        refused("embedding-length-missing", "no width given", without("embedding_length")),
        refused("head-count-0", "no heads", with("attention.head_count", 0)),
        refused("head-count-3", "the width is not divisible by the heads", with("attention.head_count", 3)),
        refused("head-count-max", "more heads than width", with("attention.head_count", u32::MAX)),
        refused("head-count-missing", "no head count", without("attention.head_count")),
        refused(
            "head-count-array-short",
            "fewer head counts than layers",
            with("attention.head_count", Value::I32s(vec![4])),
        ),
        refused("head-count-array-of-text", "head counts as strings", |base| {
            per_layer(base, "attention.head_count", |count| Value::Strings(vec!["4".into(); count]))
        }),
        loads("head-count-kv-array", "a key-value head count for every layer", |base| {
            per_layer(base, "attention.head_count_kv", |count| Value::I32s(vec![2; count]))
        }),
        refused("head-count-kv-0", "no key-value heads", with("attention.head_count_kv", 0)),
        refused("head-count-kv-too-many", "more than heads", with("attention.head_count_kv", 64)),
        refused("head-count-kv-max", "a number that overflows", with("attention.head_count_kv", u32::MAX)),
        refused("feed-forward-length-0", "no inner width", with("feed_forward_length", 0)),
        refused("feed-forward-length-one-more", "not that of the tensors", shifted("feed_forward_length", 1)),
        refused("feed-forward-length-missing", "no inner width given", without("feed_forward_length")),
    ]
}

fn attention_shapes() -> Vec<Case> {
    vec![
        refused("attention-key-length-0", "keys without width", with("attention.key_length", 0)),
        refused(
            "attention-key-length-max",
            "keys whose width overflows",
            with("attention.key_length", u32::MAX),
        ),
        refused("attention-value-length-0", "values without width", with("attention.value_length", 0)),
        refused(
            "attention-value-length-max",
            "values whose width overflows",
            with("attention.value_length", u32::MAX),
        ),
        loads("sliding-window-1", "a window of one token", with("attention.sliding_window", 1)),
        loads("pooling-99", "an unknown pooling", with("pooling_type", 99)),
        loads("pooling-rank", "a reranker without its head", with("pooling_type", 4)),
        loads("not-causal", "a chat model that looks ahead", with("attention.causal", false)),
    ]
}

const EPSILON: &str = "attention.layer_norm_rms_epsilon";

fn normalisation() -> Vec<Case> {
    vec![
        refused("epsilon-missing", "no epsilon", without(EPSILON)),
        refused("epsilon-nan", "an epsilon that is not a number", with(EPSILON, f32::NAN)),
        refused("epsilon-negative", "the root of a negative number", with(EPSILON, -1.0)),
        loads("epsilon-0", "division by zero for a zero vector", with(EPSILON, 0.0)),
        loads("epsilon-infinite", "every vector becomes zero", with(EPSILON, f32::INFINITY)),
        refused("epsilon-as-integer", "a number of the wrong type", with(EPSILON, 1)),
    ]
}

fn rope() -> Vec<Case> {
    vec![
        refused("rope-dimension-0", "no dimension to rotate", with("rope.dimension_count", 0)),
        refused("rope-dimension-15", "an odd number of dimensions", with("rope.dimension_count", 15)),
        refused("rope-dimension-huge", "more than a head has", with("rope.dimension_count", 1 << 20)),
        refused("rope-dimension-max", "a number that overflows", with("rope.dimension_count", u32::MAX)),
        loads("rope-base-0", "a base of zero", with("rope.freq_base", 0.0)),
        loads("rope-base-negative", "a power of a negative base", with("rope.freq_base", -1.0)),
        loads("rope-base-nan", "a base that is not a number", with("rope.freq_base", f32::NAN)),
        loads("rope-scaling-unknown", "an unknown scaling", with("rope.scaling.type", "quantum")),
        loads("rope-scaling-factor-nan", "a factor that is not a number", |base| {
            base.edit(|draft| {
                draft.set(&base.key("rope.scaling.type"), "yarn");
                draft.set(&base.key("rope.scaling.factor"), f32::NAN);
                Some(())
            })
        }),
    ]
}

fn experts_and_rest() -> Vec<Case> {
    vec![
        refused("expert-count-1e9", "a billion experts", with("expert_count", 1_000_000_000)),
        refused("expert-count-4-none-used", "experts nobody asks", with("expert_count", 4)),
        refused(
            "expert-used-without-experts",
            "more experts used than there are",
            with("expert_used_count", 5),
        ),
        loads("vocab-size-0", "a claim of no tokens", with("vocab_size", 0)),
        loads("vocab-size-1", "a claim of one token", with("vocab_size", 1)),
        loads("vocab-size-max", "a claim of four billion tokens", with("vocab_size", u32::MAX)),
    ]
}

/// Adds to the number a key holds.
fn shifted(key: &'static str, by: i32) -> impl Fn(&Base) -> Made {
    move |base| {
        base.edit(|draft| match draft.get_mut(&base.key(key)) {
            Some(Value::U32(value)) => {
                *value = value.checked_add_signed(by)?;
                Some(())
            }
            _ => None,
        })
    }
}

/// Sets a key to an array with an element for every layer.
fn per_layer(base: &Base, key: &str, values: fn(usize) -> Value) -> Made {
    base.edit(|draft| {
        let Some(&Value::U32(layers)) = draft.get(&base.key("block_count")) else { return None };
        draft.set(&base.key(key), values(usize::try_from(layers).ok()?));
        Some(())
    })
}
