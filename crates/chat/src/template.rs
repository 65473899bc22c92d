use std::sync::{Mutex, PoisonError};

use rkllmjs_core::{Error, ErrorCode, Special, Token, Tokenizer};
use rkllmjs_llama_common::Templates;
use serde_json::{Value, json};

use crate::guard::Guard;
use crate::vetting::Vetted;
use crate::{Messages, RenderOptions};

/// A model's chat template, ready to render.
#[derive(Debug)]
pub struct ChatTemplate {
    source: String,
    vetted: Vetted,
    guard: Guard,
    // One at a time: nothing says that llama.cpp's engine may run a template on two threads.
    rendering: Mutex<Option<Templates>>,
    start_text: String,
    end_text: String,
}

impl ChatTemplate {
    /// Parses `source` for the vocabulary of `tokenizer`.
    ///
    /// # Errors
    ///
    /// `model-invalid` if it is no template.
    pub fn new(source: &str, tokenizer: &dyn Tokenizer) -> Result<Self, Error> {
        Ok(Self {
            source: source.to_owned(),
            vetted: Vetted::new(source)?,
            guard: Guard::new(tokenizer.control_tokens())?,
            rendering: Mutex::new(None),
            start_text: tokenizer.start_text().to_owned(),
            end_text: tokenizer.end_text().to_owned(),
        })
    }

    /// The prompt for a conversation.
    ///
    /// # Errors
    ///
    /// `invalid-request` if the template refuses the messages, `model-invalid` if it fails or runs
    /// into a limit.
    pub fn render(&self, messages: &Messages, options: &RenderOptions) -> Result<Prompt, Error> {
        let plain = json!({ "messages": messages.as_slice(), "tools": options.tools }).to_string();
        let args = Value::Object(options.template_args.clone()).to_string();
        let mark = Guard::mark(&[&plain, &args, &self.source])?;
        let messages: Vec<Value> = messages.as_slice().iter().map(|m| self.mark_message(m, mark)).collect();
        let tools: Vec<Value> = options.tools.iter().map(|t| self.guard.mark_value(t, mark)).collect();
        self.vetted.check(&self.context(&messages, &tools, options), plain.len() + args.len())?;
        let mut request = json!({
            "messages": messages,
            "add_generation_prompt": options.add_generation_prompt,
            "template_args": options.template_args,
        });
        if let (false, Some(fields)) = (tools.is_empty(), request.as_object_mut()) {
            fields.insert("tools".to_owned(), Value::Array(tools));
        }
        let rendered = self.render_unlimited(&request.to_string())?;
        Ok(Prompt { text: rendered, mark })
    }

    /// Marks what is text of the user's; the names of fields and roles are ours.
    fn mark_message(&self, message: &Value, mark: char) -> Value {
        let Value::Object(fields) = message else { return message.clone() };
        let marked = fields.iter().map(|(name, value)| {
            let value = if name == "role" { value.clone() } else { self.guard.mark_value(value, mark) };
            (name.clone(), value)
        });
        Value::Object(marked.collect())
    }

    /// The variables a template may read, as the de-facto standard of model repositories has them.
    fn context(&self, messages: &[Value], tools: &[Value], options: &RenderOptions) -> Value {
        let mut context = options.template_args.clone();
        let messages: Vec<Value> = messages.iter().map(with_object_arguments).collect();
        context.insert("messages".to_owned(), Value::Array(messages));
        context.insert("add_generation_prompt".to_owned(), Value::Bool(options.add_generation_prompt));
        context.insert("bos_token".to_owned(), Value::String(self.start_text.clone()));
        context.insert("eos_token".to_owned(), Value::String(self.end_text.clone()));
        if !tools.is_empty() {
            context.insert("tools".to_owned(), Value::Array(tools.to_vec()));
        }
        Value::Object(context)
    }

    fn render_unlimited(&self, request: &str) -> Result<String, Error> {
        let failed = |e: rkllmjs_llama_common::ChatError| {
            Error::new(ErrorCode::ModelInvalid, format!("llama.cpp cannot render the chat template: {e}"))
        };
        let mut rendering = self.rendering.lock().unwrap_or_else(PoisonError::into_inner);
        let templates = match rendering.take() {
            Some(templates) => templates,
            None => Templates::new(&self.source, &self.start_text, &self.end_text).map_err(failed)?,
        };
        let rendered = rendering.insert(templates).apply(request).map_err(failed)?;
        let rendered: Value = serde_json::from_str(&rendered)
            .map_err(|e| Error::new(ErrorCode::Internal, format!("the rendered prompt is no JSON: {e}")))?;
        Ok(rendered.get("prompt").and_then(Value::as_str).unwrap_or_default().to_owned())
    }
}

/// Templates of many families read the arguments of a tool call as an object.
fn with_object_arguments(message: &Value) -> Value {
    let mut message = message.clone();
    let calls = message.get_mut("tool_calls").and_then(Value::as_array_mut);
    for call in calls.into_iter().flatten() {
        if let Some(arguments) = call.pointer_mut("/function/arguments")
            && let Some(text) = arguments.as_str()
            && let Ok(parsed @ Value::Object(_)) = serde_json::from_str(text)
        {
            *arguments = parsed;
        }
    }
    message
}

/// A rendered conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    text: String,
    mark: char,
}

impl Prompt {
    /// The prompt as text.
    pub fn text(&self) -> String {
        self.text.replace(self.mark, "")
    }

    /// The prompt's tokens: control tokens only where the template wrote them.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::tokenize`].
    pub fn tokenize(&self, tokenizer: &dyn Tokenizer) -> Result<Vec<Token>, Error> {
        let start = tokenizer.start_text();
        let has_start = !start.is_empty() && self.text.starts_with(start);
        let mut tokens = Vec::new();
        for (i, piece) in self.text.split(self.mark).enumerate() {
            let special = Special { add: i == 0 && !has_start, parse: true };
            tokens.extend(tokenizer.tokenize(piece, special)?);
        }
        Ok(tokens)
    }
}
