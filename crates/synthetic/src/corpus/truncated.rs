//! Downloads that stopped early.

use crate::corpus::case::{Base, Case, refused};
use crate::encode::HEADER_BYTES;

/// A name, a reason and the length that is left.
type Cut = (&'static str, &'static str, fn(&Base) -> usize);

const CUTS: [Cut; 15] = [
    ("cut-after-the-header", "nothing after the counts", |_| HEADER_BYTES),
    ("cut-in-the-first-key-length", "cut inside a length", |_| HEADER_BYTES + 3),
    ("cut-in-the-first-key", "cut inside a key", |_| HEADER_BYTES + 8 + 5),
    ("cut-in-the-first-value-type", "cut inside a value type", |_| HEADER_BYTES + 8 + 20 + 2),
    ("cut-in-the-metadata", "cut in the middle of the metadata", |base| base.table / 2),
    ("cut-before-the-last-metadata-byte", "cut inside the last value", |base| base.table - 1),
    ("cut-after-the-metadata", "no tensor table", |base| base.table),
    ("cut-in-a-tensor-name", "cut inside a tensor's name", |base| base.table + 8 + 3),
    ("cut-in-the-tensor-table", "cut in the middle of the table", |base| {
        base.table + (base.table_end - base.table) / 2
    }),
    ("cut-before-the-last-table-byte", "cut inside the last offset", |base| base.table_end - 1),
    ("cut-after-the-tensor-table", "no data", |base| base.table_end),
    ("cut-at-the-data", "padding but no data", |base| base.data),
    ("cut-in-the-first-tensor", "cut inside the first tensor", |base| base.data + 100),
    ("cut-in-the-data", "half of the data", |base| base.data + (base.end - base.data) / 2),
    ("cut-before-the-last-data-byte", "one byte of the last tensor is missing", |base| base.end - 1),
];

pub(super) fn cases() -> Vec<Case> {
    CUTS.into_iter()
        .map(|(name, why, length)| {
            refused(name, why, move |base| base.bytes.get(..length(base)).map(<[u8]>::to_vec))
        })
        .collect()
}
