//! Tensor tables with wrong names, dimensions, types and offsets.

use crate::corpus::case::{Case, edited, loads, refused, tensor};
use crate::tensor::{Data, Tensor};
use crate::weight_type::WeightType;

const EMBEDDING: &str = "token_embd.weight";
const KEYS: &str = "blk.0.attn_k.weight";
const NORM: &str = "blk.0.attn_norm.weight";
const LAST_NORM: &str = "output_norm.weight";

pub(super) fn cases() -> Vec<Case> {
    [names(), presence(), dimensions(), shapes(), types(), offsets()].into_iter().flatten().collect()
}

fn names() -> Vec<Case> {
    vec![
        refused("tensor-name-empty", "a tensor without a name", tensor(LAST_NORM, |it| it.name.clear())),
        refused(
            "tensor-name-64",
            "a name one byte too long for ggml",
            tensor(LAST_NORM, |it| it.name = "n".repeat(64)),
        ),
        refused(
            "tensor-name-long",
            "a name of a mebibyte",
            tensor(LAST_NORM, |it| it.name = "n".repeat(1 << 20)),
        ),
        refused("tensor-name-length-max", "a name of 2^64 - 1 bytes", |base| {
            base.patch(base.table, &u64::MAX.to_le_bytes())
        }),
        refused(
            "tensor-name-twice",
            "two tensors with one name",
            edited(|draft| {
                let twin = draft.tensors.last()?.clone();
                draft.tensors.push(twin);
                Some(())
            }),
        ),
        refused(
            "tensor-name-twice-up-to-nul",
            "two names that are one to a C reader",
            edited(|draft| {
                let mut twin = draft.tensors.last()?.clone();
                twin.name.push_str("\0b");
                draft.tensors.push(twin);
                Some(())
            }),
        ),
        loads(
            "tensor-name-with-nul",
            "a name that goes on after a NUL",
            tensor(NORM, |it| it.name.push_str("\0x")),
        ),
        refused("tensor-name-not-utf-8", "a name that is not text", |base| {
            base.patch(base.table + 8, b"\xff\xfe\x80")
        }),
    ]
}

fn presence() -> Vec<Case> {
    let missing = [
        ("tensor-missing-embedding", EMBEDDING),
        ("tensor-missing-keys", KEYS),
        ("tensor-missing-norm", NORM),
        ("tensor-missing-last-norm", LAST_NORM),
        ("tensor-missing-ffn-down", "blk.0.ffn_down.weight"),
    ];
    let mut cases: Vec<Case> = missing
        .into_iter()
        .map(|(name, gone)| {
            refused(name, "a tensor the architecture needs is not there", without_tensor(gone))
        })
        .collect();
    cases.extend([
        loads(
            "tensor-missing-output",
            "an output head that falls back to the embedding",
            without_tensor("output.weight"),
        ),
        refused(
            "tensor-extra",
            "a tensor the architecture does not know",
            edited(|draft| {
                draft.tensors.push(Tensor::new("blk.0.mystery", &[32], WeightType::F32, Data::Constant(0.0)));
                Some(())
            }),
        ),
        loads(
            "tensors-in-another-order",
            "the same tensors in reverse",
            edited(|draft| {
                draft.tensors.reverse();
                Some(())
            }),
        ),
    ]);
    cases
}

fn dimensions() -> Vec<Case> {
    vec![
        refused("dims-none", "a tensor without dimensions", tensor(EMBEDDING, |it| it.dims.clear())),
        refused("dims-five", "five dimensions", tensor(EMBEDDING, |it| it.dims.extend([1, 1, 1]))),
        refused("dims-count-max", "2^32 - 1 dimensions", |base| {
            let name_length = base.draft.tensors.first()?.name.len();
            base.patch(base.table + 8 + name_length, &u32::MAX.to_le_bytes())
        }),
        refused("dim-0", "a dimension of nothing", tensor(EMBEDDING, |it| it.dims = vec![32, 0])),
        refused("dim-2-to-40", "a row of a terabyte", tensor(EMBEDDING, |it| it.dims = vec![1 << 40, 1])),
        refused(
            "dim-2-to-63",
            "a dimension that is negative to a signed reader",
            tensor(EMBEDDING, |it| {
                it.dims = vec![1 << 63, 1];
            }),
        ),
        refused(
            "dims-overflow",
            "an element count that wraps around to 0",
            tensor(EMBEDDING, |it| {
                it.dims = vec![1 << 32, 1 << 32];
            }),
        ),
        refused(
            "dims-overflow-bytes",
            "a byte count that wraps around",
            tensor(NORM, |it| {
                it.dims = vec![1 << 31, 1 << 31];
            }),
        ),
        refused(
            "dim-not-whole-blocks",
            "a row that ends inside a block",
            tensor(EMBEDDING, |it| {
                it.dims = vec![33, 32];
                it.type_id = WeightType::Q8_0.id();
            }),
        ),
    ]
}

