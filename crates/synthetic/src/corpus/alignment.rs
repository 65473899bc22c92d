//! Alignments that do not work, and two that do.

use crate::corpus::case::{Case, edited, loads, refused, with};
use crate::value::{Value, type_id};

const KEY: &str = "general.alignment";

pub(super) fn cases() -> Vec<Case> {
    vec![
        refused("alignment-0", "dividing by it fails", with(KEY, 0)),
        refused("alignment-3", "not a power of two", with(KEY, 3)),
        refused("alignment-2-to-31", "the data would begin beyond the end", with(KEY, 1 << 31)),
        refused("alignment-max", "neither a power of two nor addable", with(KEY, u32::MAX)),
        refused("alignment-as-text", "a string where a number belongs", with(KEY, "32")),
        refused(
            "alignment-as-u64",
            "a number of the wrong width",
            with(KEY, Value::Raw { type_id: type_id::U64, payload: 32_u64.to_le_bytes().to_vec() }),
        ),
        loads("alignment-64", "a sound file with a larger alignment", edited(|draft| relaid(draft, 64))),
        loads("alignment-1", "a sound file whose data may begin anywhere", edited(|draft| relaid(draft, 1))),
        loads("alignment-4096", "a sound file aligned to pages", edited(|draft| relaid(draft, 4096))),
    ]
}

/// Declares an alignment and keeps to it.
fn relaid(draft: &mut crate::draft::Draft, alignment: u32) -> Option<()> {
    draft.set(KEY, alignment);
    draft.alignment = u64::from(alignment);
    Some(())
}
