//! Parts of models whose other parts are not there.

use crate::corpus::case::{Case, edited, refused, with};
use crate::value::{Value, type_id};

pub(super) fn cases() -> Vec<Case> {
    vec![
        refused(
            "split-count-5",
            "one of five parts, without a part number",
            with("split.count", u16_value(5)),
        ),
        refused("split-first-of-5", "the first of five parts alone", part(0, 5)),
        refused("split-fourth-of-5", "the fourth of five parts alone", part(3, 5)),
        refused("split-65535-of-65535", "the last of very many parts", part(65534, 65535)),
        refused("split-count-as-text", "a string where a number belongs", with("split.count", "5")),
    ]
}

fn part(number: u16, count: u16) -> impl Fn(&crate::corpus::case::Base) -> crate::corpus::case::Made {
    edited(move |draft| {
        draft.set("split.no", u16_value(number));
        draft.set("split.count", u16_value(count));
        draft.set("split.tensors.count", Value::I32(i32::try_from(draft.tensors.len()).ok()?));
        Some(())
    })
}

fn u16_value(number: u16) -> Value {
    Value::Raw { type_id: type_id::U16, payload: number.to_le_bytes().to_vec() }
}
