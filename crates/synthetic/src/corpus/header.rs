//! Wrong versions and counts.

use crate::corpus::case::{Base, Case, Made, loads, refused};

const VERSION: usize = 4;
const TENSOR_COUNT: usize = 8;
const METADATA_COUNT: usize = 16;

pub(super) fn cases() -> Vec<Case> {
    vec![
        refused("version-0", "there was no version 0", |base| version(base, 0)),
        refused("version-1", "version 1 has other count sizes", |base| version(base, 1)),
        loads("version-2", "version 2 has the same layout", |base| version(base, 2)),
        refused("version-4", "a future version", |base| version(base, 4)),
        refused("version-max", "the largest version number", |base| version(base, u32::MAX)),
        refused("big-endian", "a header in the other byte order", big_endian),
        refused("tensor-count-0", "a model without tensors", |base| count(base, TENSOR_COUNT, |_| 0)),
        loads("tensor-count-one-less", "the table is longer than the header says", |base| {
            count(base, TENSOR_COUNT, |true_count| true_count - 1)
        }),
        refused("tensor-count-one-more", "the table is shorter than the header says", |base| {
            count(base, TENSOR_COUNT, |true_count| true_count + 1)
        }),
        refused("tensor-count-2-to-32", "more tensors than bytes", |base| {
            count(base, TENSOR_COUNT, |_| 1 << 32)
        }),
        refused("tensor-count-2-to-63", "a negative number to a signed reader", |base| {
            count(base, TENSOR_COUNT, |_| 1 << 63)
        }),
        refused("tensor-count-max", "one more overflows", |base| count(base, TENSOR_COUNT, |_| u64::MAX)),
        refused("metadata-count-0", "the metadata reads as a tensor table", |base| {
            count(base, METADATA_COUNT, |_| 0)
        }),
        refused("metadata-count-one-less", "the last key reads as a tensor", |base| {
            count(base, METADATA_COUNT, |true_count| true_count - 1)
        }),
        refused("metadata-count-one-more", "the first tensor reads as a key", |base| {
            count(base, METADATA_COUNT, |true_count| true_count + 1)
        }),
        refused("metadata-count-2-to-32", "more keys than bytes", |base| {
            count(base, METADATA_COUNT, |_| 1 << 32)
        }),
        refused("metadata-count-2-to-63", "a negative number to a signed reader", |base| {
            count(base, METADATA_COUNT, |_| 1 << 63)
        }),
        refused("metadata-count-max", "one more overflows", |base| count(base, METADATA_COUNT, |_| u64::MAX)),
    ]
}

fn version(base: &Base, number: u32) -> Made {
    base.patch(VERSION, &number.to_le_bytes())
}

fn count(base: &Base, at: usize, change: fn(u64) -> u64) -> Made {
    let current = base.bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)?;
    base.patch(at, &change(current).to_le_bytes())
}

fn big_endian(base: &Base) -> Made {
    let mut bytes = base.bytes.clone();
    bytes.get_mut(VERSION..TENSOR_COUNT)?.reverse();
    bytes.get_mut(TENSOR_COUNT..METADATA_COUNT)?.reverse();
    bytes.get_mut(METADATA_COUNT..METADATA_COUNT + 8)?.reverse();
    Some(bytes)
}
