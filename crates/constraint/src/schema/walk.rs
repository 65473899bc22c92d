use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::Fault;
use super::format::pattern_of;
use super::keyword::{Kind, kind};
use super::number;
use super::reference::Reference;
use crate::pattern;

/// Most members of an object that may be left out: each time, all that follow may come next.
const OPTIONAL_MAX: u64 = 400;

const TYPES: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];

/// A schema under way: where its schemas are, and what refers to them.
#[derive(Default)]
struct Walk {
    /// The places of schemas, as what refers to them has them.
    schemas: BTreeSet<String>,
    /// What is referred to, and from where.
    references: Vec<(String, String)>,
    /// The least common multiple of what numbers must be multiples of, in millionths; 0 without any.
    multiple: u64,
}

/// `schema` without annotations, checked to the last keyword.
pub(super) fn cleaned(schema: &Value) -> Result<Value, Fault> {
    let mut walk = Walk::default();
    let cleaned = walk.schema(schema, &Path::root())?;
    for (target, place) in &walk.references {
        if !walk.schemas.contains(target) {
            let message = format!("refers to {target}, where there is no schema");
            return Err(Fault::unsupported(place, "$ref", message));
        }
    }
    Ok(cleaned)
}

/// Where something is in a schema.
struct Path {
    /// For people: `properties.a.items`.
    place: String,
    /// For `$ref`: `#/properties/a/items`.
    pointer: String,
}

impl Path {
    fn root() -> Self {
        Self { place: String::new(), pointer: "#".to_owned() }
    }

    fn inner(&self, name: &str) -> Self {
        let place = if self.place.is_empty() { name.to_owned() } else { format!("{}.{name}", self.place) };
        Self { place, pointer: format!("{}/{name}", self.pointer) }
    }
}

impl Walk {
    fn schema(&mut self, schema: &Value, path: &Path) -> Result<Value, Fault> {
        self.schemas.insert(path.pointer.clone());
        let fields = match schema {
            Value::Bool(_) => return Ok(schema.clone()),
            Value::Object(fields) => fields,
            _ => return Err(Fault::invalid(&path.place, "a schema is an object, true or false")),
        };
        let mut cleaned = Map::new();
        for (name, value) in fields {
            self.keyword(name, value, path, &mut cleaned)?;
        }
        if let Some(name) = fields.get("format") {
            add_format(name, &path.place, &mut cleaned)?;
        }
        number::include_limits(&mut cleaned);
        check_members(&cleaned, path)?;
        Ok(Value::Object(cleaned))
    }

    /// Puts what is left of a keyword into `cleaned`.
    fn keyword(
        &mut self,
        name: &str,
        value: &Value,
        path: &Path,
        cleaned: &mut Map<String, Value>,
    ) -> Result<(), Fault> {
        let place = &path.place;
        let Some(kind) = kind(name) else {
            return Err(Fault::unsupported(place, name, "is no keyword of JSON Schema that is known here"));
        };
        let inner = path.inner(name);
        let value = match kind {
            Kind::Annotation => return annotation(name, path),
            // Comes last, beside whatever else there is.
            Kind::Format => return Ok(()),
            Kind::Unsupported => return without_effect(name, value, place),
            Kind::Schema => self.schema(value, &inner)?,
            Kind::SchemaOrList if value.is_array() => self.schemas(name, value, &inner)?,
            Kind::SchemaOrList => self.schema(value, &inner)?,
            Kind::SchemaList => self.schemas(name, value, &inner)?,
            Kind::SchemaMap => self.schema_map(name, value, &inner)?,
            Kind::Reference => self.reference(value, place)?,
            Kind::Pattern => json!(ecma(name, value, place)?),
            Kind::Count { most } => number::count(name, value, most, place)?,
            Kind::Limit => number::limit(name, value, place)?,
            Kind::Multiple => number::multiple(name, value, &mut self.multiple, place)?,
            Kind::Types => types(value, place)?,
            Kind::Names => names(name, value, place)?,
            Kind::Constant => constant(value, &inner.place)?,
            Kind::Constants => constants(value, &inner.place)?,
        };
        cleaned.insert(name.to_owned(), value);
        Ok(())
    }

    fn schemas(&mut self, name: &str, value: &Value, path: &Path) -> Result<Value, Fault> {
        let Value::Array(items) = value else {
            return Err(Fault::invalid(&path.place, format!("{name} must be a list of schemas")));
        };
        let schemas =
            items.iter().enumerate().map(|(i, item)| self.schema(item, &path.inner(&i.to_string())));
        schemas.collect::<Result<Vec<_>, _>>().map(Value::Array)
    }

    fn schema_map(&mut self, name: &str, value: &Value, path: &Path) -> Result<Value, Fault> {
        let Value::Object(fields) = value else {
            return Err(Fault::invalid(&path.place, format!("{name} must be an object of schemas")));
        };
        let mut schemas = Map::new();
        for (key, schema) in fields {
            let schema = self.schema(schema, &path.inner(key))?;
            let key =
                if name == "patternProperties" { ecma(name, &json!(key), &path.place)? } else { key.clone() };
            schemas.insert(key, schema);
        }
        Ok(Value::Object(schemas))
    }

