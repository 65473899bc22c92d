//! What stands round an input's text.

use rkllmjs_chat::{ChatTemplate, Messages, RenderOptions};
use rkllmjs_core::Tokenizer;
use serde_json::{Map, Value, json};

use crate::Failure;

/// Stands for the text of a message while a template is rendered; no template changes plain letters.
const MARK: &str = "rkllmjsmark";

/// How prompts are wrapped.
#[derive(Debug)]
pub(crate) enum Template {
    /// The model's own.
    Own(Box<ChatTemplate>),
    /// What `set_chat_template` set.
    Replaced(Fragments),
    /// Nothing is wrapped.
    Raw,
}

/// A template of three fixed texts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Fragments {
    pub(crate) system: String,
    pub(crate) prefix: String,
    pub(crate) postfix: String,
}

/// Functions that the model may call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tools {
    pub(crate) system: String,
    pub(crate) json: String,
    pub(crate) functions: Vec<Value>,
    pub(crate) response_tag: String,
}

impl Tools {
    pub(crate) fn parse(system: &str, json: &str, response_tag: &str) -> Result<Self, Failure> {
        let options = RenderOptions::from_json(&format!("{{\"tools\":{json}}}"))?;
        Ok(Self {
            system: system.to_owned(),
            json: json.to_owned(),
            functions: options.tools,
            response_tag: response_tag.to_owned(),
        })
    }
}

/// Which turn of the conversation an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    First,
    /// The user again, after an answer.
    Next,
    /// Results of tools, after an answer.
    Tool,
}

/// A piece of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    /// Text that may hold control tokens.
    Trusted(String),
    /// Text that may not.
    Plain(String),
}

/// A wrapped prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrapped {
    pub(crate) segments: Vec<Segment>,
    /// What of the first segment is the system prompt.
    pub(crate) system: String,
}

impl Template {
    /// The template of a model's file.
    pub(crate) fn own(source: Option<&str>, tokenizer: &dyn Tokenizer) -> Result<Self, Failure> {
        match source {
            Some(source) => Ok(Self::Own(Box::new(ChatTemplate::new(source, tokenizer)?))),
            None => Ok(Self::Raw),
        }
    }

    pub(crate) fn replaced(fragments: Fragments) -> Self {
        if fragments == Fragments::default() { Self::Raw } else { Self::Replaced(fragments) }
    }

    /// Wraps the texts of a turn: one, or the results of several tools.
    pub(crate) fn wrap(
        &self,
        turn: Turn,
        texts: &[String],
        thinking: bool,
        tools: Option<&Tools>,
    ) -> Result<Wrapped, Failure> {
        match self {
            Self::Raw => {
                let segments = vec![Segment::Trusted(texts.concat())];
                Ok(Wrapped { segments, system: String::new() })
            }
            Self::Replaced(fragments) => Ok(fragments.wrap(turn, texts, tools)),
            Self::Own(template) => wrap_by(template, turn, texts, thinking, tools),
        }
    }
}

impl Fragments {
    fn wrap(&self, turn: Turn, texts: &[String], tools: Option<&Tools>) -> Wrapped {
        let system = match (turn, tools) {
            (Turn::First, None) => self.system.clone(),
            (Turn::First, Some(tools)) => format!("{}{}\n{}\n", self.system, tools.system, tools.json),
            _ => String::new(),
        };
        let tag = tools.map(|tools| tools.response_tag.as_str()).filter(|_| turn == Turn::Tool);
        let mut segments = vec![Segment::Trusted(format!("{system}{}", self.prefix))];
        for text in texts {
            let open = tag.map(|tag| Segment::Trusted(format!("<{tag}>\n")));
            let close = tag.map(|tag| Segment::Trusted(format!("\n</{tag}>\n")));
            segments.extend(open.into_iter().chain([Segment::Plain(text.clone())]).chain(close));
        }
        segments.push(Segment::Trusted(self.postfix.clone()));
        Wrapped { segments, system }
    }
}

