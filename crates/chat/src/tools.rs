use std::collections::HashSet;

use rkllmjs_core::{Detail, Error, ErrorCode};
use serde_json::{Map, Value};

/// Most tools of one request.
const TOOLS_MAX: usize = 128;
/// Most bytes of all tools as JSON: what is made of them grows with it.
const BYTES_MAX: usize = 256 << 10;
/// Deepest nesting of a tool's parameters: the parser behind the template recurses.
const DEPTH_MAX: usize = 32;
/// Longest name of a tool.
const NAME_MAX: usize = 64;

/// Whether the model may, must or must not call a tool.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ToolChoice {
    /// It decides.
    #[default]
    Auto,
    /// It sees the tools, and whatever it writes is text.
    None,
    /// It must call one.
    Required,
    /// It must call this one.
    Named(String),
}

impl ToolChoice {
    /// Reads `"auto"`, `"none"`, `"required"` or `{type: "function", function: {name}}`.
    pub(crate) fn from_value(value: &Value) -> Result<Self, Error> {
        let named = || {
            let is_function = value.get("type").and_then(Value::as_str) == Some("function");
            let name = value.pointer("/function/name").and_then(Value::as_str);
            name.filter(|_| is_function).map(|name| Self::Named(name.to_owned()))
        };
        match value.as_str() {
            Some("auto") => Ok(Self::Auto),
            Some("none") => Ok(Self::None),
            Some("required") => Ok(Self::Required),
            _ => named().ok_or_else(|| {
                let expected = "must be 'auto', 'none', 'required' or {type: 'function', function: {name}}";
                Error::option("tool_choice", expected)
            }),
        }
    }

    /// Whether the answer has to be a call.
    pub fn is_demand(&self) -> bool {
        matches!(self, Self::Required | Self::Named(_))
    }

    /// Refuses a choice that `tools` do not offer.
    pub(crate) fn check(&self, tools: &[Value]) -> Result<(), Error> {
        match self {
            Self::Required if tools.is_empty() => {
                Err(Error::option("tool_choice", "needs tools to choose from"))
            }
            Self::Named(wanted) if !tools.iter().any(|tool| tool_name(tool) == Some(wanted)) => {
                Err(Error::option("tool_choice", format!("names {wanted:?}, which is none of the tools")))
            }
            _ => Ok(()),
        }
    }
}

/// The name of a tool in OpenAI's shape.
pub(crate) fn tool_name(tool: &Value) -> Option<&str> {
    tool.pointer("/function/name").and_then(Value::as_str)
}

/// Checks tool definitions, `{type: "function", function: {name, description?, parameters?, strict?}}`.
pub(crate) fn check_tools(tools: &[Value]) -> Result<(), Error> {
    if tools.len() > TOOLS_MAX {
        return Err(Error::option(
            "tools",
            format!("holds {}, at most {TOOLS_MAX} are allowed", tools.len()),
        ));
    }
    let bytes: usize = tools.iter().map(|tool| tool.to_string().len()).sum();
    if bytes > BYTES_MAX {
        return Err(Error::option(
            "tools",
            format!("has {bytes} bytes as JSON, at most {BYTES_MAX} are allowed"),
        ));
    }
    let mut names = HashSet::new();
    for (i, tool) in tools.iter().enumerate() {
        let place = format!("tools[{i}]");
        let name = check_tool(tool).map_err(|what| invalid(&format!("{place}{what}")))?;
        if !names.insert(name) {
            return Err(invalid(&format!("{place}.function.name is {name:?}, as of a tool before it")));
        }
    }
    Ok(())
}

/// The name of a tool; or which of its fields is wrong, and how.
fn check_tool(tool: &Value) -> Result<&str, String> {
    let Value::Object(fields) = tool else { return Err(" must be an object".to_owned()) };
    if fields.get("type").and_then(Value::as_str) != Some("function") {
        return Err(".type must be 'function'".to_owned());
    }
    let Some(Value::Object(function)) = fields.get("function") else {
        return Err(".function must be an object".to_owned());
    };
    let name = function.get("name").and_then(Value::as_str).ok_or(".function.name must be a string")?;
    if !is_name(name) {
        return Err(format!(
            ".function.name must be 1 to {NAME_MAX} of A-Z, a-z, 0-9, _ and -, got {name:?}"
        ));
    }
    if function.get("description").is_some_and(|text| !text.is_string() && !text.is_null()) {
        return Err(".function.description must be a string".to_owned());
    }
    if function.get("strict").is_some_and(|strict| !strict.is_boolean() && !strict.is_null()) {
        return Err(".function.strict must be a boolean".to_owned());
    }
    check_parameters(function)?;
    Ok(name)
}

