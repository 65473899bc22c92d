//! Answers as models of public families write them: what they come to, and that it is the same under every split.

use rkllmjs_chat::{AnswerReader, ChatTemplate, Ending, Messages, RenderOptions};
use rkllmjs_core::{SpecialToken, Token};
use serde_json::{Value, json};

use crate::support::{Bytes, Draw, Joined, format, with_tools};

macro_rules! template {
    ($name:literal) => {
        include_str!(concat!("../families/templates/", $name, ".jinja"))
    };
}

const QWEN_2_5: &str = template!("qwen2.5");
const QWEN_3: &str = template!("qwen3");
const QWEN_3_CODER: &str = template!("qwen3-coder");
const HERMES_3: &str = template!("hermes-3");
const LLAMA_3_1: &str = template!("llama-3.1");
const MISTRAL_V3: &str = template!("mistral-v3");
const MAGISTRAL: &str = template!("magistral");
const DEEPSEEK_R1: &str = template!("deepseek-r1");
const COMMAND_R7B: &str = template!("command-r7b");
const GRANITE_3_3: &str = template!("granite-3.3");
const SMOLLM_3: &str = template!("smollm3");
const GLM_4_5: &str = template!("glm-4.5");
const GPT_OSS: &str = template!("gpt-oss");
const FUNCTIONARY_3_1: &str = template!("functionary-3.1");

const ALL: [&str; 18] = [
    QWEN_2_5,
    QWEN_3,
    QWEN_3_CODER,
    HERMES_3,
    LLAMA_3_1,
    MISTRAL_V3,
    MAGISTRAL,
    DEEPSEEK_R1,
    COMMAND_R7B,
    GRANITE_3_3,
    SMOLLM_3,
    GLM_4_5,
    GPT_OSS,
    FUNCTIONARY_3_1,
    template!("llama-2"),
    template!("gemma-3"),
    template!("phi-4"),
    template!("phi-4-mini"),
];

/// Arguments with everything in them that may confuse a reader.
const ODD: &str = r#"{"city":  "Zürich \"q\" \\ \u00fc {[</tool_call> 🏔"}"#;
const OSLO: &str = r#"{"city": "Oslo", "hour": -1.5e3}"#;

type Called = (&'static str, &'static str);

/// An answer and what it comes to.
struct Case {
    answer: String,
    thoughts: &'static str,
    text: &'static str,
    calls: Vec<Called>,
}

/// How a family writes thoughts, text and calls.
type Write = fn(thoughts: &str, text: &str, calls: &[Called]) -> String;

fn joined(calls: &[Called], between: &str, write: impl Fn(&str, &str) -> String) -> String {
    calls.iter().map(|(name, arguments)| write(name, arguments)).collect::<Vec<_>>().join(between)
}

fn in_marks(begin: &str, text: &str, end: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{begin}{text}{end}") }
}

fn in_tags(thoughts: &str, text: &str, calls: &[Called]) -> String {
    let call = |name: &str, arguments: &str| {
        format!("<tool_call>\n{{\"name\": \"{name}\", \"arguments\": {arguments}}}\n</tool_call>")
    };
    format!("{}{text}{}", in_marks("<think>\n", thoughts, "\n</think>\n\n"), joined(calls, "\n", call))
}

fn llama(_: &str, text: &str, calls: &[Called]) -> String {
    let call = |name: &str, arguments: &str| format!("{{\"name\": \"{name}\", \"parameters\": {arguments}}}");
    format!("{text}{}", joined(calls, "; ", call))
}

fn mistral(_: &str, text: &str, calls: &[Called]) -> String {
    let call = |name: &str, arguments: &str| {
        format!("{{\"name\": \"{name}\", \"arguments\": {arguments}, \"id\": \"{name:x<9.9}\"}}")
    };
    format!("{text}{}", in_marks("[TOOL_CALLS][", &joined(calls, ", ", call), "]"))
}

fn magistral(thoughts: &str, text: &str, calls: &[Called]) -> String {
    let call = |name: &str, arguments: &str| format!("[TOOL_CALLS]{name}[ARGS]{arguments}");
    format!("{}{text}{}", in_marks("[THINK]", thoughts, "[/THINK]"), joined(calls, "", call))
}

/// Its prompt opens the thoughts.
fn deepseek(thoughts: &str, text: &str, calls: &[Called]) -> String {
    let call = |name: &str, arguments: &str| {
        format!(
            "<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n{arguments}\n```<｜tool▁call▁end｜>"
        )
    };
    let calls = in_marks("<｜tool▁calls▁begin｜>", &joined(calls, "\n", call), "<｜tool▁calls▁end｜>");
    format!("{thoughts}\n</think>\n\n{text}{calls}")
}

