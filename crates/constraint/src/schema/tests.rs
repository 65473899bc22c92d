use rkllmjs_core::{Detail, ErrorCode};
use serde_json::{Value, json};

use super::format::{FORMATS, pattern_of};
use super::{Fault, read};

/// A schema as the engine gets it, without what says how its texts are written.
fn cleaned(schema: &Value) -> Value {
    let mut read = read(&schema.to_string()).expect("a schema");
    let fields = read.as_object_mut().expect("an object");
    assert!(fields.remove("x-guidance").is_some());
    read
}

fn fault(schema: &Value) -> Fault {
    read(&schema.to_string()).expect_err(&schema.to_string())
}

#[test]
fn annotations_are_left_out_and_the_rest_keeps_its_order() {
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "https://example.com/a",
        "title": "A",
        "x-order": 1,
        "type": "object",
        "properties": { "z": { "type": "string", "description": "last first" }, "a": true },
        "required": ["z"],
        "additionalProperties": false,
    });
    let left = json!({
        "type": "object",
        "properties": { "z": { "type": "string" }, "a": true },
        "required": ["z"],
        "additionalProperties": false,
    });
    assert_eq!(cleaned(&schema).to_string(), left.to_string());
    assert_eq!(cleaned(&json!(true)), json!({}));
}

#[test]
fn what_cannot_be_enforced_is_named_with_its_place() {
    for (schema, keyword, place) in [
        (json!({ "not": {} }), "not", ""),
        (json!({ "properties": { "a": { "uniqueItems": true } } }), "uniqueItems", "properties.a"),
        (json!({ "items": { "if": true } }), "if", "items"),
        (json!({ "anyOf": [true, { "contains": {} }] }), "contains", "anyOf.1"),
        (json!({ "$defs": { "x": { "propertyNames": { "pattern": "a" } } } }), "propertyNames", "$defs.x"),
        (json!({ "dependentRequired": { "a": ["b"] } }), "dependentRequired", ""),
        (json!({ "unevaluatedProperties": false }), "unevaluatedProperties", ""),
        (json!({ "nullable": true }), "nullable", ""),
        (json!({ "typ": "string" }), "typ", ""),
        (json!({ "format": "regex" }), "format", ""),
        (json!({ "pattern": "(?=a)" }), "pattern", ""),
        (json!({ "patternProperties": { "\\b": true } }), "patternProperties", "patternProperties"),
        (json!({ "$ref": "https://example.com/schema" }), "$ref", ""),
        (json!({ "$ref": "#/$defs/lost" }), "$ref", ""),
        (json!({ "$ref": "#/properties", "properties": { "a": true } }), "$ref", ""),
        (json!({ "items": { "$id": "other" } }), "$id", "items"),
        (json!({ "maxItems": 1_000_000_000 }), "maxItems", ""),
        (json!({ "maxLength": 1_000_000 }), "maxLength", ""),
        (json!({ "minimum": 1e300 }), "minimum", ""),
        (json!({ "multipleOf": 1e-9 }), "multipleOf", ""),
        (json!({ "multipleOf": 10_001 }), "multipleOf", ""),
        (json!({ "allOf": [{ "multipleOf": 9973 }, { "multipleOf": 9967 }] }), "multipleOf", "allOf.1"),
        (json!({ "type": "object", "minProperties": 2 }), "minProperties", ""),
    ] {
        let error = fault(&schema).of("json_schema");
        assert_eq!((error.code, error.option), (ErrorCode::Unsupported, Some("json_schema")), "{schema}");
        assert!(
            error.details.contains(&("keyword", Detail::Text(keyword.to_owned()))),
            "{schema}: {error:?}"
        );
        let at = error.details.iter().find(|(name, _)| *name == "place").map(|(_, at)| at.clone());
        assert_eq!(at, (!place.is_empty()).then(|| Detail::Text(place.to_owned())), "{schema}");
    }
}

#[test]
fn what_is_no_schema_is_refused() {
    for schema in [
        json!([]),
        json!("string"),
        json!(null),
        json!(false),
        json!({ "type": "text" }),
        json!({ "type": [] }),
        json!({ "properties": [] }),
        json!({ "items": "string" }),
        json!({ "anyOf": {} }),
        json!({ "required": "a" }),
        json!({ "required": [1] }),
        json!({ "enum": "a" }),
        json!({ "enum": ["\u{1}"] }),
        json!({ "minLength": -1 }),
        json!({ "maxItems": 1.5 }),
        json!({ "minimum": "1" }),
        json!({ "multipleOf": 0 }),
        json!({ "pattern": 1 }),
        json!({ "format": 1 }),
        json!({ "$ref": 1 }),
    ] {
        assert_eq!(fault(&schema).of("json_schema").code, ErrorCode::InvalidRequest, "{schema}");
    }
    assert_eq!(read("{").expect_err("no JSON").of("json_schema").code, ErrorCode::InvalidRequest);
}

