//! Answers that a conversation has begun already.

use rkllmjs_core::Error;
use serde_json::{Value, json};

use crate::Messages;

/// The last message of a conversation, with which the answer goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Begun {
    /// What is gone on with.
    pub(crate) text: String,
    place: Place,
}

/// Which part of an answer was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BegunPart {
    /// Its text.
    Content,
    /// Its thoughts.
    Thoughts,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// In its text, after these thoughts.
    Content { thoughts: Option<String> },
    /// In its thoughts.
    Thoughts,
}

impl Begun {
    /// The last of `messages`.
    ///
    /// # Errors
    ///
    /// `invalid-request` if it is none of the assistant, calls tools, or is the only one.
    pub(crate) fn of(messages: &Messages) -> Result<Self, Error> {
        let refused = |what: &str| Error::option("continue_final_message", what.to_owned());
        let Some((last, earlier)) = messages.as_slice().split_last() else {
            return Err(refused("needs messages"));
        };
        if last.get("role").and_then(Value::as_str) != Some("assistant") {
            return Err(refused("needs a last message of the assistant to go on with"));
        }
        if last.get("tool_calls").is_some_and(|calls| !calls.is_null()) {
            return Err(refused("cannot go on with a message that calls tools"));
        }
        if earlier.is_empty() {
            return Err(refused("needs a message before the one that is gone on with"));
        }
        Ok(Self::new(last))
    }

    fn new(message: &Value) -> Self {
        let content = match message.get("content") {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(parts)) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
            _ => String::new(),
        };
        let thoughts =
            message.get("reasoning_content").and_then(Value::as_str).filter(|text| !text.is_empty());
        match thoughts {
            Some(thoughts) if content.is_empty() => {
                Self { text: thoughts.to_owned(), place: Place::Thoughts }
            }
            thoughts => {
                Self { text: content, place: Place::Content { thoughts: thoughts.map(str::to_owned) } }
            }
        }
    }

    /// Which part of the answer this is.
    pub(crate) fn part(&self) -> BegunPart {
        match self.place {
            Place::Content { .. } => BegunPart::Content,
            Place::Thoughts => BegunPart::Thoughts,
        }
    }

    /// The message with `end` in place of its text, for whoever renders it to end there.
    pub(crate) fn message(&self, end: char, thoughts: impl FnOnce(&str) -> String) -> Value {
        let end = end.to_string();
        match &self.place {
            Place::Thoughts => json!({ "role": "assistant", "content": "", "reasoning_content": end }),
            Place::Content { thoughts: None } => json!({ "role": "assistant", "content": end }),
            Place::Content { thoughts: Some(before) } => {
                json!({ "role": "assistant", "content": end, "reasoning_content": thoughts(before) })
            }
        }
    }

    /// The message as it is for reading the answer, which has nothing of what was there before.
    pub(crate) fn empty_message(&self, end: char) -> Value {
        let place = match &self.place {
            Place::Thoughts => Place::Thoughts,
            Place::Content { .. } => Place::Content { thoughts: None },
        };
        Self { text: String::new(), place }.message(end, str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::Begun;
    use crate::Messages;
    use serde_json::{Value, json};

    fn messages(last: &Value) -> Messages {
        Messages::from_json(&json!([{ "role": "user", "content": "Hi" }, last]).to_string())
            .expect("messages")
    }

    #[test]
    fn the_text_of_the_last_message_is_gone_on_with_or_its_thoughts_if_there_is_none() {
        let cases = [
            (
                json!({ "role": "assistant", "content": "Sure" }),
                "Sure",
                json!({ "role": "assistant", "content": "#" }),
            ),
            (
                json!({ "role": "assistant", "content": [{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }] }),
                "ab",
                json!({ "role": "assistant", "content": "#" }),
            ),
            (
                json!({ "role": "assistant", "content": "Sure", "reasoning_content": "Hm" }),
                "Sure",
                json!({ "role": "assistant", "content": "#", "reasoning_content": "HM" }),
            ),
            (
                json!({ "role": "assistant", "content": "", "reasoning_content": "Hm" }),
                "Hm",
                json!({ "role": "assistant", "content": "", "reasoning_content": "#" }),
            ),
        ];
        for (last, text, rendered) in cases {
            let messages = messages(&last);
            let begun = Begun::of(&messages).expect("begun");
            assert_eq!(begun.text, text);
            assert_eq!(begun.message('#', str::to_uppercase), rendered);
        }
    }

    #[test]
    fn what_cannot_be_gone_on_with_is_refused_by_name() {
        let call = json!([{ "type": "function", "function": { "name": "a", "arguments": {} } }]);
        let alone = Messages::from_json(r#"[{"role":"assistant","content":"Sure"}]"#).expect("messages");
        let refused = [
            messages(&json!({ "role": "user", "content": "Hi" })),
            messages(&json!({ "role": "assistant", "tool_calls": call })),
            alone,
        ];
        for messages in refused {
            assert_eq!(Begun::of(&messages).expect_err("refused").option, Some("continue_final_message"));
        }
    }
}
