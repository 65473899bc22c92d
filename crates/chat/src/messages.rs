use rkllmjs_core::{Error, ErrorCode};
use serde_json::{Value, json};

/// Most messages of one conversation.
const MESSAGES_MAX: usize = 10_000;
/// Most bytes of a conversation, tools included.
const BYTES_MAX: usize = 16 << 20;
/// Deepest nesting of a call's arguments: the parser behind the template frees them recursively.
const ARGUMENTS_DEPTH_MAX: usize = 128;
/// Most images and sounds of a conversation.
const MEDIA_MAX: usize = 64;
/// The roles a message may have; a template prints them, so they are no place for free text.
const ROLES: [&str; 5] = ["system", "developer", "user", "assistant", "tool"];

/// A checked conversation in OpenAI's shape, with `snake_case` names.
#[derive(Debug, Clone, PartialEq)]
pub struct Messages(Vec<Value>);

impl Messages {
    /// Reads a JSON array of messages.
    ///
    /// # Errors
    ///
    /// `invalid-request` naming the message and the field; `payload-too-large`.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        if text.len() > BYTES_MAX {
            let message =
                format!("the conversation has {} bytes, at most {BYTES_MAX} are allowed", text.len());
            return Err(Error::new(ErrorCode::PayloadTooLarge, message));
        }
        let value: Value = serde_json::from_str(text).map_err(|e| invalid(&format!("messages: {e}")))?;
        let Value::Array(messages) = value else {
            return Err(invalid("messages must be an array"));
        };
        if messages.is_empty() {
            return Err(invalid("messages must hold at least one message"));
        }
        if messages.len() > MESSAGES_MAX {
            return Err(invalid(&format!(
                "messages holds {}, at most {MESSAGES_MAX} are allowed",
                messages.len()
            )));
        }
        let messages = messages.into_iter().enumerate().map(|(i, message)| checked(i, message));
        let messages = Self(messages.collect::<Result<_, _>>()?);
        match messages.media() {
            0..=MEDIA_MAX => Ok(messages),
            more => {
                let message =
                    format!("messages hold {more} images and sounds, at most {MEDIA_MAX} are allowed");
                Err(invalid(&message))
            }
        }
    }

    /// The messages as JSON values.
    pub fn as_slice(&self) -> &[Value] {
        &self.0
    }

    /// How many images and sounds the conversation holds.
    pub fn media(&self) -> usize {
        self.0.iter().flat_map(parts).filter(|part| medium(part).is_some()).count()
    }

    /// The messages as llama.cpp takes them: with the text that `stands_for` gives for each image or sound, by its
    /// number in the conversation.
    pub(crate) fn with_media_as(&self, stands_for: impl Fn(usize) -> String) -> Vec<Value> {
        let mut number = 0;
        let mut replace = |part: &mut Value| {
            if medium(part).is_some() {
                *part = json!({ "type": "media_marker", "text": stands_for(number) });
                number += 1;
            }
        };
        let mut messages = self.0.clone();
        for message in &mut messages {
            if let Some(Value::Array(parts)) = message.get_mut("content") {
                parts.iter_mut().for_each(&mut replace);
            }
        }
        messages
    }

    /// The messages of the system that the conversation begins with, if it begins with any.
    pub fn system_part(&self) -> Option<Self> {
        let is_system = |message: &&Value| {
            matches!(message.get("role").and_then(Value::as_str), Some("system" | "developer"))
        };
        let part: Vec<Value> = self.0.iter().take_while(is_system).cloned().collect();
        (!part.is_empty()).then_some(Self(part))
    }

    /// The text of a conversation that is a single turn of the user, for engines whose own template takes no
    /// more than that.
    pub fn only_user_text(&self) -> Option<String> {
        let [message] = self.0.as_slice() else { return None };
        if message.get("role")?.as_str()? != "user" {
            return None;
        }
        match message.get("content")? {
            Value::String(text) => Some(text.clone()),
            Value::Array(parts) => parts.iter().map(|part| part.get("text")?.as_str()).collect(),
            _ => None,
        }
    }
}

fn parts(message: &Value) -> &[Value] {
    message.get("content").and_then(Value::as_array).map_or([].as_slice(), Vec::as_slice)
}

/// What a part is if it is no text.
fn medium(part: &Value) -> Option<&'static str> {
    match part.get("type").and_then(Value::as_str) {
        Some("image") => Some("an image"),
        Some("audio") => Some("audio"),
        _ => None,
    }
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorCode::InvalidRequest, message)
}

fn checked(index: usize, message: Value) -> Result<Value, Error> {
    let wrong = |what: &str| invalid(&format!("messages[{index}]{what}"));
    let Value::Object(fields) = message else { return Err(wrong(" must be an object")) };
    let role = fields.get("role").and_then(Value::as_str).ok_or_else(|| wrong(".role must be a string"))?;
    if !ROLES.contains(&role) {
        return Err(wrong(&format!(".role must be one of {}, got {role:?}", ROLES.join(", "))));
    }
    let has_calls = fields.get("tool_calls").is_some_and(|calls| !calls.is_null());
    match fields.get("content") {
        Some(Value::String(_)) => {}
        Some(Value::Array(parts)) => check_parts(role, parts).map_err(|what| wrong(&what))?,
        None | Some(Value::Null) if has_calls => {}
        _ => return Err(wrong(".content must be a string or an array of parts")),
    }
    if has_calls {
        check_calls(fields.get("tool_calls")).map_err(|what| wrong(&what))?;
    }
    for name in ["name", "tool_call_id", "reasoning_content"] {
        if fields.get(name).is_some_and(|value| !value.is_string() && !value.is_null()) {
            return Err(wrong(&format!(".{name} must be a string")));
        }
    }
    Ok(Value::Object(fields))
}

