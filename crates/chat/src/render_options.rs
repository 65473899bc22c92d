use rkllmjs_core::{Error, ErrorCode};
use serde_json::{Map, Value};

use crate::tools::{ToolChoice, check_tools};

/// What becomes of a model's thoughts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reasoning {
    /// They come apart from the answer, where the template says how they are written.
    #[default]
    Apart,
    /// They stay in the text as the model writes them.
    Inline,
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
            template_args: Map::new(),
        }
    }
}

impl RenderOptions {
    /// Reads `{add_generation_prompt?, tools?, tool_choice?, parallel_tool_calls?, reasoning?,
    /// template_args?}`.
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
                ("template_args", Value::Object(args)) => options.template_args = args,
                (name, _) => return Err(invalid(&format!("{name} has a wrong type or is no chat option"))),
            }
        }
        check_tools(&options.tools)?;
        options.tool_choice.check(&options.tools)?;
        Ok(options)
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
        "off" => Ok(Reasoning::Off),
        _ => Err(Error::option("reasoning", format!("must be 'auto', 'inline' or 'off', got {word:?}"))),
    }
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorCode::InvalidRequest, message)
}
