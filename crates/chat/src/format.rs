use rkllmjs_core::{Error, ErrorCode, Thoughts};
use serde_json::{Value, json};

use crate::begun::BegunPart;
use crate::triggers::Triggers;

/// How the answer to a prompt is written: what is needed to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerFormat {
    /// Describes the parser.
    pub(crate) parser: String,
    /// Describes one that reads thoughts and no calls, for answers with calls of a model that thinks.
    pub(crate) without_calls: Option<String>,
    /// Where the answer begins that the prompt has begun.
    pub(crate) begun: Option<BegunPart>,
    /// What keeps calls to the parameters of their tools.
    pub grammar: Option<ToolGrammar>,
    /// What comes before the answer itself.
    pub thinking: Thinking,
    /// Texts that end the answer.
    pub stops: Vec<String>,
    /// Control tokens, by their spelling, that are part of the text to read.
    pub preserved: Vec<String>,
}

/// The thoughts of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thinking {
    /// There are none, or the prompt has ended them.
    None,
    /// They may come first.
    First(Thoughts),
    /// They may come first, in marks that do not follow from the template.
    Unknown,
}

/// A grammar for calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolGrammar {
    /// In GBNF.
    pub text: String,
    /// It binds from where the first of these begins; none: from the first token on.
    pub triggers: Vec<String>,
    /// The end of the prompt, with which the grammar or a trigger may begin.
    pub prefix: String,
}

impl AnswerFormat {
    /// Takes what rendering gave.
    pub(crate) fn from_rendered(rendered: &Value, tools: &[Value]) -> Result<Self, Error> {
        Ok(Self {
            parser: parser(rendered),
            without_calls: None,
            begun: None,
            grammar: grammar(rendered, tools)?,
            thinking: thinking(rendered),
            stops: strings(rendered, "stops"),
            preserved: strings(rendered, "preserved"),
        })
    }
}

/// How thoughts are written, and whether the prompt has begun them.
fn thinking(rendered: &Value) -> Thinking {
    if rendered.get("thinks") != Some(&Value::Bool(true)) {
        return Thinking::None;
    }
    let closes: Vec<String> =
        strings(rendered, "thoughts_end").into_iter().filter(|mark| !mark.is_empty()).collect();
    if closes.is_empty() {
        return Thinking::Unknown;
    }
    let opens = text(rendered, "thoughts_begin");
    let prompt = text(rendered, "generation_prompt");
    let opened = Some(&opens).filter(|mark| !mark.is_empty()).and_then(|mark| prompt.rfind(mark.as_str()));
    let closed = closes.iter().filter_map(|mark| prompt.rfind(mark.as_str())).max();
    match (opened, closed) {
        (opened, Some(_)) if opened <= closed => Thinking::None,
        (Some(_), _) => Thinking::First(Thoughts { opens: String::new(), closes }),
        _ => Thinking::First(Thoughts { opens, closes }),
    }
}

/// What describes the parser, of what rendering gave.
pub(crate) fn parser(rendered: &Value) -> String {
    let parser = json!({
        "format": rendered.get("format"),
        "parser": rendered.get("parser"),
        "generation_prompt": rendered.get("generation_prompt"),
    });
    parser.to_string()
}

/// A lazy grammar that no words bring into force is left out. Such answers are read all the same.
fn grammar(rendered: &Value, tools: &[Value]) -> Result<Option<ToolGrammar>, Error> {
    let text = text(rendered, "grammar");
    if text.is_empty() {
        return Ok(None);
    }
    if rendered.get("grammar_lazy").and_then(Value::as_bool) != Some(true) {
        let prefix = self::text(rendered, "generation_prompt");
        return Ok(Some(ToolGrammar { text: calls_first(&text), triggers: Vec::new(), prefix }));
    }
    let Some(Value::Array(triggers)) = rendered.get("triggers") else {
        return Err(Error::new(ErrorCode::Internal, "a lazy grammar came without triggers"));
    };
    Ok(Triggers::new(triggers, tools).map(|triggers| {
        let prefix = triggers.lead.map(|_| self::text(rendered, "generation_prompt"));
        let text = triggers.lead(&text);
        ToolGrammar { text, prefix: prefix.unwrap_or_default(), triggers: triggers.words }
    }))
}

/// Takes the text in front of the calls out of a grammar that demands one: llama.cpp lets a model write there
/// without end, and a demanded call may then never come. Thoughts stay; what closes them follows them.
fn calls_first(grammar: &str) -> String {
    let lines = grammar.lines().map(|line| match line.strip_prefix("root ::= ") {
        Some(root) => format!("root ::= {}\n", without_free_text(root)),
        None => format!("{line}\n"),
    });
    lines.collect()
}

/// Leaves out each `until-…` with nothing but space between it and the calls.
fn without_free_text(root: &str) -> String {
    let words: Vec<&str> = root.split(' ').collect();
    let is_free_text = |i: usize, word: &str| {
        let next = words.iter().skip(i + 1).find(|next| **next != "space");
        word.starts_with("until-") && next.is_some_and(|next| next.starts_with("tool-call"))
    };
    let kept = words.iter().enumerate().filter(|&(i, word)| !is_free_text(i, word));
    kept.map(|(_, word)| *word).collect::<Vec<_>>().join(" ")
}

fn text(object: &Value, name: &str) -> String {
    object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn strings(object: &Value, name: &str) -> Vec<String> {
    let items = object.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use rkllmjs_core::Thoughts;
    use serde_json::json;

    use super::{Thinking, thinking};

    #[test]
    fn thoughts_come_first_unless_the_prompt_has_ended_them() {
        let with = |prompt: &str| {
            thinking(&json!({
                "thinks": true,
                "thoughts_begin": "<think>",
                "thoughts_end": ["</think>"],
                "generation_prompt": prompt,
            }))
        };
        let first = |opens: &str| {
            Thinking::First(Thoughts { opens: opens.to_owned(), closes: vec!["</think>".to_owned()] })
        };
        assert_eq!(with("<|im_start|>assistant\n"), first("<think>"));
        assert_eq!(with("<|im_start|>assistant\n<think>\n"), first(""));
        assert_eq!(with("<|im_start|>assistant\n<think>\n\n</think>\n\n"), Thinking::None);
        assert_eq!(thinking(&json!({ "thinks": false, "thoughts_end": ["</think>"] })), Thinking::None);
        assert_eq!(thinking(&json!({ "thinks": true, "thoughts_end": [] })), Thinking::Unknown);
    }
}
