use serde_json::{Map, Value, json};

use super::Fault;

/// Beyond this whole numbers are not told apart in JSON.
const WHOLE_MAX: f64 = 9_007_199_254_740_991.0;
const MILLION: f64 = 1_000_000.0;
/// The largest number that others can be multiples of.
const MULTIPLE_MAX: f64 = 10_000.0;
/// Most remainders of all of them together.
const REMAINDERS_MAX: u64 = 20_000;
/// Most decimals of a limit: more are not told apart.
const DECIMALS_MAX: usize = 17;

/// A count of at most `most`.
pub(super) fn count(name: &str, value: &Value, most: u64, place: &str) -> Result<Value, Fault> {
    let whole = value.as_f64().filter(|number| number.fract() == 0.0 && *number >= 0.0);
    let Some(number) = whole else {
        return Err(Fault::invalid(place, format!("{name} must be a whole number, not negative")));
    };
    if number > most as f64 {
        return Err(Fault::unsupported(place, name, format!("can be enforced up to {most}, got {number}")));
    }
    Ok(json!(number as u64))
}

/// A number to compare with, or the word of an old draft that the limit itself is excluded.
pub(super) fn limit(name: &str, value: &Value, place: &str) -> Result<Value, Fault> {
    if value.is_boolean() && name.starts_with("exclusive") {
        return Ok(value.clone());
    }
    let number = number(name, value, place)?;
    if number.abs() > WHOLE_MAX {
        let message = format!("can be enforced from -{WHOLE_MAX} to {WHOLE_MAX}, got {number}");
        return Err(Fault::unsupported(place, name, message));
    }
    if decimals(number) > DECIMALS_MAX {
        let message = format!("can be enforced with up to {DECIMALS_MAX} decimals, got {number}");
        return Err(Fault::unsupported(place, name, message));
    }
    Ok(value.clone())
}

/// What numbers must be multiples of, beside `others` of the same schema: with all of them together each remainder
/// is a state.
pub(super) fn multiple(name: &str, value: &Value, others: &mut u64, place: &str) -> Result<Value, Fault> {
    let number = number(name, value, place)?;
    if number <= 0.0 {
        return Err(Fault::invalid(place, format!("{name} must be more than 0")));
    }
    let millionths = number * MILLION;
    if !(1.0..=MULTIPLE_MAX * MILLION).contains(&millionths) || decimals(number) > 6 {
        let message = format!("can be enforced up to {MULTIPLE_MAX}, with up to 6 decimals, got {number}");
        return Err(Fault::unsupported(place, name, message));
    }
    *others = common_multiple(*others, millionths.round() as u64);
    if states(*others) > REMAINDERS_MAX {
        let message =
            format!("has too many remainders, together with the others in this schema, at {number}");
        return Err(Fault::unsupported(place, name, message));
    }
    Ok(value.clone())
}

/// The least number that is a multiple of both; without `a` it is `b`.
fn common_multiple(a: u64, b: u64) -> u64 {
    let (mut greater, mut less) = (a, b);
    while less > 0 {
        (greater, less) = (less, greater % less);
    }
    if a == 0 { b } else { (a / greater.max(1)).saturating_mul(b) }
}

/// Remainders of a number of millionths, without the decimals that it does not have.
fn states(millionths: u64) -> u64 {
    let mut rest = millionths;
    for _ in 0..6 {
        if rest.is_multiple_of(10) {
            rest /= 10;
        }
    }
    rest
}

fn number(name: &str, value: &Value, place: &str) -> Result<f64, Fault> {
    let finite = value.as_f64().filter(|number| number.is_finite());
    finite.ok_or_else(|| Fault::invalid(place, format!("{name} must be a number")))
}

/// Decimals of a number as it is written out.
fn decimals(number: f64) -> usize {
    format!("{number}").split_once('.').map_or(0, |(_, decimals)| decimals.len())
}

/// Puts limits that belong to the range in the place of those that do not, by a billionth or, of large numbers, by the
/// 14th digit.
///
/// The engine takes a number for more than itself where both limits have the same whole part. Whole numbers
/// alone it gets right.
pub(super) fn include_limits(schema: &mut Map<String, Value>) {
    if schema.get("type") == Some(&json!("integer")) {
        return;
    }
    for (limit, exclusive, sign) in
        [("minimum", "exclusiveMinimum", 1.0), ("maximum", "exclusiveMaximum", -1.0)]
    {
        let included = schema.get(limit).and_then(Value::as_f64);
        let excluded = match schema.remove(exclusive) {
            // As the drafts up to 4 have it.
            Some(Value::Bool(true)) => included,
            Some(value) => value.as_f64(),
            None => None,
        };
        let Some(excluded) = excluded else { continue };
        let nearest = excluded + sign * step(excluded);
        let kept = included.filter(|included| (included - nearest) * sign > 0.0).unwrap_or(nearest);
        schema.insert(limit.to_owned(), json!(kept));
    }
}

/// What the number nearest to another is away from it.
fn step(number: f64) -> f64 {
    let digits = number.abs().log10().floor().max(4.0);
    10_f64.powf(digits - 13.0)
}