fn shapes() -> Vec<Case> {
    vec![
        refused(
            "shape-transposed-embedding",
            "rows and columns exchanged",
            tensor(EMBEDDING, |it| it.dims.reverse()),
        ),
        refused("shape-transposed-keys", "rows and columns exchanged", tensor(KEYS, |it| it.dims.reverse())),
        refused(
            "shape-flat-embedding",
            "a matrix as one long row",
            tensor(EMBEDDING, |it| {
                it.dims = vec![it.dims.iter().product()];
            }),
        ),
        refused(
            "shape-keys-halved",
            "half the rows, with data to match",
            tensor(KEYS, |it| {
                resized(it, |dims| {
                    if let [.., rows] = dims {
                        *rows /= 2
                    }
                });
            }),
        ),
        refused(
            "shape-embedding-doubled",
            "two embeddings in one, with data to match",
            tensor(EMBEDDING, |it| {
                it.dims.push(2);
                if let Data::Bytes(bytes) = &mut it.data {
                    bytes.extend_from_within(..);
                }
            }),
        ),
        refused(
            "shape-norm-of-1",
            "a norm of one number",
            tensor(NORM, |it| resized(it, |dims| dims.fill(1))),
        ),
    ]
}

fn types() -> Vec<Case> {
    let unknown = [
        ("tensor-type-4", "a removed type", 4),
        ("tensor-type-5", "a removed type", 5),
        ("tensor-type-31", "a removed type", 31),
        ("tensor-type-38", "a removed type", 38),
        ("tensor-type-255", "an unknown type", 255),
        ("tensor-type-max", "a type that is negative to a signed reader", u32::MAX),
    ];
    // Types of the format that no loader expects for the tensor: sound files, but few operations take them.
    let strange = [
        ("norm-as-f16", NORM, 1, 2),
        ("norm-as-i32", NORM, 26, 4),
        ("norm-as-i64", NORM, 27, 8),
        ("norm-as-f64", NORM, 28, 8),
        ("keys-as-i8", KEYS, 24, 1),
        ("keys-as-i32", KEYS, 26, 4),
        ("embedding-as-i32", EMBEDDING, 26, 4),
        ("embedding-as-f64", EMBEDDING, 28, 8),
    ];
    let unknown = unknown
        .into_iter()
        .map(|(name, why, type_id)| refused(name, why, tensor(EMBEDDING, move |it| it.type_id = type_id)));
    let strange = strange.into_iter().map(|(name, which, type_id, bytes)| {
        loads(
            name,
            "a tensor in a type that is not used for weights",
            tensor(which, move |it| {
                let count: u64 = it.dims.iter().product();
                it.type_id = type_id;
                it.data = Data::Bytes(vec![0; usize::try_from(count).unwrap_or(0) * bytes]);
            }),
        )
    });
    unknown.chain(strange).collect()
}

fn offsets() -> Vec<Case> {
    vec![
        refused(
            "offset-misaligned",
            "data that begins at an odd byte",
            tensor(NORM, |it| it.offset = Some(1)),
        ),
        refused(
            "offset-beyond-the-end",
            "data that begins after the end",
            tensor(LAST_NORM, |it| {
                it.offset = Some(1 << 40);
            }),
        ),
        refused(
            "offset-max",
            "an offset that wraps around",
            tensor(LAST_NORM, |it| it.offset = Some(u64::MAX - 31)),
        ),
        refused(
            "offset-overlapping",
            "two tensors in one place",
            tensor(LAST_NORM, |it| it.offset = Some(0)),
        ),
        refused(
            "offset-before-the-data",
            "a negative offset",
            tensor(LAST_NORM, |it| {
                it.offset = Some(64_u64.wrapping_neg());
            }),
        ),
    ]
}

fn without_tensor(name: &'static str) -> impl Fn(&crate::corpus::case::Base) -> crate::corpus::case::Made {
    edited(move |draft| {
        let at = draft.tensors.iter().position(|tensor| tensor.name == name)?;
        draft.tensors.remove(at);
        Some(())
    })
}

/// Changes the dimensions and cuts the data to match.
pub(super) fn resized(tensor: &mut Tensor, change: impl Fn(&mut [u64])) {
    let before: u64 = tensor.dims.iter().product();
    change(&mut tensor.dims);
    let after: u64 = tensor.dims.iter().product();
    if let Data::Bytes(bytes) = &mut tensor.data {
        let length = bytes.len() as u64 * after / before.max(1);
        bytes.truncate(usize::try_from(length).unwrap_or(bytes.len()));
    }
}