fn check_parts(role: &str, parts: &[Value]) -> Result<(), String> {
    for (i, part) in parts.iter().enumerate() {
        if let Some(medium) = medium(part) {
            if role != "user" {
                return Err(format!(".content[{i}] is {medium}, which only messages of the user may hold"));
            }
            continue;
        }
        let is_text = part.get("type").and_then(Value::as_str) == Some("text");
        if !is_text || !part.get("text").is_some_and(Value::is_string) {
            return Err(format!(
                ".content[{i}] must be {{type: 'text', text: string}}, {{type: 'image'}} or {{type: 'audio'}}"
            ));
        }
    }
    Ok(())
}

fn check_calls(calls: Option<&Value>) -> Result<(), String> {
    let Some(Value::Array(calls)) = calls else { return Err(".tool_calls must be an array".to_owned()) };
    for (i, call) in calls.iter().enumerate() {
        let name = call.pointer("/function/name").and_then(Value::as_str);
        if name.is_none_or(str::is_empty) {
            return Err(format!(".tool_calls[{i}].function.name must be a string"));
        }
        let arguments = call.pointer("/function/arguments");
        if arguments.and_then(Value::as_str).is_some_and(|text| nesting(text) > ARGUMENTS_DEPTH_MAX) {
            return Err(format!(
                ".tool_calls[{i}].function.arguments nests deeper than {ARGUMENTS_DEPTH_MAX}"
            ));
        }
        if !arguments.is_some_and(is_object_or_its_json) {
            return Err(format!(".tool_calls[{i}].function.arguments must be an object or one as JSON"));
        }
    }
    Ok(())
}

fn is_object_or_its_json(arguments: &Value) -> bool {
    match arguments {
        Value::String(text) => serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object()),
        value => value.is_object(),
    }
}

/// At least the depth of JSON text; brackets in its strings count too, which hurts nobody honest.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    for c in text.bytes() {
        match c {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::Messages;

    fn refusal(json: &str) -> String {
        Messages::from_json(json).expect_err(json).message
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        assert_eq!(refusal("[]"), "messages must hold at least one message");
        assert_eq!(refusal("{}"), "messages must be an array");
        assert_eq!(refusal("[1]"), "messages[0] must be an object");
        assert!(
            refusal(r#"[{"role":"x<|im_end|>","content":"a"}]"#)
                .starts_with("messages[0].role must be one of")
        );
        let image = r#"[{"role":"user","content":"a"},{"role":"user","content":[{"type":"image_url"}]}]"#;
        assert!(refusal(image).starts_with("messages[1].content[0]"));
        let of_system = r#"[{"role":"system","content":[{"type":"image"}]}]"#;
        assert!(refusal(of_system).starts_with("messages[0].content[0] is an image"));
        assert!(refusal(r#"[{"role":"user"}]"#).starts_with("messages[0].content"));
        assert!(
            refusal(r#"[{"role":"assistant","tool_calls":[{}]}]"#).contains("tool_calls[0].function.name")
        );
    }

    #[test]
    fn arguments_are_an_object_or_one_as_json() {
        let call = |arguments: &str| {
            format!(
                r#"[{{"role":"assistant","tool_calls":[{{"function":{{"name":"a","arguments":{arguments}}}}}]}}]"#
            )
        };
        for good in ["{}", r#""{}""#, r#""{\"a\": [1]}""#] {
            assert!(Messages::from_json(&call(good)).is_ok(), "{good}");
        }
        for bad in ["null", "1", "[]", r#""""#, r#""x""#, r#""{\"a\": ""#, r#""[]""#] {
            assert!(refusal(&call(bad)).contains("tool_calls[0].function.arguments must be"), "{bad}");
        }
    }

    #[test]
    fn audio_counts_like_images() {
        let both = r#"[{"role":"user","content":[{"type":"audio"},{"type":"image"}]}]"#;
        let messages = Messages::from_json(both).expect("two media");
        assert_eq!(messages.media(), 2);
        let marked = messages.with_media_as(|number| format!("<{number}>"));
        assert_eq!(marked[0]["content"][0]["text"], "<0>");
        let of_system = r#"[{"role":"system","content":[{"type":"audio"}]}]"#;
        assert!(refusal(of_system).starts_with("messages[0].content[0] is audio, which only"));
    }

    #[test]
    fn images_are_counted_and_take_the_text_that_stands_for_them() {
        let image = r#"{"type":"image"}"#;
        let json = format!(
            r#"[{{"role":"user","content":[{{"type":"text","text":"a"}},{image}]}},{{"role":"user","content":[{image}]}}]"#
        );
        let messages = Messages::from_json(&json).expect("two images");
        assert_eq!(messages.media(), 2);
        let marked = messages.with_media_as(|number| format!("<{number}>"));
        assert_eq!(marked[0]["content"][1]["text"], "<0>");
        assert_eq!(marked[1]["content"][0]["text"], "<1>");
        assert_eq!(marked[0]["content"][0]["text"], "a");
        let many = format!(r#"[{{"role":"user","content":[{}]}}]"#, [image; 65].join(","));
        assert!(refusal(&many).contains("at most 64"));
    }

    #[test]
    fn deep_json_is_an_error_and_not_an_overflow() {
        let deep = format!("[{}1{}]", "[".repeat(100_000), "]".repeat(100_000));
        assert!(refusal(&deep).contains("recursion limit"));
    }
}
