//! Answers that are held to a JSON Schema or a regular expression.

use std::time::{Duration, Instant};

use rkllmjs_core::{ErrorCode, GenerateOptions, OptionSupport, Special, Thoughts, Token, Tokenizer};
use serde_json::{Value, json};

use crate::definitions::{only, ranking, softmax, top_k};
use crate::statistics::assert_changes_to;
use crate::support::{Bench, logits, plain};

fn regex(pattern: &str) -> GenerateOptions {
    GenerateOptions { regex: Some(pattern.to_owned()), ..plain() }
}

fn schema(schema: &Value) -> GenerateOptions {
    GenerateOptions { json_schema: Some(schema.to_string()), ..plain() }
}

/// The tokens of lower-case letters alone.
fn lower(bench: &Bench) -> Vec<usize> {
    let is_lower = |&token: &usize| {
        let bytes = bench.model.piece(token as Token, Special::default());
        !bytes.is_empty() && bytes.iter().all(u8::is_ascii_lowercase)
    };
    (0..1024).filter(is_lower).collect()
}

#[test]
fn a_constraint_conditions_the_models_distribution_as_a_grammar_does() {
    let mut bench = Bench::tiny();
    let prompt = bench.tokens("Who");
    let raw = logits(&prompt);
    let valid = lower(&bench);
    assert_changes_to(&mut bench, &regex("[a-z]+"), &prompt, &softmax(&only(&raw, &valid)));
    let both: Vec<usize> = ranking(&top_k(&raw, 30)).into_iter().filter(|t| valid.contains(t)).collect();
    let cut = GenerateOptions { top_k: Some(30.0), ..regex("[a-z]+") };
    assert_changes_to(&mut bench, &cut, &prompt, &softmax(&only(&raw, &both)));
}

#[test]
fn an_answer_ends_where_its_constraint_does_and_nowhere_else() {
    let mut bench = Bench::tiny();
    let prompt = bench.tokens("Who");
    let mut seen = Vec::new();
    for seed in 0..40 {
        let answer = bench.answer(&regex("yes|no|maybe not"), seed, &prompt, 30).expect("an answer");
        assert!(answer.last().expect("tokens").end);
        let text: Vec<u8> = answer.into_iter().flat_map(|taken| taken.bytes).collect();
        seen.push(String::from_utf8(text).expect("UTF-8"));
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen, ["maybe not", "no", "yes"]);
    // However much it wants to end.
    let end = f64::from(bench.token("<|im_end|>"));
    let eager = GenerateOptions { logit_bias: Some(vec![(end, 50.0)]), ..regex("one day!?") };
    assert_eq!(bench.text(&eager, 4, &prompt, 30), "one day");
}

#[test]
fn no_control_token_is_part_of_an_answer() {
    let mut bench = Bench::tiny();
    let prompt = bench.tokens("Who");
    let start = f64::from(bench.token("<|im_start|>"));
    let eager = GenerateOptions { logit_bias: Some(vec![(start, 50.0)]), ..regex("[^]{3}") };
    for taken in bench.answer(&eager, 1, &prompt, 30).expect("an answer") {
        assert!(taken.end || !taken.bytes.is_empty(), "{taken:?}");
    }
}

#[test]
fn numbers_stay_short_however_much_the_model_likes_digits() {
    let mut bench = Bench::tiny();
    let prompt = bench.tokens("Count");
    let digits = (b'0'..=b'9')
        .map(|digit| (f64::from(bench.token(std::str::from_utf8(&[digit]).expect("a digit"))), 40.0));
    let bias: Vec<(f64, f64)> = digits.collect();
    for kind in ["integer", "number"] {
        let options = GenerateOptions { logit_bias: Some(bias.clone()), ..schema(&json!({ "type": kind })) };
        for seed in 0..10 {
            let answer = bench.answer(&options, seed, &prompt, 60).expect("an answer");
            assert!(answer.last().expect("tokens").end, "{kind}");
            let text: Vec<u8> = answer.into_iter().flat_map(|taken| taken.bytes).collect();
            let text = String::from_utf8(text).expect("UTF-8");
            let number: Value = serde_json::from_str(&text).expect(&text);
            assert!(number.is_number(), "{text}");
        }
    }
}