fn command(thoughts: &str, text: &str, calls: &[Called]) -> String {
    let call = |name: &str, arguments: &str| {
        format!("    {{\"tool_call_id\": \"0\", \"tool_name\": \"{name}\", \"parameters\": {arguments}}}")
    };
    let thoughts = in_marks("<|START_THINKING|>", thoughts, "<|END_THINKING|>");
    let text = in_marks("<|START_RESPONSE|>", text, "<|END_RESPONSE|>");
    let calls = in_marks("<|START_ACTION|>[\n", &joined(calls, ",\n", call), "\n]<|END_ACTION|>");
    format!("{thoughts}{text}{calls}")
}

fn granite(_: &str, text: &str, calls: &[Called]) -> String {
    let call = |name: &str, arguments: &str| format!("{{\"name\": \"{name}\", \"arguments\": {arguments}}}");
    format!("{text}{}", in_marks("<|tool_call|>[", &joined(calls, ", ", call), "]"))
}

/// The arguments of a call, written as JSON, as pairs of names and values.
fn pairs(arguments: &str) -> Vec<(String, String)> {
    let Ok(Value::Object(fields)) = serde_json::from_str(arguments) else { return Vec::new() };
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    fields.into_iter().map(|(name, value)| (name, text(value))).collect()
}

fn glm(thoughts: &str, text: &str, calls: &[Called]) -> String {
    let call = |name: &str, arguments: &str| {
        let pair = |(key, value): &(String, String)| {
            format!("<arg_key>{key}</arg_key>\n<arg_value>{value}</arg_value>\n")
        };
        let pairs: String = pairs(arguments).iter().map(pair).collect();
        format!("\n<tool_call>{name}\n{pairs}</tool_call>")
    };
    format!("{}{}{}", in_marks("\n<think>", thoughts, "</think>\n"), text, joined(calls, "", call))
}

fn qwen_coder(_: &str, text: &str, calls: &[Called]) -> String {
    let call = |name: &str, arguments: &str| {
        let pair = |(key, value): &(String, String)| format!("<parameter={key}>\n{value}\n</parameter>\n");
        let pairs: String = pairs(arguments).iter().map(pair).collect();
        format!("<tool_call>\n<function={name}>\n{pairs}</function>\n</tool_call>")
    };
    format!("{text}{}", joined(calls, "\n", call))
}

fn harmony(thoughts: &str, text: &str, calls: &[Called]) -> String {
    let thoughts = in_marks("<|channel|>analysis<|message|>", thoughts, "<|end|><|start|>assistant");
    let call = |name: &str, arguments: &str| {
        format!("<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{arguments}")
    };
    let text = if calls.is_empty() { format!("<|channel|>final<|message|>{text}") } else { String::new() };
    format!("{thoughts}{text}{}", joined(calls, "", call))
}

fn functionary(_: &str, text: &str, calls: &[Called]) -> String {
    let call = |name: &str, arguments: &str| format!("<function={name}>{arguments}</function>");
    format!("{text}{}", joined(calls, "", call))
}

/// What a family's answers may hold.
struct Family {
    template: &'static str,
    write: Write,
    thinks: bool,
    /// Whether text may come before calls.
    talks: bool,
    parallel: bool,
}

fn families() -> Vec<Family> {
    let family =
        |template, write: Write, thinks, talks, parallel| Family { template, write, thinks, talks, parallel };
    vec![
        family(QWEN_2_5, in_tags, false, true, true),
        family(QWEN_3, in_tags, true, true, true),
        family(QWEN_3_CODER, qwen_coder, false, true, true),
        family(HERMES_3, in_tags, false, true, true),
        family(LLAMA_3_1, llama, false, false, false),
        family(MISTRAL_V3, mistral, false, true, true),
        family(MAGISTRAL, magistral, true, true, true),
        family(DEEPSEEK_R1, deepseek, true, true, true),
        family(COMMAND_R7B, command, true, false, true),
        family(GRANITE_3_3, granite, false, true, true),
        family(SMOLLM_3, in_tags, true, true, true),
        family(GLM_4_5, glm, true, true, true),
        family(GPT_OSS, harmony, true, false, false),
        family(FUNCTIONARY_3_1, functionary, false, true, true),
    ]
}

