//! Answers of models that think and call tools, as parts.
//!
//! The parser behind this takes the text so far and gives the message so far. What is new in a message,
//! compared with what was given of it before, is given next.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};

use rkllmjs_core::{Error, ErrorCode};
use rkllmjs_llama_common::{Parser, Progress};
use serde_json::Value;

use crate::AnswerFormat;
use crate::begun::BegunPart;

/// More of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// Text for whoever asked.
    Text(String),
    /// The model's thoughts.
    Reasoning(String),
    /// More of a call's arguments.
    CallDelta {
        /// Which call of the answer, from 0.
        call: u32,
        /// Names the call.
        id: String,
        /// The tool; with the first piece only.
        name: Option<String>,
        /// The next piece of the arguments, which are JSON.
        arguments: String,
    },
    /// A whole call.
    Call {
        /// Which call of the answer, from 0.
        call: u32,
        /// What is called with what.
        called: ToolCall,
    },
}

/// A call of a tool that the model asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// Names the call.
    pub id: String,
    /// The tool.
    pub name: String,
    /// A JSON object, as the model wrote it.
    pub arguments: String,
}

/// What an answer comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnswerMessage {
    /// The text.
    pub content: String,
    /// The thoughts, empty without any.
    pub reasoning: String,
    /// The calls.
    pub calls: Vec<ToolCall>,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The model ended it.
    Natural,
    /// It was cut off, perhaps in the middle of a call.
    CutOff,
}

/// Reads the answers to one prompt.
#[derive(Debug)]
pub struct AnswerReader {
    parser: Parser,
    /// Reads thoughts and no calls, of models that think.
    without_calls: Option<Parser>,
    begun: Option<BegunPart>,
    given: Vec<Given>,
}

/// What was given of one answer.
#[derive(Debug, Default)]
struct Given {
    content: String,
    reasoning: String,
    calls: Vec<GivenCall>,
}

#[derive(Debug)]
struct GivenCall {
    id: String,
    /// The name and the arguments that were given; none before the first piece.
    shown: Option<(String, String)>,
}

/// A message as the parser sees it.
#[derive(Debug, Default)]
struct Parsed {
    content: String,
    reasoning: String,
    calls: Vec<ParsedCall>,
    whole: bool,
}

#[derive(Debug)]
struct ParsedCall {
    id: String,
    name: String,
    arguments: String,
}

impl AnswerReader {
    /// A reader for `choices` answers.
    ///
    /// # Errors
    ///
    /// `internal` for a format that no parser can be made of.
    pub fn new(format: &AnswerFormat, choices: usize) -> Result<Self, Error> {
        let failed = |e| Error::new(ErrorCode::Internal, format!("no parser for the answer: {e}"));
        let parser = Parser::new(&format.parser).map_err(failed)?;
        let without_calls = format.without_calls.as_deref().map(Parser::new).transpose().map_err(failed)?;
        let given = (0..choices).map(|_| Given::default()).collect();
        Ok(Self { parser, without_calls, begun: format.begun, given })
    }

    /// What is new in answer `choice` now that its text is `text`. What the parser cannot make out yet comes
    /// later.
    pub fn push(&mut self, choice: usize, text: &str) -> Vec<Delta> {
        let Some(given) = self.given.get_mut(choice) else { return Vec::new() };
        let text = &*readable(text);
        parse(&self.parser, text, Progress::Partial)
            .map_or_else(Vec::new, |parsed| given.deltas(&parsed.with_space(self.begun, text), Shown::Begun))
    }

    /// The text of an answer so far, without thoughts and calls.
    pub fn content(&self, text: &str) -> String {
        let text = &*readable(text);
        let parsed = parse(&self.parser, text, Progress::Partial);
        parsed.map(|parsed| parsed.with_space(self.begun, text).content).unwrap_or_default()
    }

    /// Ends answer `choice`: what was not given yet, and what it comes to. A call that broke off is left out;
    /// an answer that has no proper form is text.
    pub fn finish(&mut self, choice: usize, text: &str, ending: Ending) -> (Vec<Delta>, AnswerMessage) {
        let Some(given) = self.given.get_mut(choice) else { return Default::default() };
        let text = &*readable(text);
        let parsed = match ending {
            Ending::Natural => proper(&self.parser, text),
            Ending::CutOff => without_fragment(&self.parser, text),
        };
        let parsed = parsed.unwrap_or_else(|| as_text(self.without_calls.as_ref(), text));
        let parsed = parsed.with_space(self.begun, text);
        let mut deltas = given.deltas(&parsed, Shown::All);
        let calls: Vec<ToolCall> = given.name_calls(parsed.calls);
        deltas.extend((0..).zip(&calls).map(|(call, called)| Delta::Call { call, called: called.clone() }));
        (deltas, AnswerMessage { content: parsed.content, reasoning: parsed.reasoning, calls })
    }
}

/// An answer of which nothing is a call. As where there are calls, space at its beginning is no part of it.
fn as_text(parser: Option<&Parser>, text: &str) -> Parsed {
    let parsed = parser.and_then(|parser| parse(parser, text, Progress::Final));
    parsed.unwrap_or_else(|| Parsed { content: text.trim_ascii_start().to_owned(), ..Parsed::default() })
}