fn is_name(name: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
    (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

fn check_parameters(function: &Map<String, Value>) -> Result<(), String> {
    let parameters = match function.get("parameters") {
        None | Some(Value::Null) => return Ok(()),
        Some(parameters @ Value::Object(_)) => parameters,
        Some(_) => return Err(".function.parameters must be a JSON Schema, which is an object".to_owned()),
    };
    if depth(parameters) > DEPTH_MAX {
        return Err(format!(".function.parameters nests deeper than {DEPTH_MAX}"));
    }
    // What a model calls a tool with is an object.
    match parameters.get("type") {
        None => Ok(()),
        Some(Value::String(kind)) if kind == "object" => Ok(()),
        Some(_) => Err(".function.parameters.type must be 'object'".to_owned()),
    }
}

/// How deep a value nests. `serde_json` has bounded that when it read it.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// A fault of one tool; `message` names it.
fn invalid(message: &str) -> Error {
    Error::new(ErrorCode::InvalidRequest, message).with("option", Detail::Text("tools".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{ToolChoice, check_tools};
    use serde_json::{Value, json};

    fn tool(function: &Value) -> Value {
        json!({ "type": "function", "function": function })
    }

    fn nested(levels: usize) -> Value {
        (0..levels).fold(json!({ "type": "string" }), |inner, _| json!({ "items": inner }))
    }

    #[test]
    fn what_is_wrong_with_a_tool_is_named_with_its_place() {
        let refusals = [
            (json!([1]), "tools[0] must be an object"),
            (json!([{ "function": { "name": "a" } }]), "tools[0].type must be 'function'"),
            (json!([{ "type": "function" }]), "tools[0].function must be an object"),
            (json!([tool(&json!({}))]), "tools[0].function.name must be a string"),
            (json!([tool(&json!({ "name": "a b" }))]), "tools[0].function.name must be 1 to 64 of"),
            (json!([tool(&json!({ "name": "" }))]), "tools[0].function.name must be 1 to 64 of"),
            (json!([tool(&json!({ "name": "x".repeat(65) }))]), "tools[0].function.name must be 1 to 64 of"),
            (
                json!([tool(&json!({ "name": "a", "description": 1 }))]),
                "tools[0].function.description must be",
            ),
            (json!([tool(&json!({ "name": "a", "strict": 1 }))]), "tools[0].function.strict must be"),
            (
                json!([tool(&json!({ "name": "a", "parameters": [] }))]),
                "tools[0].function.parameters must be",
            ),
            (
                json!([tool(&json!({ "name": "a", "parameters": { "type": "string" } }))]),
                "tools[0].function.parameters.type must be 'object'",
            ),
            (
                json!([tool(&json!({ "name": "a", "parameters": nested(40) }))]),
                "tools[0].function.parameters nests deeper than 32",
            ),
            (
                json!([tool(&json!({ "name": "a" })), tool(&json!({ "name": "a" }))]),
                "tools[1].function.name is \"a\", as of a tool before it",
            ),
        ];
        for (tools, expected) in refusals {
            let message = check_tools(tools.as_array().expect("array")).expect_err(expected).message;
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn more_tools_or_longer_ones_than_allowed_are_refused() {
        let many: Vec<Value> = (0..129).map(|i| tool(&json!({ "name": format!("t{i}") }))).collect();
        assert_eq!(check_tools(&many).expect_err("many").message, "holds 129, at most 128 are allowed");
        assert!(check_tools(many.get(..128).expect("128")).is_ok());
        let long = [tool(&json!({ "name": "a", "description": "x".repeat(300_000) }))];
        assert!(check_tools(&long).expect_err("long").message.contains("bytes as JSON"));
    }

    #[test]
    fn a_choice_must_be_among_the_tools() {
        let tools = [tool(&json!({ "name": "a" }))];
        assert!(ToolChoice::Named("a".to_owned()).check(&tools).is_ok());
        assert!(ToolChoice::Named("b".to_owned()).check(&tools).is_err());
        assert!(ToolChoice::Required.check(&[]).is_err());
        assert!(ToolChoice::from_value(&json!("maybe")).is_err());
        let named = json!({ "type": "function", "function": { "name": "a" } });
        assert_eq!(ToolChoice::from_value(&named).expect("named"), ToolChoice::Named("a".to_owned()));
    }
}