    fn reference(&mut self, value: &Value, place: &str) -> Result<Value, Fault> {
        let reference = value.as_str().ok_or_else(|| Fault::invalid(place, "$ref must be a string"))?;
        let target = Reference::read(reference).map_err(|why| Fault::unsupported(place, "$ref", why))?;
        self.references.push((target.pointer.clone(), place.to_owned()));
        Ok(json!(target.pointer))
    }
}

/// Annotations are left out; but one that moves where references begin must not be.
fn annotation(name: &str, path: &Path) -> Result<(), Fault> {
    if name == "$id" && !path.place.is_empty() {
        return Err(Fault::unsupported(&path.place, name, "is supported at the root alone"));
    }
    Ok(())
}

/// Lets a keyword pass that is not enforced where it asks for nothing.
fn without_effect(name: &str, value: &Value, place: &str) -> Result<(), Fault> {
    let is_empty =
        |value: &Value| *value == Value::Bool(true) || value.as_object().is_some_and(Map::is_empty);
    let asks_for_nothing = match name {
        "uniqueItems" => *value == Value::Bool(false),
        "propertyNames" => is_empty(value) || *value == json!({ "type": "string" }),
        "unevaluatedItems" | "unevaluatedProperties" => is_empty(value),
        "dependencies" | "dependentRequired" | "dependentSchemas" => {
            value.as_object().is_some_and(Map::is_empty)
        }
        _ => false,
    };
    if asks_for_nothing { Ok(()) } else { Err(Fault::unsupported(place, name, "cannot be enforced")) }
}

/// The pattern of a keyword, in the notation of Rust.
fn ecma(name: &str, value: &Value, place: &str) -> Result<String, Fault> {
    let text = value.as_str().ok_or_else(|| Fault::invalid(place, format!("{name} must be a string")))?;
    pattern::to_rust(text).map_err(|why| Fault::unsupported(place, name, format!("cannot be used: {why}")))
}

/// A format is a pattern of its own, beside the one that may be there.
fn add_format(value: &Value, place: &str, cleaned: &mut Map<String, Value>) -> Result<(), Fault> {
    let name = value.as_str().ok_or_else(|| Fault::invalid(place, "format must be a string"))?;
    let Some(pattern) = pattern_of(name) else {
        return Err(Fault::unsupported(place, "format", format!("cannot be enforced as {name:?}")));
    };
    let only = json!({ "pattern": pattern });
    match cleaned.get_mut("allOf").and_then(Value::as_array_mut) {
        Some(all) => all.push(only),
        None => {
            cleaned.insert("allOf".to_owned(), json!([only]));
        }
    }
    Ok(())
}

fn types(value: &Value, place: &str) -> Result<Value, Fault> {
    let is_type = |value: &Value| value.as_str().is_some_and(|name| TYPES.contains(&name));
    let is_fine = match value {
        Value::Array(names) => !names.is_empty() && names.iter().all(is_type),
        name => is_type(name),
    };
    if is_fine {
        return Ok(value.clone());
    }
    Err(Fault::invalid(place, format!("type must be one of {}, or a list of them", TYPES.join(", "))))
}

fn names(name: &str, value: &Value, place: &str) -> Result<Value, Fault> {
    match value {
        Value::Array(names) if names.iter().all(Value::is_string) => Ok(value.clone()),
        _ => Err(Fault::invalid(place, format!("{name} must be a list of strings"))),
    }
}

fn constants(value: &Value, place: &str) -> Result<Value, Fault> {
    let Value::Array(values) = value else { return Err(Fault::invalid(place, "enum must be a list")) };
    values.iter().map(|value| constant(value, place)).collect::<Result<Vec<_>, _>>().map(Value::Array)
}

/// A value that can be written: control characters have no spelling without numbers.
fn constant(value: &Value, place: &str) -> Result<Value, Fault> {
    let is_writable = |text: &str| {
        !text.chars().any(|c| c == '\x7f' || (c < ' ' && !matches!(c, '\n' | '\r' | '\t' | '\x08' | '\x0c')))
    };
    let is_fine = match value {
        Value::String(text) => is_writable(text),
        Value::Array(items) => items.iter().all(|item| constant(item, place).is_ok()),
        Value::Object(fields) => fields.values().all(|item| constant(item, place).is_ok()),
        _ => true,
    };
    if is_fine { Ok(value.clone()) } else { Err(Fault::invalid(place, "it holds a control character")) }
}

/// Members that are not named may come twice, and then count once: so they cannot make up a number of two or more.
fn check_members(schema: &Map<String, Value>, path: &Path) -> Result<(), Fault> {
    let least = schema.get("minProperties").and_then(Value::as_u64).unwrap_or(0);
    let required = schema.get("required").and_then(Value::as_array).map_or(0, Vec::len) as u64;
    let is_closed = schema.get("additionalProperties") == Some(&Value::Bool(false))
        && !schema.contains_key("patternProperties");
    let named = schema.get("properties").and_then(Value::as_object).map_or(0, Map::len) as u64;
    if named.saturating_sub(required) > OPTIONAL_MAX {
        let message = format!("can be enforced with up to {OPTIONAL_MAX} members that are not required");
        return Err(Fault::unsupported(&path.place, "properties", message));
    }
    if least > required + 1 && !is_closed {
        let message = "can be enforced up to one more than there are required members";
        return Err(Fault::unsupported(&path.place, "minProperties", message));
    }
    Ok(())
}
