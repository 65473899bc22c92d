use std::sync::OnceLock;

use rkllmjs_core::{Error, ErrorCode, Special, Token, Tokenizer};
use rkllmjs_llama_common::{Answers, ChatError};
use serde_json::{Value, json};

use crate::asked::Asked;
use crate::begun::Begun;
use crate::guard::Guard;
use crate::renderer::{Failure, Renderer};
use crate::tools::tool_name;
use crate::{AnswerFormat, Messages, Reasoning, RenderOptions, ThoughtMarks, ToolChoice};

/// Most bytes of a template; the longest known one has some 20,000.
const TEMPLATE_BYTES_MAX: usize = 1 << 20;

/// Most parts (spaces, operators, brackets) of one tag outside its strings; real ones have some 200.
const TAG_PARTS_MAX: usize = 8192;

/// Templates of models that think have one of these in them.
const THINKING_WORDS: [&str; 3] = ["think", "reason", "channel"];

/// A model's chat template, ready to render.
#[derive(Debug)]
pub struct ChatTemplate {
    renderer: Renderer,
    guard: Guard,
    /// Whether its model thinks before it answers, once that was asked.
    thinks: OnceLock<bool>,
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
            renderer: Renderer::new(source, tokenizer.start_text(), tokenizer.end_text()),
            guard: Guard::new(tokenizer.control_tokens())?,
            thinks: OnceLock::new(),
        })
    }

    /// The prompt for a conversation.
    ///
    /// # Errors
    ///
    /// `invalid-request` if the template refuses the messages, or a tool's parameters are no schema it can
    /// use; `unsupported` if it knows no tools; `model-invalid` if it fails or runs into a limit.
    pub fn render(&self, messages: &Messages, options: &RenderOptions) -> Result<Prompt, Error> {
        let plain = json!({ "messages": messages.as_slice(), "tools": options.tools }).to_string();
        let args = Value::Object(options.template_args.clone()).to_string();
        let texts = [plain.as_str(), args.as_str(), self.renderer.source()];
        let mut marks = Guard::marks(&texts, 1 + messages.media())?.into_iter();
        let mark = marks.next().unwrap_or_default();
        let images: Vec<char> = marks.collect();
        let begun = options.continue_final_message.then(|| Begun::of(messages)).transpose()?;
        let stands_for = |number: usize| images.get(number).map(char::to_string).unwrap_or_default();
        let (with_images, bare) =
            (messages.with_media_as(stands_for), messages.with_media_as(|_| String::new()));
        // The one that is gone on with comes apart.
        let count = bare.len() - usize::from(begun.is_some());
        let earlier = with_images.get(..count).unwrap_or_default();
        let bare = bare.get(..count).unwrap_or_default();
        let answers = self.answers(options);
        let asked = Asked { messages: earlier, bare, begun: begun.as_ref(), options, answers, mark };
        let marked = self.marked(&asked);
        let tools: Vec<Value> = options.tools.iter().map(|t| self.guard.mark_value(t, mark)).collect();
        let mut rendered = self.apply(&asked.request(&marked, &tools), answers).map_err(|e| {
            let about_tools = answers == Answers::Calls && self.is_about_tools(&e, &asked, &marked, &tools);
            refused(e, if about_tools { Blamed::Tools } else { Blamed::Messages })
        })?;
        asked.unmark_end(&mut rendered)?;
        let mut text = rendered.get("prompt").and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Some(begun) = &begun {
            text.push_str(&self.guard.mark_text(&begun.text, mark));
        }
        if answers == Answers::Plain {
            return Ok(Prompt { text, mark, images, format: None, thoughts: None });
        }
        if !tools.is_empty() && rendered.get("knows_tools") != Some(&Value::Bool(true)) {
            return Err(Error::unsupported(
                "tools",
                "cannot be offered: the model's chat template knows no tools",
            ));
        }
        let thoughts = ThoughtMarks::from_rendered(&rendered);
        let thinks = rendered.get("thinks") == Some(&Value::Bool(true));
        if options.thought_tokens_max.is_some() && thinks && thoughts.is_none() {
            let message =
                "cannot limit the tokens of thoughts: what ends them does not follow from the template";
            return Err(Error::unsupported("reasoning", message));
        }
        let format = if tools.is_empty() && options.reasoning == Reasoning::Inline {
            None
        } else {
            Some(self.format(&asked, &rendered, &tools)?)
        };
        Ok(Prompt { text, mark, images, format, thoughts })
    }

    /// How the answer is to be read, of what rendering gave with `tools`.
    fn format(&self, asked: &Asked<'_>, rendered: &Value, tools: &[Value]) -> Result<AnswerFormat, Error> {
        // Marks are for the prompt only, and a call that is demanded by name can be of one tool only.
        let callable = callable(asked.options);
        let mut format = if callable == tools && asked.begun.is_none() {
            AnswerFormat::from_rendered(rendered, &callable)?
        } else {
            let request = asked.request(&asked.bare(), &callable);
            let mut rendered = self.apply(&request, asked.answers).map_err(|e| refused(e, Blamed::Tools))?;
            asked.unmark_end(&mut rendered)?;
            AnswerFormat::from_rendered(&rendered, &callable)?
        };
        if asked.answers == Answers::Calls && self.thinks() {
            let rendered = self.apply(&asked.request(&asked.bare(), &[]), Answers::Thoughts).ok();
            let rendered =
                rendered.and_then(|mut rendered| asked.unmark_end(&mut rendered).ok().map(|()| rendered));
            format.without_calls = rendered.map(|rendered| crate::format::parser(&rendered));
        }
        format.begun = asked.begun.map(Begun::part);
        if asked.options.tool_choice.is_demand() && format.grammar.is_none() {
            let message =
                "must be 'auto' or 'none': how the model writes calls does not follow from its template";
            return Err(Error::unsupported("tool_choice", message));
        }
        Ok(format)
    }

    /// The messages with marks in their texts.
    fn marked(&self, asked: &Asked<'_>) -> Vec<Value> {
        let mark = asked.mark;
        let marked = asked.messages.iter().map(|message| self.mark_message(message, mark));
        let begun =
            asked.begun_to_render().map(|begun| begun.message(mark, |text| self.guard.mark_text(text, mark)));
        marked.chain(begun).collect()
    }

    /// What answers may be besides text.
    fn answers(&self, options: &RenderOptions) -> Answers {
        if !options.tools.is_empty() {
            Answers::Calls
        } else if (options.reasoning != Reasoning::Inline || options.needs_thought_marks()) && self.thinks() {
            Answers::Thoughts
        } else {
            Answers::Plain
        }
    }

    /// Whether the template's model thinks before it answers. Found out once: it takes some milliseconds.
    fn thinks(&self) -> bool {
        *self.thinks.get_or_init(|| {
            let source = self.renderer.source().to_lowercase();
            if !THINKING_WORDS.iter().any(|word| source.contains(word)) {
                return false;
            }
            let hello = json!({ "messages": [{ "role": "user", "content": "Hello" }] });
            let rendered = self.apply(&hello, Answers::Thoughts);
            rendered.is_ok_and(|rendered| rendered.get("thinks") == Some(&Value::Bool(true)))
        })
    }

    /// Whether a request that failed would not have without the parameters of its tools. What ran into a limit
    /// gets less time for that.
    fn is_about_tools(
        &self,
        failure: &Failure,
        asked: &Asked<'_>,
        messages: &[Value],
        tools: &[Value],
    ) -> bool {
        let is_over = matches!(failure, Failure::Template(ChatError::PassedLimit(_)));
        let answers = if is_over { Answers::Plain } else { Answers::Calls };
        let bare: Vec<Value> = tools.iter().map(tool_without_parameters).collect();
        !tools.is_empty() && self.apply(&asked.request(messages, &bare), answers).is_ok()
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

    fn apply(&self, request: &Value, answers: Answers) -> Result<Value, Failure> {
        let rendered = self.renderer.apply(request.to_string(), answers)?;
        let no_json = |e| ChatError::Failed(format!("the rendered prompt is no JSON: {e}"));
        Ok(serde_json::from_str(&rendered).map_err(no_json)?)
    }
}