#[test]
fn thoughts_come_first_and_the_constraint_after_them() {
    let mut bench = Bench::tiny();
    let prompt = bench.tokens("Who");
    let dot = f64::from(bench.token("."));
    let options = GenerateOptions { logit_bias: Some(vec![(dot, 6.0)]), ..regex("yes|no") };
    let mut request =
        options.build(&OptionSupport::default(), bench.model.vocabulary_size(), 0).expect("options");
    let thoughts = Thoughts { opens: String::new(), closes: vec![".".to_owned()] };
    request.sampling.free_thoughts = Some(thoughts);
    let sequence = bench.open_request(&request, &prompt).expect("it opens");
    let answer = bench.go_on(sequence, &prompt, 60).expect("an answer");
    let text: Vec<u8> = answer.iter().flat_map(|taken| taken.bytes.clone()).collect();
    let text = String::from_utf8(text).expect("UTF-8");
    let (_, answer) = text.rsplit_once('.').expect(&text);
    assert!(["yes", "no"].contains(&answer.trim()), "{text}");
}

#[test]
fn what_is_wrong_with_a_constraint_is_an_error_of_its_option() {
    let mut bench = Bench::tiny();
    let wrong = |schema: Value| GenerateOptions { json_schema: Some(schema.to_string()), ..plain() };
    for (what, options, code) in [
        ("no expression", regex("("), ErrorCode::InvalidRequest),
        ("an empty expression", regex(""), ErrorCode::InvalidRequest),
        ("a schema that nothing fits", wrong(json!(false)), ErrorCode::InvalidRequest),
        ("an empty choice", wrong(json!({ "enum": [] })), ErrorCode::InvalidRequest),
        (
            "an empty range",
            wrong(json!({ "type": "integer", "minimum": 3, "maximum": 2 })),
            ErrorCode::InvalidRequest,
        ),
        (
            "choices that overlap",
            wrong(json!({ "oneOf": [{ "type": "number" }, { "type": "integer" }] })),
            ErrorCode::Unsupported,
        ),
        ("a keyword", wrong(json!({ "uniqueItems": true })), ErrorCode::Unsupported),
    ] {
        let error = bench.open(&options, 0, &[1]).expect_err(what);
        assert_eq!(error.code, code, "{what}: {error}");
        assert!(["regex", "json_schema"].contains(&error.option.expect(what)), "{what}");
    }
    // The model is as it was.
    assert_eq!(bench.text(&regex("yes"), 0, &[1], 9), "yes");
}

#[test]
fn a_constraint_that_is_too_much_is_refused_soon() {
    let mut bench = Bench::tiny();
    let many = |count: u32| (0..count).map(|i| json!({ "const": format!("value {i}") })).collect::<Vec<_>>();
    let either = json!({ "anyOf": many(8), "type": "string" });
    let mut product = json!({ "type": "object" });
    product["allOf"] = (0..12)
        .map(|i| json!({ "anyOf": (0..8).map(|j| json!({ "properties": { format!("p{i}"): { "const": j } } })).collect::<Vec<_>>() }))
        .collect();
    let mut long = json!({ "type": "string" });
    for _ in 0..60 {
        long = json!({ "type": "array", "items": long, "maxItems": 2048 });
    }
    let hostile = [
        schema(&either),
        schema(&product),
        schema(&long),
        schema(&json!({ "$ref": "#" })),
        schema(
            &json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } }, "$ref": "#/$defs/a" }),
        ),
        schema(&json!({ "type": "object", "properties": { "a": { "$ref": "#" } }, "required": ["a"] })),
        schema(
            &json!({ "type": "string", "pattern": "^(a|aa|aaa)*(a|aa)*(a|aa|aaa)*b{1000}$", "minLength": 2000, "maxLength": 60_000 }),
        ),
        schema(&json!({ "type": "number", "multipleOf": 0.9973, "minimum": 0.0001 })),
        schema(&json!({ "type": "array", "minItems": 2048, "maxItems": 2048, "items": {} })),
        schema(&json!({ "type": "string", "minLength": 65_536 })),
        schema(&json!({ "patternProperties": { "^(a*)*b": {}, "(x+x+)+y": {} } })),
        regex("(a*)*b"),
        regex("(x+x+)+y"),
        regex("((a|b)*a(a|b){40}|[^]*)c"),
        regex(&"a?".repeat(4000)),
        regex("(.{0,100}){0,100}"),
        regex(r"\p{L}{1,5000}\p{N}{1,5000}"),
    ];
    for options in hostile {
        let began = Instant::now();
        // An answer or a refusal, but soon.
        let answer = bench.answer(&options, 3, &[1], 8);
        let took = began.elapsed();
        let what = options.regex.or(options.json_schema).unwrap_or_default();
        let shown: String = what.chars().take(80).collect();
        assert!(took < Duration::from_secs(10), "{shown}: {took:?}");
        if let Err(error) = answer {
            assert!(
                matches!(error.code, ErrorCode::InvalidRequest | ErrorCode::Unsupported),
                "{shown}: {error}"
            );
        }
    }
}
