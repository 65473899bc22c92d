//! Bounds on what a tokenizer's own rules may cost.

use serde_json::Value;

/// Most of a pattern's bytes times its counted repetitions; a compiled pattern grows with both. Real
/// ones stay below 3,000.
const PATTERN_COST_MAX: usize = 1 << 20;

/// Most times that the replacements of a normalizer may lengthen a text; real ones make it 3 times as
/// long.
const GROWTH_MAX: usize = 64;

/// Refuses regular expressions, anywhere in `rules`, that would compile to something huge.
pub(crate) fn check_patterns(rules: &Value) -> Result<(), String> {
    match rules {
        Value::Array(items) => items.iter().try_for_each(check_patterns),
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| match value {
            Value::String(pattern) if name == "Regex" => check_pattern(pattern),
            other => check_patterns(other),
        }),
        _ => Ok(()),
    }
}

fn check_pattern(pattern: &str) -> Result<(), String> {
    let cost = repetitions(pattern).saturating_mul(pattern.len());
    if cost > PATTERN_COST_MAX {
        let shown: String = pattern.chars().take(60).collect();
        return Err(format!("the regular expression beginning {shown:?} is too large"));
    }
    Ok(())
}

/// The product of all numbers in counted repetitions such as `{1,3}`: nested ones multiply.
fn repetitions(pattern: &str) -> usize {
    let counts = pattern.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(inside, _)| {
        let numbers = inside.split(',').filter_map(|number| number.trim().parse::<usize>().ok());
        // A number that is too long to be parsed is none that a pattern can have.
        let is_count = !inside.is_empty() && inside.chars().all(|c| c.is_ascii_digit() || ", ".contains(c));
        if is_count { numbers.max().unwrap_or(usize::MAX) } else { 1 }
    });
    counts.fold(1, |product: usize, count| product.saturating_mul(count.max(1)))
}

/// Refuses a normalizer whose replacements could lengthen a text without measure.
pub(crate) fn check_growth(normalizer: &Value) -> Result<(), String> {
    if growth(normalizer) > GROWTH_MAX {
        return Err(format!("its replacements make a text more than {GROWTH_MAX} times as long"));
    }
    Ok(())
}

fn growth(rules: &Value) -> usize {
    let here = rules.get("content").and_then(Value::as_str).map_or(1, |content| content.len().max(1));
    let inside = match rules {
        Value::Array(items) => items.iter().map(growth).fold(1, usize::saturating_mul),
        Value::Object(fields) => fields.values().map(growth).fold(1, usize::saturating_mul),
        _ => 1,
    };
    here.saturating_mul(inside)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{check_growth, check_patterns, repetitions};

    #[test]
    fn counted_repetitions_multiply() {
        assert_eq!(repetitions(r"\p{N}{1,3}|\p{L}+"), 3);
        assert_eq!(repetitions("(a{10}){20,}"), 200);
        assert_eq!(repetitions("a{99999999999999999999999}"), usize::MAX);
        assert_eq!(repetitions("a{0}b"), 1);
    }

    #[test]
    fn a_pattern_that_would_grow_huge_is_refused() {
        let split = |pattern: &str| json!([{ "type": "Split", "pattern": { "Regex": pattern } }]);
        assert!(check_patterns(&split(r"\p{N}{1,3}|\s+(?!\S)")).is_ok());
        let refusal = check_patterns(&split("(((?!x)a){1000}){1000}")).expect_err("refused");
        assert!(refusal.contains("(((?!x)a){1000}){1000}"), "{refusal}");
    }

    #[test]
    fn replacements_that_double_a_text_again_and_again_are_refused() {
        let double = json!({ "type": "Replace", "pattern": { "String": "a" }, "content": "aa" });
        let sequence =
            |count: usize| json!({ "type": "Sequence", "normalizers": vec![double.clone(); count] });
        assert!(check_growth(&sequence(6)).is_ok());
        assert!(check_growth(&sequence(7)).is_err());
    }
}