#[test]
fn what_asks_for_nothing_is_no_obstacle() {
    let schema =
        json!({ "uniqueItems": false, "propertyNames": { "type": "string" }, "dependentRequired": {} });
    assert_eq!(cleaned(&schema), json!({}));
}

#[test]
fn a_schema_is_of_bounded_depth_and_size() {
    let mut deep = json!(true);
    for _ in 0..100 {
        deep = json!({ "items": deep });
    }
    assert!(fault(&deep).message.contains("deep"));
    let far = "{\"items\":".repeat(100_000);
    assert!(read(&far).is_err());
    let wide: Vec<u32> = (0..30_000).collect();
    assert!(fault(&json!({ "enum": wide })).message.contains("values"));
}

#[test]
fn a_format_becomes_a_pattern_beside_others() {
    let schema = json!({ "allOf": [{ "minLength": 1 }], "format": "uuid", "pattern": "^a" });
    let uuid = pattern_of("uuid").expect("uuid");
    assert_eq!(
        cleaned(&schema),
        json!({ "allOf": [{ "minLength": 1 }, { "pattern": uuid }], "pattern": "^a" })
    );
    assert!(FORMATS.into_iter().all(|format| pattern_of(format).is_some()));
}

#[test]
fn references_find_schemas_wherever_they_are() {
    let schema = json!({
        "$defs": { "My Type": { "type": "string" } },
        "properties": { "a": { "$ref": "#/$defs/My%20Type" }, "b": { "$ref": "#/properties/a" }, "c": { "$ref": "#" } },
    });
    assert_eq!(cleaned(&schema)["properties"]["a"], json!({ "$ref": "#/$defs/My Type" }));
}

#[test]
fn a_limit_outside_of_the_range_gives_way_to_one_inside() {
    for (schema, limits) in [
        (json!({ "exclusiveMinimum": 0 }), json!({ "minimum": 1e-9 })),
        (json!({ "exclusiveMaximum": -95, "maximum": -95 }), json!({ "maximum": -95.000_000_001 })),
        (json!({ "minimum": 2, "exclusiveMinimum": 1 }), json!({ "minimum": 2 })),
        (json!({ "maximum": 5, "exclusiveMaximum": true }), json!({ "maximum": 4.999_999_999 })),
        (json!({ "maximum": 5, "exclusiveMaximum": false }), json!({ "maximum": 5 })),
        (
            json!({ "type": "integer", "exclusiveMinimum": 5 }),
            json!({ "type": "integer", "exclusiveMinimum": 5 }),
        ),
    ] {
        let (cleaned, limits) = (cleaned(&schema), limits.as_object().expect("limits").clone());
        assert_eq!(cleaned.as_object().expect("limits").len(), limits.len(), "{cleaned}");
        for (name, limit) in limits {
            assert_eq!(cleaned[&name].as_f64(), limit.as_f64(), "{schema}: {name}");
        }
    }
}

#[test]
fn patterns_that_must_hold_at_once_are_counted_through_references() {
    let each =
        |count: usize| (0..count).map(|i| json!({ "pattern": format!("a{{{i}}}b") })).collect::<Vec<_>>();
    assert!(read(&json!({ "allOf": each(14) }).to_string()).is_ok());
    assert!(fault(&json!({ "allOf": each(15) })).message.contains("patterns"));
    let beside: Vec<Value> = (0..20).map(|_| json!({ "$ref": "#/$defs/a" })).collect();
    let through = json!({ "$defs": { "a": { "format": "date" } }, "allOf": beside });
    assert!(fault(&through).message.contains("patterns"));
    let apart: serde_json::Map<String, Value> =
        (0..50).map(|i| (format!("p{i}"), json!({ "pattern": "a" }))).collect();
    assert!(
        read(&json!({ "allOf": [{ "properties": apart }, { "properties": apart }] }).to_string()).is_ok()
    );
}

#[test]
fn references_nest_only_so_deep() {
    let chain = |count: usize| {
        let defs: serde_json::Map<String, Value> = (0..count)
            .map(|i| {
                (format!("d{i}"), json!({ "items": { "$ref": format!("#/$defs/d{}", (i + 1) % count) } }))
            })
            .collect();
        json!({ "$defs": defs, "$ref": "#/$defs/d0" })
    };
    assert!(read(&chain(50).to_string()).is_ok());
    assert!(fault(&chain(2000)).message.contains("deep"));
}