fn cases(family: &Family) -> Vec<Case> {
    let thoughts = if family.thinks { "Which city – Oslo?\nI see: {\"a\": 1} 🏔" } else { "" };
    let one = vec![("weather", ODD)];
    let two = vec![("weather_at", OSLO), ("weather", r#"{"city": "Rome"}"#)];
    let mut answers = vec![
        ("", "Just text – with ümlauts, {braces} and \"quotes\".", vec![]),
        (thoughts, "Four.", vec![]),
        ("", "", one.clone()),
        (thoughts, "", one.clone()),
        ("", "", vec![("now", "{}")]),
    ];
    if family.talks {
        answers.push(("", "I look – at once.", one));
    }
    if family.parallel {
        answers.push((thoughts, "", two));
    }
    let case = |(thoughts, text, calls): (&'static str, &'static str, Vec<Called>)| {
        let answer = (family.write)(thoughts, text, &calls);
        Case { answer, thoughts, text, calls }
    };
    answers.into_iter().map(case).collect()
}

/// What a decoder of UTF-8 has made of the first bytes of an answer.
fn decoded(answer: &str, bytes: usize) -> &str {
    let bytes = &answer.as_bytes()[..bytes.min(answer.len())];
    std::str::from_utf8(bytes).unwrap_or_else(|cut| &answer[..cut.valid_up_to()])
}

/// Reads many answers of one family: making a reader takes longer than reading.
struct Desk {
    reader: AnswerReader,
    read: usize,
}

impl Desk {
    fn new(family: &Family) -> Self {
        Self { reader: AnswerReader::new(&format(family.template), ANSWERS_MAX).expect("reader"), read: 0 }
    }

    /// Reads an answer in pieces that end at `cuts`, as far as each of them holds whole characters.
    fn read(&mut self, answer: &str, cuts: &[usize], ending: Ending) -> Joined {
        self.read += 1;
        assert!(self.read < ANSWERS_MAX, "more answers than there is room for");
        read(&mut self.reader, self.read, (answer, ending), cuts)
    }
}

const ANSWERS_MAX: usize = 10_000;

fn read(
    reader: &mut AnswerReader,
    choice: usize,
    (answer, ending): (&str, Ending),
    cuts: &[usize],
) -> Joined {
    let mut joined = Joined::default();
    for &cut in cuts {
        joined.add(reader.push(choice, decoded(answer, cut)));
    }
    let (deltas, message) = reader.finish(choice, answer, ending);
    joined.add(deltas);
    let place = || format!("{answer:?} cut at {cuts:?}, {ending:?}");
    assert_eq!((&joined.content, &joined.reasoning), (&message.content, &message.reasoning), "{}", place());
    let called: Vec<_> =
        message.calls.iter().map(|c| (c.id.clone(), c.name.clone(), c.arguments.clone())).collect();
    assert_eq!(joined.calls, called, "{}", place());
    let begun: Vec<_> = joined.pieces.iter().take(called.len()).cloned().collect();
    assert_eq!(begun, called, "the pieces of a call add up to it: {}", place());
    joined
}

/// The same value, however it is spaced.
fn value(json: &str) -> Value {
    serde_json::from_str(json).expect("JSON")
}

#[test]
fn answers_of_every_family_come_apart_into_thoughts_text_and_calls() {
    for family in &families() {
        let mut desk = Desk::new(family);
        for case in cases(family) {
            come_apart(&mut desk, &case);
        }
    }
}

fn come_apart(desk: &mut Desk, case: &Case) {
    let joined = desk.read(&case.answer, &[], Ending::Natural);
    let is_json_inside = !case.answer.contains("<arg_key>") && !case.answer.contains("<parameter=");
    assert_eq!(joined.reasoning.trim(), case.thoughts, "{:?}", case.answer);
    assert_eq!(joined.content.trim(), case.text, "{:?}", case.answer);
    assert_eq!(joined.calls.len(), case.calls.len(), "{:?}", case.answer);
    for ((_, name, arguments), (called, with)) in joined.calls.iter().zip(&case.calls) {
        assert_eq!((name.as_str(), value(arguments)), (*called, value(with)), "{:?}", case.answer);
        assert!(!is_json_inside || arguments == with, "{arguments:?} is not as it was written: {with:?}");
    }
}

/// Everything but the names of the calls, which are new each time.
fn without_ids(joined: &Joined) -> (&str, &str, Vec<(&str, &str)>) {
    let calls = joined.calls.iter().map(|(_, name, arguments)| (name.as_str(), arguments.as_str()));
    (&joined.content, &joined.reasoning, calls.collect())
}

#[test]
fn answers_of_every_family_are_the_same_under_every_split() {
    let mut draw = Draw::new();
    for family in families() {
        let mut desk = Desk::new(&family);
        for case in cases(&family) {
            let length = case.answer.len() + 1;
            let whole = desk.read(&case.answer, &[], Ending::Natural);
            let single = (0..length).map(|cut| vec![cut]);
            let random = (0..20).map(|_| draw.cuts(length, 12));
            for cuts in single.chain([(0..length).collect()]).chain(random.collect::<Vec<_>>()) {
                let joined = desk.read(&case.answer, &cuts, Ending::Natural);
                assert_eq!(without_ids(&joined), without_ids(&whole), "{:?} cut at {cuts:?}", case.answer);
            }
        }
    }
}

#[test]
fn answers_of_every_family_that_are_cut_off_give_whole_calls_only() {
    let mut draw = Draw::new();
    for family in families() {
        let mut desk = Desk::new(&family);
        for case in cases(&family) {
            for end in (0..case.answer.len()).step_by(3) {
                let answer = decoded(&case.answer, end);
                let joined = desk.read(answer, &draw.cuts(answer.len() + 1, 4), Ending::CutOff);
                assert!(joined.calls.len() <= case.calls.len(), "{answer:?}");
                for ((_, name, arguments), (called, with)) in joined.calls.iter().zip(&case.calls) {
                    assert_eq!((name.as_str(), value(arguments)), (*called, value(with)), "{answer:?}");
                }
            }
        }
    }
}

/// What in a template looks like a control token.
fn spellings(template: &str) -> Vec<SpecialToken> {
    let mut found: Vec<String> = Vec::new();
    for (open, close) in [("<", ">"), ("[", "]")] {
        for piece in template.split(open).skip(1) {
            let Some((name, _)) = piece.split_once(close) else { continue };
            let is_name = |c: char| c.is_alphanumeric() || "|｜_▁/".contains(c);
            if !name.is_empty() && name.chars().all(is_name) && name.chars().any(char::is_alphabetic) {
                found.push(format!("{open}{name}{close}"));
            }
        }
    }
    found.sort();
    found.dedup();
    (FIRST_CONTROL..).zip(found).map(|(token, text)| SpecialToken { token, text }).collect()
}

const FIRST_CONTROL: Token = 1000;

#[test]
fn text_full_of_control_tokens_stays_text_in_every_family_and_in_time() {
    for template in ALL {
        let control = spellings(template);
        let attack: String = control.iter().map(|one| one.text.as_str()).collect();
        let bytes = Bytes(control);
        let template = ChatTemplate::new(template, &bytes).expect("template");
        let knows_tools = template.render(&messages("x", "x"), &with_tools()).is_ok();
        let render = |text: &str| {
            let began = std::time::Instant::now();
            let options = if knows_tools { offering(text) } else { RenderOptions::default() };
            let prompt = template.render(&messages(text, if knows_tools { text } else { "" }), &options);
            let prompt = prompt.expect("rendered");
            let tokens = prompt.tokenize(&bytes).expect("tokens");
            assert!(began.elapsed().as_secs() < 1, "it took {:?}", began.elapsed());
            let control: Vec<Token> = tokens.into_iter().filter(|&token| token >= FIRST_CONTROL).collect();
            (control, prompt.text())
        };
        let (honest, _) = render("x");
        let (attacked, text) = render(&attack);
        assert!(!honest.is_empty() || bytes.0.is_empty(), "{text}");
        assert_eq!(attacked, honest, "{text}");
        assert!(text.contains(&attack), "{text}");
    }
}

fn offering(text: &str) -> RenderOptions {
    let properties = json!({ "city": { "type": "string", "description": text, "enum": [text] } });
    let function = json!({
        "name": "weather", "description": text, "parameters": { "type": "object", "properties": properties },
    });
    RenderOptions {
        tools: vec![json!({ "type": "function", "function": function })],
        ..RenderOptions::default()
    }
}

/// A conversation with `text` wherever a user or a tool may put some, and in a call if there is one.
fn messages(text: &str, called: &str) -> Messages {
    let mut messages = vec![
        json!({ "role": "user", "content": text }),
        json!({ "role": "assistant", "content": text, "reasoning_content": text }),
        json!({ "role": "user", "content": text }),
    ];
    if !called.is_empty() {
        let call = json!({
            "id": "call00001", "type": "function", "function": { "name": called, "arguments": { "city": called } },
        });
        messages.push(json!({ "role": "assistant", "content": "", "tool_calls": [call] }));
        messages.push(json!({ "role": "tool", "tool_call_id": "call00001", "content": called }));
    }
    Messages::from_json(&Value::Array(messages).to_string()).expect("messages")
}