/// An answer that the model ended. A last call may lack the mark of its end, but not of its arguments.
fn proper(parser: &Parser, text: &str) -> Option<Parsed> {
    let parsed = parse(parser, text, Progress::Final)?;
    // What would be nowhere is the beginning of a call without the rest.
    let is_plain = parsed.calls.is_empty() && parsed.reasoning.is_empty();
    if is_plain && text.strip_prefix(&parsed.content).is_some_and(|rest| !rest.trim().is_empty()) {
        return None;
    }
    parsed.calls.iter().all(ParsedCall::is_complete).then_some(parsed)
}

/// An answer that was cut off. Every call but the last has been followed by something; that one counts if all of
/// it is there, or at least its arguments are, word for word: what the parser puts together of pieces may lack
/// some.
fn without_fragment(parser: &Parser, text: &str) -> Option<Parsed> {
    let mut parsed = parse(parser, text, Progress::Final)?;
    let is_cut = |last: &ParsedCall| !text.contains(&last.arguments);
    if !parsed.whole && parsed.calls.last().is_some_and(is_cut) {
        parsed.calls.pop();
    }
    parsed.calls.retain(ParsedCall::is_complete);
    Some(parsed)
}

impl Parsed {
    /// The message of an answer that began in the middle of one: space at the beginning of `text`, which the parser
    /// passes over, is a part of it there.
    fn with_space(mut self, begun: Option<BegunPart>, text: &str) -> Self {
        let part = match begun {
            Some(BegunPart::Content) if self.reasoning.is_empty() => &mut self.content,
            Some(BegunPart::Thoughts) => &mut self.reasoning,
            _ => return self,
        };
        let (space, _) = text.split_at(text.len() - text.trim_start().len());
        if !part.is_empty() && !part.starts_with(space) {
            *part = format!("{space}{}", part.trim_start());
        }
        self
    }
}

impl ParsedCall {
    fn is_complete(&self) -> bool {
        !self.name.is_empty()
            && serde_json::from_str::<Value>(&self.arguments).is_ok_and(|value| value.is_object())
    }

    /// Whether more is known than the tool's name, which may only be the beginning of a longer one.
    fn has_begun(&self) -> bool {
        !self.name.is_empty() && !matches!(self.arguments.as_str(), "" | "{")
    }
}

/// Which calls are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Those that are known by more than a name.
    Begun,
    /// All.
    All,
}

impl Given {
    /// What `parsed` says beyond what was given. Nothing given can be taken back: where the parser has
    /// changed its mind, no more is given.
    fn deltas(&mut self, parsed: &Parsed, shown: Shown) -> Vec<Delta> {
        let mut deltas = Vec::new();
        if let Some(more) = extend(&mut self.reasoning, &parsed.reasoning) {
            deltas.push(Delta::Reasoning(more));
        }
        if let Some(more) = extend(&mut self.content, &parsed.content) {
            deltas.push(Delta::Text(more));
        }
        for (i, call) in parsed.calls.iter().enumerate() {
            // A call is not begun before the one in front of it.
            if i > self.calls.len() || (shown == Shown::Begun && !call.has_begun()) {
                break;
            }
            if i == self.calls.len() {
                self.calls.push(GivenCall { id: id_of(call), shown: None });
            }
            let number = u32::try_from(i).unwrap_or(u32::MAX);
            deltas.extend(self.calls.get_mut(i).and_then(|given| given.delta(number, call)));
        }
        deltas
    }

    /// The calls with the names they were given under.
    fn name_calls(&self, calls: Vec<ParsedCall>) -> Vec<ToolCall> {
        let given = self.calls.iter().map(|given| given.id.clone());
        let named =
            given.zip(calls).map(|(id, call)| ToolCall { id, name: call.name, arguments: call.arguments });
        named.collect()
    }
}

impl GivenCall {
    fn delta(&mut self, call: u32, parsed: &ParsedCall) -> Option<Delta> {
        match &mut self.shown {
            None => {
                self.shown = Some((parsed.name.clone(), parsed.arguments.clone()));
                let (name, arguments) = (Some(parsed.name.clone()), parsed.arguments.clone());
                Some(Delta::CallDelta { call, id: self.id.clone(), name, arguments })
            }
            Some((name, given)) if *name == parsed.name => {
                let arguments = extend(given, &parsed.arguments)?;
                Some(Delta::CallDelta { call, id: self.id.clone(), name: None, arguments })
            }
            Some(_) => None,
        }
    }
}

/// What `now` has more than `given`, which becomes `now`.
fn extend(given: &mut String, now: &str) -> Option<String> {
    let more = now.strip_prefix(given.as_str()).filter(|more| !more.is_empty())?.to_owned();
    given.push_str(&more);
    Some(more)
}

/// The model's own name for a call, or a new one.
fn id_of(call: &ParsedCall) -> String {
    if call.id.is_empty() {
        format!("call_{:016x}", RandomState::new().hash_one(&call.name))
    } else {
        call.id.clone()
    }
}

/// `text` without the only character that the parser cannot take.
fn readable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{FFFD}").into() } else { text.into() }
}

fn parse(parser: &Parser, text: &str, progress: Progress) -> Option<Parsed> {
    let message: Value = serde_json::from_str(&parser.parse(text, progress).ok()?).ok()?;
    let calls = message.get("tool_calls").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    Some(Parsed {
        content: string(&message, "/content"),
        reasoning: string(&message, "/reasoning_content"),
        calls: calls.iter().map(parsed_call).collect(),
        whole: message.get("whole") == Some(&Value::Bool(true)),
    })
}

fn parsed_call(call: &Value) -> ParsedCall {
    ParsedCall {
        id: string(call, "/id"),
        name: string(call, "/function/name"),
        arguments: string(call, "/function/arguments"),
    }
}

fn string(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
