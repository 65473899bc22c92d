//! Weights that are not numbers, and data after the end.

use crate::corpus::case::{Base, Case, Made, edited, loads, tensor};
use crate::tensor::Data;
use crate::weight_type::WeightType;

const EMBEDDING: &str = "token_embd.weight";
const KEYS: &str = "blk.0.attn_k.weight";
const DOWN: &str = "blk.0.ffn_down.weight";
const NORM: &str = "blk.0.attn_norm.weight";
const LAST_NORM: &str = "output_norm.weight";

pub(super) fn cases() -> Vec<Case> {
    vec![
        loads(
            "nan-in-norm",
            "one NaN in the first norm",
            numbers(NORM, |values| values[..4].copy_from_slice(&nan())),
        ),
        loads(
            "nan-in-last-norm",
            "one NaN in the last norm",
            numbers(LAST_NORM, |values| {
                values[..4].copy_from_slice(&nan());
            }),
        ),
        loads(
            "infinity-in-norm",
            "one infinity in the first norm",
            numbers(NORM, |values| {
                values[..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
            }),
        ),
        loads("huge-norm", "products that overflow", constant(LAST_NORM, WeightType::F32, 3e38)),
        loads("zero-norm", "every logit is the same", constant(LAST_NORM, WeightType::F32, 0.0)),
        loads("nan-scales-q8_0", "a NaN for a scale in every row", poisoned(KEYS, WeightType::Q8_0)),
        loads("nan-scales-q4_0", "a NaN for a scale in every row", poisoned(KEYS, WeightType::Q4_0)),
        loads("nan-values-f16", "a NaN at the start of every row", poisoned(KEYS, WeightType::F16)),
        loads("nan-values-f32", "a NaN at the start of every row", poisoned(KEYS, WeightType::F32)),
        loads("nan-embeddings", "a NaN for a scale in every token", poisoned(EMBEDDING, WeightType::Q8_0)),
        loads("infinite-f16", "a matrix of infinities", constant(DOWN, WeightType::F16, f32::INFINITY)),
        loads("all-ones", "data of 0xff bytes", edited(|draft| fill(draft, 0xff))),
        loads("all-zeros", "data of zero bytes", edited(|draft| fill(draft, 0))),
        loads("trailing-byte", "one byte after the end", |base| followed(base, b"x")),
        loads("trailing-page", "a page of zeros after the end", |base| followed(base, &[0; 4096])),
        loads("trailing-model", "a second model after the end", |base| followed(base, &base.bytes)),
    ]
}

fn nan() -> [u8; 4] {
    f32::NAN.to_le_bytes()
}

/// Changes the bytes of an f32 tensor.
fn numbers(name: &'static str, change: impl Fn(&mut [u8])) -> impl Fn(&Base) -> Made {
    edited(move |draft| match draft.tensor_mut(name) {
        Some(tensor) if tensor.type_id == WeightType::F32.id() => match &mut tensor.data {
            Data::Bytes(bytes) if bytes.len() >= 4 => {
                change(bytes);
                Some(())
            }
            _ => None,
        },
        _ => None,
    })
}

/// Fills a tensor with one number.
fn constant(name: &'static str, weight_type: WeightType, value: f32) -> impl Fn(&Base) -> Made {
    tensor(name, move |it| {
        it.type_id = weight_type.id();
        it.data = Data::Constant(value);
    })
}

/// Replaces a matrix by random numbers and a NaN at the start of every row.
fn poisoned(name: &'static str, weight_type: WeightType) -> impl Fn(&Base) -> Made {
    tensor(name, move |it| {
        it.type_id = weight_type.id();
        it.data = Data::Random { deviation: 0.05, zero_rows: 0 };
        it.poisoned = true;
    })
}

fn fill(draft: &mut crate::draft::Draft, byte: u8) -> Option<()> {
    for tensor in &mut draft.tensors {
        if let Data::Bytes(bytes) = &mut tensor.data {
            bytes.fill(byte);
        }
    }
    Some(())
}

fn followed(base: &Base, tail: &[u8]) -> Made {
    Some([&base.bytes, tail].concat())
}
