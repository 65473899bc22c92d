use std::sync::{Mutex, PoisonError};

use rkllmjs_core::{Error, ErrorCode, Special, Token, Tokenizer};
use rkllmjs_llama_common::{ChatError, Templates};
use serde_json::{Value, json};

use crate::guard::Guard;
use crate::{Messages, RenderOptions};

/// Most bytes of a template; the longest known one has some 20,000.
const TEMPLATE_BYTES_MAX: usize = 1 << 20;

/// Most parts (spaces, operators, brackets) of one tag outside its strings; real ones have some 200.
const TAG_PARTS_MAX: usize = 8192;

/// A model's chat template, ready to render.
#[derive(Debug)]
pub struct ChatTemplate {
    source: String,
    guard: Guard,
    // One at a time: nothing says that llama.cpp's engine may run a template on two threads.
    rendering: Mutex<Option<Templates>>,
    start_text: String,
    end_text: String,
}

impl ChatTemplate {
    /// Takes `source` for the vocabulary of `tokenizer`; it is parsed when it is first needed.
    ///
    /// # Errors
    ///
    /// `model-invalid` if it is too long.
    pub fn new(source: &str, tokenizer: &dyn Tokenizer) -> Result<Self, Error> {
        if source.len() > TEMPLATE_BYTES_MAX {
            let message = format!(
                "the chat template has {} bytes, at most {TEMPLATE_BYTES_MAX} are allowed",
                source.len()
            );
            return Err(Error::new(ErrorCode::ModelInvalid, message));
        }
        check_tags(source)?;
        Ok(Self {
            source: source.to_owned(),
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
        let mut request = json!({
            "messages": messages,
            "add_generation_prompt": options.add_generation_prompt,
            "template_args": options.template_args,
        });
        if let (false, Some(fields)) = (tools.is_empty(), request.as_object_mut()) {
            fields.insert("tools".to_owned(), Value::Array(tools));
        }
        let rendered = self.render_json(&request.to_string())?;
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

    fn render_json(&self, request: &str) -> Result<String, Error> {
        let mut rendering = self.rendering.lock().unwrap_or_else(PoisonError::into_inner);
        let templates = match rendering.take() {
            Some(templates) => templates,
            None => {
                Templates::new(&self.source, &self.start_text, &self.end_text).map_err(|e| refused(&e))?
            }
        };
        let rendered = rendering.insert(templates).apply(request).map_err(|e| refused(&e))?;
        let rendered: Value = serde_json::from_str(&rendered)
            .map_err(|e| Error::new(ErrorCode::Internal, format!("the rendered prompt is no JSON: {e}")))?;
        Ok(rendered.get("prompt").and_then(Value::as_str).unwrap_or_default().to_owned())
    }
}

/// What a template raises itself begins with this, in llama.cpp's words.
const RAISED: &str = "Jinja Exception: ";

fn refused(error: &ChatError) -> Error {
    match error {
        ChatError::PassedLimit(limit) => {
            Error::new(ErrorCode::ModelInvalid, format!("the chat template {limit}"))
        }
        ChatError::Failed(message) => match message.split_once(RAISED) {
            Some((_, raised)) => {
                let message = format!("the model's chat template refuses these messages: {}", raised.trim());
                Error::new(ErrorCode::InvalidRequest, message)
            }
            None => {
                Error::new(ErrorCode::ModelInvalid, format!("the chat template fails: {}", message.trim()))
            }
        },
    }
}

/// Refuses tags whose expressions have too many parts. llama.cpp builds a chain of operators without
/// recursion but frees it with, so a long one would overflow the stack where no limit is looked at.
fn check_tags(source: &str) -> Result<(), Error> {
    let mut parts = 0_usize;
    let mut inside = false;
    let mut quote = None;
    let mut characters = source.chars().peekable();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(_), '\\') => {
                characters.next();
            }
            (Some(end), c) if c == end => quote = None,
            (Some(_), _) => {}
            (None, '{') if !inside => inside = matches!(characters.peek(), Some('{' | '%')),
            (None, '}') if inside && matches!(characters.peek(), Some('}')) => inside = false,
            (None, '%') if inside && matches!(characters.peek(), Some('}')) => inside = false,
            (None, '"' | '\'') if inside => quote = Some(c),
            (None, c) if inside && !c.is_alphanumeric() => parts += 1,
            (None, _) => {}
        }
        if !inside {
            parts = 0;
        }
        if parts > TAG_PARTS_MAX {
            let message = format!("the chat template has a tag of more than {TAG_PARTS_MAX} parts");
            return Err(Error::new(ErrorCode::ModelInvalid, message));
        }
    }
    Ok(())
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
