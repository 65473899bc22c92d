use rkllmjs_core::{Error, ErrorCode};
use serde_json::{Map, Value};

use crate::tools::{ToolChoice, check_tools};

/// Most tokens that thoughts may be limited to; no context holds more.
const THOUGHT_TOKENS_MAX: u32 = i32::MAX as u32;

/// What becomes of a model's thoughts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reasoning {
    /// They come apart from the answer, where the template says how they are written.
    #[default]
    Apart,
    /// They stay in the text as the model writes them.
    Inline,
    /// They come apart, and the template is told that they are wanted.
    On,
    /// The template is told that none are wanted.
    Off,
}

/// What may be set about a rendering and about reading the answer to it.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderOptions {
    /// Whether the prompt ends where the assistant begins to speak.
    pub add_generation_prompt: bool,
    /// Tool definitions in OpenAI's shape.
    pub tools: Vec<Value>,
    /// Whether they may be called.
    pub tool_choice: ToolChoice,
    /// Whether several may be called at once; `None` is as the template knows it.
    pub parallel_tool_calls: Option<bool>,
    /// What becomes of thoughts.
    pub reasoning: Reasoning,
    /// Most tokens of thoughts.
    pub thought_tokens_max: Option<u32>,
    /// Whether the answer goes on with the last message.
    pub continue_final_message: bool,
    /// Variables of the template's own.
    pub template_args: Map<String, Value>,
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self {
            add_generation_prompt: true,
            tools: Vec::new(),
            tool_choice: ToolChoice::default(),
            parallel_tool_calls: None,
            reasoning: Reasoning::default(),
            thought_tokens_max: None,
            continue_final_message: false,
            template_args: Map::new(),
        }
    }
}

impl RenderOptions {
    /// Reads `{add_generation_prompt?, tools?, tool_choice?, parallel_tool_calls?, reasoning?,
    /// continue_final_message?, template_args?}`.
    ///
    /// # Errors
    ///
    /// `invalid-request` naming the field.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let mut options = Self::default();
        let value: Value = serde_json::from_str(text).map_err(|e| invalid(&format!("chat options: {e}")))?;
        let Value::Object(fields) = value else { return Err(invalid("chat options must be an object")) };
        for (name, value) in fields {
            match (name.as_str(), value) {
                (_, Value::Null) => {}
                ("add_generation_prompt", Value::Bool(on)) => options.add_generation_prompt = on,
                ("tools", Value::Array(tools)) => options.tools = tools,
                ("tool_choice", choice) => options.tool_choice = ToolChoice::from_value(&choice)?,
                ("parallel_tool_calls", Value::Bool(on)) => options.parallel_tool_calls = Some(on),
                ("reasoning", Value::String(word)) => options.reasoning = reasoning(&word)?,
                ("reasoning", Value::Object(fields)) => options.read_reasoning(&fields)?,
                ("continue_final_message", Value::Bool(on)) => options.continue_final_message = on,
                ("template_args", Value::Object(args)) => options.template_args = args,
                (name, _) => return Err(invalid(&format!("{name} has a wrong type or is no chat option"))),
            }
        }
        check_tools(&options.tools)?;
        options.tool_choice.check(&options.tools)?;
        Ok(options)
    }

    /// Reads `{mode?, max_tokens?}`.
    fn read_reasoning(&mut self, fields: &Map<String, Value>) -> Result<(), Error> {
        for (name, value) in fields {
            match (name.as_str(), value) {
                (_, Value::Null) => {}
                ("mode", Value::String(word)) => self.reasoning = reasoning(word)?,
                ("max_tokens", Value::Number(number)) => {
                    self.thought_tokens_max = Some(thought_tokens(number.as_f64())?);
                }
                (name, _) => {
                    return Err(Error::option(
                        "reasoning",
                        format!("has {name:?}, which is wrong or unknown"),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Whether thoughts must be told from the answer, even where they stay in it.
    pub(crate) fn needs_thought_marks(&self) -> bool {
        self.thought_tokens_max.is_some() || self.continue_final_message
    }

    /// Whether an answer may call tools.
    pub fn may_call(&self) -> bool {
        !self.tools.is_empty() && self.tool_choice != ToolChoice::None
    }
}

fn reasoning(word: &str) -> Result<Reasoning, Error> {
    match word {
        "auto" => Ok(Reasoning::Apart),
        "inline" => Ok(Reasoning::Inline),
        "on" => Ok(Reasoning::On),
        "off" => Ok(Reasoning::Off),
        _ => {
            let message = format!("must be 'auto', 'on', 'off' or 'inline', got {word:?}");
            Err(Error::option("reasoning", message))
        }
    }
}

fn thought_tokens(number: Option<f64>) -> Result<u32, Error> {
    let whole = number.filter(|n| n.fract() == 0.0 && (0.0..=f64::from(THOUGHT_TOKENS_MAX)).contains(n));
    whole.map(|n| n as u32).ok_or_else(|| {
        let message = format!("must allow a whole number of tokens from 0 to {THOUGHT_TOKENS_MAX}");
        Error::option("reasoning", message)
    })
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorCode::InvalidRequest, message)
}
