//! Keys and values whose own lengths, types or contents are wrong.

use crate::corpus::case::{Case, edited, loads, refused};
use crate::encode::HEADER_BYTES;
use crate::value::{Value, type_id};

pub(super) fn cases() -> Vec<Case> {
    [lengths(), value_types(), arrays(), keys(), odd_but_readable()].into_iter().flatten().collect()
}

/// The length of the first key stands right after the header.
fn lengths() -> Vec<Case> {
    [
        ("key-length-max", "a key of 2^64 - 1 bytes", u64::MAX),
        ("key-length-2-to-63", "a key length that is negative to a signed reader", 1 << 63),
        ("key-length-2-to-40", "a key of a terabyte", 1 << 40),
        ("key-length-2-to-30", "a key of a gigabyte", 1 << 30),
    ]
    .into_iter()
    .map(|(name, why, length)| {
        refused(name, why, move |base| base.patch(HEADER_BYTES, &length.to_le_bytes()))
    })
    .chain(
        [
            ("string-length-max", "a string of 2^64 - 1 bytes", u64::MAX),
            ("string-length-2-to-63", "a string length that is negative to a signed reader", 1 << 63),
            ("string-length-2-to-40", "a string of a terabyte", 1 << 40),
        ]
        .map(|(name, why, length)| {
            let value = Value::Raw { type_id: type_id::STRING, payload: length.to_le_bytes().to_vec() };
            odd_value(name, why, value)
        }),
    )
    .collect()
}

fn value_types() -> Vec<Case> {
    [
        ("value-type-13", "the first unused value type", 13),
        ("value-type-255", "an unknown value type", 255),
        ("value-type-max", "a value type that is negative to a signed reader", u32::MAX),
    ]
    .into_iter()
    .map(|(name, why, type_id)| odd_value(name, why, Value::Raw { type_id, payload: vec![0; 8] }))
    .collect()
}

fn arrays() -> Vec<Case> {
    let strings = type_id::STRING;
    let numbers = type_id::U64;
    let empty_array = [&type_id::U32.to_le_bytes()[..], &0_u64.to_le_bytes()].concat();
    let one_array = [&type_id::ARRAY.to_le_bytes()[..], &1_u64.to_le_bytes()].concat();
    let nested = |depth: usize| {
        let payload = [one_array.repeat(depth), empty_array.clone()].concat();
        Value::Raw { type_id: type_id::ARRAY, payload }
    };
    vec![
        odd_value("array-of-type-255", "an array of an unknown type", Value::raw_array(255, 1, &[0; 8])),
        odd_value("array-of-arrays", "an array in an array", nested(1)),
        odd_value("array-nested-deep", "arrays nested deeply enough for a stack overflow", nested(100_000)),
        odd_value(
            "array-count-max",
            "an array of 2^64 - 1 numbers",
            Value::raw_array(numbers, u64::MAX, &[]),
        ),
        odd_value(
            "array-count-overflow",
            "the array's byte length wraps around to 8",
            Value::raw_array(numbers, (1 << 61) + 1, &[0; 8]),
        ),
        odd_value("array-count-2-to-32", "an array of 2^32 numbers", Value::raw_array(numbers, 1 << 32, &[])),
        odd_value(
            "array-of-2-to-40-strings",
            "more strings than any file holds",
            Value::raw_array(strings, 1 << 40, &[]),
        ),
        odd_value(
            "array-of-a-huge-string",
            "a string in an array with a length of 2^62",
            Value::raw_array(strings, 1, &(1_u64 << 62).to_le_bytes()),
        ),
    ]
}

fn keys() -> Vec<Case> {
    vec![
        refused("key-empty", "a key without a name", edited(|draft| push(draft, "", Value::U32(1)))),
        refused(
            "key-twice",
            "the same key twice",
            edited(|draft| {
                let name = draft.metadata.first()?.clone();
                draft.metadata.push(name);
                Some(())
            }),
        ),
        refused(
            "key-twice-contradicting",
            "the same key with two values",
            edited(|draft| push(draft, "general.architecture", "gpt2".into())),
        ),
        loads("key-not-utf-8", "a key that is not text", |base| {
            let mut bytes = base.edit(|draft| push(draft, "test.key-to-spoil", Value::U32(1)))?;
            let at = bytes.windows(17).position(|window| window == b"test.key-to-spoil")?;
            bytes.get_mut(at + 5..at + 8)?.copy_from_slice(b"\xff\xfe\x80");
            Some(bytes)
        }),
        loads(
            "key-with-nul",
            "a key with a NUL inside",
            edited(|draft| push(draft, "general.architecture\0", "gpt2".into())),
        ),
        loads(
            "key-too-long",
            "a key longer than the format's 65535 bytes",
            edited(|draft| push(draft, &"k".repeat(70_000), Value::U32(1))),
        ),
    ]
}

fn odd_but_readable() -> Vec<Case> {
    vec![
        loads(
            "bool-7",
            "a truth value that is neither 0 nor 1",
            edited(|draft| push(draft, "test.odd", Value::Raw { type_id: type_id::BOOL, payload: vec![7] })),
        ),
        loads(
            "string-not-utf-8",
            "a name that is not text",
            edited(|draft| {
                draft.set("general.name", Value::byte_string(b"\xff\xfe model"));
                Some(())
            }),
        ),
        loads(
            "string-with-nul",
            "a name with a NUL inside",
            edited(|draft| {
                draft.set("general.name", "tiny\0model");
                Some(())
            }),
        ),
        loads(
            "array-empty",
            "an array without elements",
            edited(|draft| push(draft, "test.odd", Value::Strings(Vec::new()))),
        ),
        loads(
            "many-keys",
            "fifty thousand keys nobody asked for",
            edited(|draft| {
                draft
                    .metadata
                    .extend((0..50_000).map(|number| (format!("test.{number}"), Value::U32(number))));
                Some(())
            }),
        ),
    ]
}

/// A key of its own, so that only the framing is at fault.
fn odd_value(name: &'static str, why: &'static str, value: Value) -> Case {
    refused(name, why, edited(move |draft| push(draft, "test.odd", value.clone())))
}

fn push(draft: &mut crate::draft::Draft, key: &str, value: Value) -> Option<()> {
    draft.metadata.push((key.to_owned(), value));
    Some(())
}
