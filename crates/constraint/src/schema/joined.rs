use std::collections::HashMap;

use serde_json::Value;

use super::Fault;

/// Deepest way through a schema and what it refers to; what compiles it recurses.
const DEPTH_MAX: usize = 160;
/// Most patterns that one text may have to match at once: the time that this takes doubles with each.
const PATTERNS_MAX: u32 = 14;

/// Refuses a schema that is small as it is written and large as it is meant.
pub(super) fn check(root: &Value) -> Result<(), Fault> {
    let mut joined = Joined { root, known: HashMap::new() };
    let patterns = joined.patterns(root, 0)?;
    if patterns > PATTERNS_MAX {
        let message =
            format!("up to {patterns} patterns may have to hold at once, at most {PATTERNS_MAX} are allowed");
        return Err(Fault::invalid("", message));
    }
    Ok(())
}

struct Joined<'a> {
    root: &'a Value,
    /// What was referred to; what is under way counts nothing.
    known: HashMap<String, u32>,
}

impl Joined<'_> {
    /// How many patterns may at most have to hold at once, here or further in.
    fn patterns(&mut self, schema: &Value, depth: usize) -> Result<u32, Fault> {
        if depth > DEPTH_MAX {
            let message = format!("it nests more than {DEPTH_MAX} deep with what it refers to");
            return Err(Fault::invalid("", message));
        }
        let Value::Object(fields) = schema else { return Ok(0) };
        let mut sum = u32::from(fields.contains_key("pattern"));
        let mut most_inside = 0;
        for (name, value) in fields {
            let inner = match name.as_str() {
                "$ref" => {
                    sum = sum.saturating_add(self.referred(value, depth)?);
                    continue;
                }
                "allOf" => {
                    for part in value.as_array().into_iter().flatten() {
                        sum = sum.saturating_add(self.patterns(part, depth + 1)?);
                    }
                    continue;
                }
                "$defs" | "definitions" | "enum" | "const" => continue,
                "properties" | "patternProperties" => value.as_object().map(|map| map.values().collect()),
                _ if value.is_array() => value.as_array().map(|items| items.iter().collect()),
                _ => Some(vec![value]),
            };
            for part in inner.unwrap_or_default() {
                most_inside = most_inside.max(self.patterns(part, depth + 1)?);
            }
        }
        Ok(sum.saturating_add(most_inside))
    }

    fn referred(&mut self, reference: &Value, depth: usize) -> Result<u32, Fault> {
        let Some(path) = reference.as_str().and_then(|text| text.strip_prefix('#')) else { return Ok(0) };
        if let Some(&known) = self.known.get(path) {
            return Ok(known);
        }
        self.known.insert(path.to_owned(), 0);
        let root = self.root;
        let target = root.pointer(&path.replace('~', "~0")).unwrap_or(&Value::Null);
        let patterns = self.patterns(target, depth + 1)?;
        self.known.insert(path.to_owned(), patterns);
        Ok(patterns)
    }
}
