use rkllmjs_core::Error;
use rkllmjs_llama_common::Answers;
use serde_json::{Map, Value, json};

use crate::begun::Begun;
use crate::{Reasoning, RenderOptions, ToolChoice};

/// Variables by which templates are told whether thoughts are wanted.
const THINKING_SWITCHES: [&str; 2] = ["enable_thinking", "thinking"];

/// What a rendering was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The messages before the one that the answer goes on with, if it does.
    pub(crate) messages: &'a [Value],
    /// The same without what stands for images.
    pub(crate) bare: &'a [Value],
    pub(crate) begun: Option<&'a Begun>,
    pub(crate) options: &'a RenderOptions,
    /// What answers may be besides text.
    pub(crate) answers: Answers,
    /// A character that occurs nowhere in all this.
    pub(crate) mark: char,
}

impl<'a> Asked<'a> {
    /// The message that a rendering ends with. Where answers are plain there is none: what is gone on with
    /// follows the prompt for an answer.
    pub(crate) fn begun_to_render(&self) -> Option<&'a Begun> {
        self.begun.filter(|_| self.answers != Answers::Plain)
    }

    /// The messages as they are, without the text that is gone on with.
    pub(crate) fn bare(&self) -> Vec<Value> {
        let begun = self.begun_to_render().map(|begun| begun.empty_message(self.mark));
        self.bare.iter().cloned().chain(begun).collect()
    }

    /// The request of these messages, as the template's side takes it.
    pub(crate) fn request(&self, messages: &[Value], tools: &[Value]) -> Value {
        let mut request = json!({
            "messages": messages,
            "add_generation_prompt": self.options.add_generation_prompt || self.begun.is_some(),
            "continue_final_message": self.begun_to_render().is_some(),
            "template_args": self.template_args(),
        });
        if let (false, Some(fields)) = (tools.is_empty(), request.as_object_mut()) {
            fields.insert("tools".to_owned(), tools.into());
            let choice = match self.options.tool_choice {
                ToolChoice::Auto => "auto",
                ToolChoice::None => "none",
                ToolChoice::Required | ToolChoice::Named(_) => "required",
            };
            fields.insert("tool_choice".to_owned(), choice.into());
            if let Some(parallel) = self.options.parallel_tool_calls {
                fields.insert("parallel_tool_calls".to_owned(), parallel.into());
            }
        }
        request
    }

    fn template_args(&self) -> Map<String, Value> {
        let mut args = self.options.template_args.clone();
        let wanted = match self.options.reasoning {
            Reasoning::On => Some(true),
            Reasoning::Off => Some(false),
            Reasoning::Apart | Reasoning::Inline => None,
        };
        for (name, wanted) in THINKING_SWITCHES.into_iter().filter_map(|name| Some((name, wanted?))) {
            args.entry(name).or_insert(Value::Bool(wanted));
        }
        args
    }

    /// Takes the mark off the ends of what was rendered, where the message it stands for was.
    pub(crate) fn unmark_end(&self, rendered: &mut Value) -> Result<(), Error> {
        if self.begun_to_render().is_none() {
            return Ok(());
        }
        for name in ["prompt", "generation_prompt"] {
            let text = rendered.get(name).and_then(Value::as_str).unwrap_or_default();
            let Some(unmarked) = text.strip_suffix(self.mark).map(str::to_owned) else {
                let message = "is impossible: the model's chat template does not say how an answer begins";
                return Err(Error::unsupported("continue_final_message", message));
            };
            if let Some(place) = rendered.get_mut(name) {
                *place = unmarked.into();
            }
        }
        Ok(())
    }
}