/// The tools that an answer may call.
fn callable(options: &RenderOptions) -> Vec<Value> {
    let is_callable = |tool: &Value| match &options.tool_choice {
        ToolChoice::Named(wanted) => tool_name(tool) == Some(wanted),
        _ => true,
    };
    options.tools.iter().filter(|tool| is_callable(tool)).cloned().collect()
}

fn tool_without_parameters(tool: &Value) -> Value {
    let mut bare = tool.clone();
    if let Some(function) = bare.get_mut("function").and_then(Value::as_object_mut) {
        function.remove("parameters");
    }
    bare
}

/// Whose fault it is that a request cannot be rendered, if it is not the template's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blamed {
    Messages,
    Tools,
}

/// What a template raises itself begins with this, in llama.cpp's words.
const RAISED: &str = "Jinja Exception: ";

fn refused(failure: Failure, blamed: Blamed) -> Error {
    match failure {
        Failure::Untried(error) => error,
        Failure::Template(error) if blamed == Blamed::Tools => {
            Error::option("tools", format!("cannot be used with the model's chat template: {error}"))
        }
        Failure::Template(ChatError::PassedLimit(limit)) => {
            Error::new(ErrorCode::ModelInvalid, format!("the chat template {limit}"))
        }
        Failure::Template(ChatError::Failed(message)) => match message.split_once(RAISED) {
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

/// A piece of a rendered conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Tokens of text.
    Tokens(Vec<Token>),
    /// An image or sound, by its number in the conversation.
    Medium(usize),
}

/// A rendered conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    text: String,
    mark: char,
    /// What stands for each image.
    images: Vec<char>,
    format: Option<AnswerFormat>,
    thoughts: Option<ThoughtMarks>,
}

impl Prompt {
    /// How its answer is to be read, if that is more than text.
    pub fn format(&self) -> Option<&AnswerFormat> {
        self.format.as_ref()
    }

    /// How thoughts in its answer are told from the rest, where its template says so.
    pub fn thoughts(&self) -> Option<&ThoughtMarks> {
        self.thoughts.as_ref()
    }

    /// The prompt as text, with nothing in the places of images.
    pub fn text(&self) -> String {
        self.text.chars().filter(|&c| !self.is_mark(c)).collect()
    }

    fn is_mark(&self, c: char) -> bool {
        c == self.mark || self.images.contains(&c)
    }

    /// The prompt's tokens, without images: control tokens only where the template wrote them.
    ///
    /// # Errors
    ///
    /// As [`pieces`](Self::pieces).
    pub fn tokenize(&self, tokenizer: &dyn Tokenizer) -> Result<Vec<Token>, Error> {
        let mut tokens = Vec::new();
        for piece in self.pieces(tokenizer)? {
            if let Piece::Tokens(more) = piece {
                tokens.extend(more);
            }
        }
        Ok(tokens)
    }

    /// The prompt's tokens and images, in their order.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::tokenize`]; `unsupported` if the template leaves an image out.
    pub fn pieces(&self, tokenizer: &dyn Tokenizer) -> Result<Vec<Piece>, Error> {
        if let Some(number) = self.images.iter().position(|&image| !self.text.contains(image)) {
            let message =
                format!("cannot hold image or sound {}: the model's chat template leaves it out", number + 1);
            return Err(Error::unsupported("messages", message));
        }
        let start = tokenizer.start_text();
        let has_start = !start.is_empty() && self.text.starts_with(start);
        let mut pieces = Vec::new();
        let mut special = Special { add: !has_start, parse: true };
        let mut rest = self.text.as_str();
        loop {
            let end = rest.char_indices().find(|&(_, c)| self.is_mark(c));
            let text = end.and_then(|(at, _)| rest.get(..at)).unwrap_or(rest);
            pieces.push(Piece::Tokens(tokenizer.tokenize(text, special)?));
            special.add = false;
            let Some((at, mark)) = end else { return Ok(pieces) };
            pieces.extend(self.images.iter().position(|&image| image == mark).map(Piece::Medium));
            rest = rest.get(at + mark.len_utf8()..).unwrap_or_default();
        }
    }
}
