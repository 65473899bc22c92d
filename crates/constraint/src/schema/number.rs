use serde_json::{Value, json};

use super::Fault;

/// Beyond this whole numbers are not told apart in JSON.
const WHOLE_MAX: f64 = 9_007_199_254_740_991.0;
/// Most decimals of a limit, and of what numbers must be multiples of.
const DECIMALS_MAX: usize = 12;

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

pub(super) fn multiple(name: &str, value: &Value, place: &str) -> Result<Value, Fault> {
    let number = number(name, value, place)?;
    if number <= 0.0 {
        return Err(Fault::invalid(place, format!("{name} must be more than 0")));
    }
    // Each remainder is a state.
    let digits = decimals(number);
    if digits > 6 || number * 10_f64.powi(digits as i32) > 10_000.0 {
        let message = format!("can be enforced for up to 10,000 and up to 6 decimals together, got {number}");
        return Err(Fault::unsupported(place, name, message));
    }
    Ok(value.clone())
}

fn number(name: &str, value: &Value, place: &str) -> Result<f64, Fault> {
    let finite = value.as_f64().filter(|number| number.is_finite());
    finite.ok_or_else(|| Fault::invalid(place, format!("{name} must be a number")))
}

/// Decimals of a number as it is written out.
fn decimals(number: f64) -> usize {
    format!("{number}").split_once('.').map_or(0, |(_, decimals)| decimals.len())
}