fn wrap_by(
    template: &ChatTemplate,
    turn: Turn,
    texts: &[String],
    thinking: bool,
    tools: Option<&Tools>,
) -> Result<Wrapped, Failure> {
    let system = tools.map(|tools| tools.system.as_str()).filter(|system| !system.is_empty());
    let role = if turn == Turn::Tool { "tool" } else { "user" };
    let mark = |i: usize| format!("{MARK}{i}x");
    let mut messages: Vec<Value> = Vec::new();
    messages.extend(system.map(|system| json!({ "role": "system", "content": system })));
    if turn != Turn::First {
        messages.push(json!({ "role": "user", "content": "a question" }));
        messages.push(json!({ "role": "assistant", "content": format!("{MARK}answer") }));
    }
    messages.extend((0..texts.len()).map(|i| json!({ "role": role, "content": mark(i) })));
    let rendered = render(template, &messages, thinking, tools)?;
    let mut rest = match turn {
        Turn::First => rendered.as_str(),
        _ => after(&rendered, &format!("{MARK}answer"))?.1,
    };
    let mut segments = Vec::new();
    for (i, text) in texts.iter().enumerate() {
        let (before, behind) = after(rest, &mark(i))?;
        segments.push(Segment::Trusted(before.to_owned()));
        segments.push(Segment::Plain(text.clone()));
        rest = behind;
    }
    segments.push(Segment::Trusted(rest.to_owned()));
    let mut system_text = String::new();
    if turn == Turn::First && tools.is_some() {
        let bare = render(template, &[json!({ "role": "user", "content": mark(0) })], thinking, None)?;
        let head = after(&rendered, &mark(0))?.0;
        let shared = common_suffix(head, after(&bare, &mark(0))?.0);
        system_text = head.get(..head.len() - shared).unwrap_or_default().to_owned();
    }
    Ok(Wrapped { segments, system: system_text })
}

fn render(
    template: &ChatTemplate,
    messages: &[Value],
    thinking: bool,
    tools: Option<&Tools>,
) -> Result<String, Failure> {
    let messages = Messages::from_json(&Value::Array(messages.to_vec()).to_string())?;
    let mut template_args = Map::new();
    template_args.insert("enable_thinking".to_owned(), Value::Bool(thinking));
    let functions = tools.map(|tools| tools.functions.clone()).unwrap_or_default();
    let options = RenderOptions { tools: functions, template_args, ..RenderOptions::default() };
    Ok(template.render(&messages, &options)?.text())
}

fn after<'a>(text: &'a str, mark: &str) -> Result<(&'a str, &'a str), Failure> {
    text.split_once(mark).ok_or_else(|| Failure::new("the chat template leaves the text of a message out"))
}

/// Bytes that both texts end with, in whole characters.
fn common_suffix(a: &str, b: &str) -> usize {
    let equal = a.chars().rev().zip(b.chars().rev()).take_while(|(a, b)| a == b);
    equal.map(|(c, _)| c.len_utf8()).sum()
}

/// The results of tools: each element of a JSON array, or the text itself.
pub(crate) fn tool_results(prompt: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match serde_json::from_str(prompt) {
        Ok(Value::Array(results)) if !results.is_empty() => results.iter().map(text).collect(),
        _ => vec![prompt.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(wrapped: &Wrapped) -> String {
        let text = |segment: &Segment| match segment {
            Segment::Trusted(text) | Segment::Plain(text) => text.clone(),
        };
        wrapped.segments.iter().map(text).collect()
    }

    fn fragments() -> Fragments {
        Fragments { system: "S".to_owned(), prefix: "<u>".to_owned(), postfix: "<a>".to_owned() }
    }

    #[test]
    fn the_system_prompt_stands_before_the_first_turn_only() {
        let template = Template::replaced(fragments());
        let wrap = |turn| template.wrap(turn, &["hi".to_owned()], false, None).map(|w| joined(&w));
        assert_eq!(wrap(Turn::First), Ok("S<u>hi<a>".to_owned()));
        assert_eq!(wrap(Turn::Next), Ok("<u>hi<a>".to_owned()));
    }

    #[test]
    fn three_empty_texts_wrap_nothing() {
        let template = Template::replaced(Fragments::default());
        let wrapped = template.wrap(Turn::First, &["hi".to_owned()], true, None);
        assert_eq!(wrapped.map(|w| w.segments), Ok(vec![Segment::Trusted("hi".to_owned())]));
    }

    #[test]
    fn results_of_tools_are_the_elements_of_an_array() {
        assert_eq!(tool_results(r#"[{"a":1},"two"]"#), [r#"{"a":1}"#, "two"]);
        assert_eq!(tool_results("plain"), ["plain"]);
    }

    #[test]
    fn the_models_own_template_hears_of_thinking() -> Result<(), Failure> {
        let source = "{% if enable_thinking %}think: {% endif %}{{ messages[-1].content }}>";
        let template = Template::own(Some(source), &crate::scripted::ByteTokenizer)?;
        let wrap =
            |thinking| template.wrap(Turn::First, &["hi".to_owned()], thinking, None).map(|w| joined(&w));
        assert_eq!((wrap(true)?.as_str(), wrap(false)?.as_str()), ("think: hi>", "hi>"));
        Ok(())
    }
}
