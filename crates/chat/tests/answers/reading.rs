//! What an answer comes to, by example.

use rkllmjs_chat::{AnswerReader, ChatTemplate, Ending, Messages, RenderOptions, ToolChoice};
use rkllmjs_core::ErrorCode;
use serde_json::json;

use crate::support::{
    Bytes, PLAIN, THINKING, TINY, call, format, read, render, tool, try_render, with_tools,
};

const ODD: &str = r#"{"city":  "Zürich \"q\" \\ \u00fc {[</tool_call> 🏔"}"#;
/// The tool and the arguments of a call.
type Called = (&'static str, &'static str);

/// Answers, and the text and the calls they hold.
fn answers() -> Vec<(String, &'static str, Vec<Called>)> {
    let oslo = r#"{"city": "Oslo", "hour": -1.5e3}"#;
    vec![
        ("Just text – with ümlauts.".to_owned(), "Just text – with ümlauts.", vec![]),
        (call("weather", ODD), "", vec![("weather", ODD)]),
        (call("weather_at", oslo), "", vec![("weather_at", oslo)]),
        (call("now", "{}"), "", vec![("now", "{}")]),
        (format!("Let me see. {}", call("weather", ODD)), "Let me see. ", vec![("weather", ODD)]),
        (
            format!("{}\n{}", call("weather", ODD), call("weather_at", oslo)),
            "",
            vec![("weather", ODD), ("weather_at", oslo)],
        ),
    ]
}

#[test]
fn streamed_pieces_add_up_to_the_message_under_every_cut() {
    let format = format(TINY);
    for (answer, content, calls) in answers() {
        let all: Vec<usize> = (0..answer.len()).collect();
        let mut ways: Vec<Vec<usize>> = all.iter().map(|&cut| vec![cut]).collect();
        ways.extend([vec![], all.clone(), all.iter().copied().step_by(7).collect()]);
        for cuts in ways {
            let (joined, message) = read(&format, &answer, &cuts, Ending::Natural);
            let of = |list: &[(String, String, String)]| -> Vec<(String, String)> {
                list.iter().map(|(_, name, arguments)| (name.clone(), arguments.clone())).collect()
            };
            let expected: Vec<(String, String)> =
                calls.iter().map(|&(name, arguments)| (name.to_owned(), arguments.to_owned())).collect();
            assert_eq!(joined.content, content, "{answer:?} cut at {cuts:?}");
            assert_eq!(of(&joined.calls), expected, "{answer:?} cut at {cuts:?}");
            assert_eq!(joined.pieces, joined.calls, "{answer:?} cut at {cuts:?}");
            assert_eq!(message.content, joined.content);
            assert_eq!(message.calls.len(), calls.len());
        }
    }
}

#[test]
fn thoughts_come_apart_under_every_cut() {
    let answer = format!("<think>\nWhich city – Oslo?\n</think>\n\nI look.{}", call("weather", ODD));
    let all: Vec<usize> = (0..answer.len()).collect();
    let format = format(THINKING);
    for cuts in all.iter().map(|&cut| vec![cut]).chain([all.clone()]) {
        let (joined, message) = read(&format, &answer, &cuts, Ending::Natural);
        assert_eq!(joined.reasoning.trim(), "Which city – Oslo?", "cut at {cuts:?}");
        assert_eq!(joined.content.trim(), "I look.", "cut at {cuts:?}");
        assert_eq!(joined.pieces, joined.calls);
        assert_eq!((message.reasoning, message.content), (joined.reasoning, joined.content));
    }
}

#[test]
fn a_call_that_was_cut_off_is_no_call() {
    let format = format(TINY);
    let oslo = r#"{"city": "Oslo"}"#;
    let answer = format!("{}\n{}", call("weather", ODD), call("weather_at", oslo));
    for end in (0..answer.len()).filter(|&end| answer.is_char_boundary(end)) {
        let (joined, message) = read(&format, &answer[..end], &[end / 2], Ending::CutOff);
        let is_there = |arguments: &&str| answer[..end].contains(arguments);
        let whole = [ODD, oslo].into_iter().filter(is_there).count();
        assert_eq!(message.calls.len(), whole, "cut off at {end}: {:?}", &answer[..end]);
        assert_eq!(joined.calls.len(), whole);
    }
}

#[test]
fn an_answer_without_proper_form_is_text() {
    for answer in [
        format!("Well. {}", "<tool_call>\n"),
        call("wether", "{}"),
        "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Os".to_owned(),
        "<tool_call>\n".to_owned(),
        "<tool_call>\nOslo\n</tool_call>".to_owned(),
        format!("{} and so on", call("weather", "{}")),
    ] {
        let (joined, message) = read(&format(TINY), &answer, &[answer.len() - 3], Ending::Natural);
        assert!(message.calls.is_empty() && joined.calls.is_empty(), "{answer:?}: {message:?}");
        assert_eq!(message.content, answer);
        assert_eq!(joined.content, answer, "what was held back of it comes at the end");
    }
}

#[test]
fn a_missing_mark_at_the_end_of_a_call_is_forgiven() {
    let answer = "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Oslo\"}}";
    let (_, message) = read(&format(TINY), answer, &[], Ending::Natural);
    assert_eq!(message.calls.len(), 1);
}

#[test]
fn a_nul_character_in_an_answer_is_no_reason_to_lose_it() {
    let (joined, message) = read(&format(TINY), "a\0b", &[2], Ending::Natural);
    assert_eq!((joined.content.as_str(), message.content.as_str()), ("a\u{FFFD}b", "a\u{FFFD}b"));
}

#[test]
fn calls_have_different_names() {
    let twice = format!("{}\n{}", call("now", "{}"), call("now", "{}"));
    let (_, first) = read(&format(TINY), &twice, &[], Ending::Natural);
    let (_, second) = read(&format(TINY), &twice, &[], Ending::Natural);
    let ids: Vec<&str> = first.calls.iter().chain(&second.calls).map(|call| call.id.as_str()).collect();
    assert_eq!(ids.len(), 4);
    assert!(
        ids.iter().all(|id| id.starts_with("call_") && ids.iter().filter(|other| *other == id).count() == 1)
    );
}

#[test]
fn only_tools_and_thinking_templates_make_answers_more_than_text() {
    let plain = RenderOptions::default();
    assert_eq!(render(TINY, &plain).format(), None);
    assert!(render(THINKING, &plain).format().is_some());
    let inline = RenderOptions::from_json(r#"{"reasoning":"inline"}"#).expect("options");
    assert_eq!(render(THINKING, &inline).format(), None);
    assert!(render(TINY, &with_tools()).format().is_some());
}

#[test]
fn thinking_can_be_turned_off_and_calls_are_still_read() {
    let off = RenderOptions::from_json(r#"{"reasoning":"off"}"#).expect("options");
    let prompt = render(THINKING, &off);
    assert!(prompt.text().ends_with("<think>\n\n</think>\n\n"), "{}", prompt.text());
    let mut reader = AnswerReader::new(prompt.format().expect("format"), 1).expect("reader");
    let (_, message) = reader.finish(0, "Hello", Ending::Natural);
    assert_eq!((message.content.as_str(), message.reasoning.as_str()), ("Hello", ""));
}

#[test]
fn tools_that_must_not_be_called_are_shown_and_their_calls_are_text() {
    let none = RenderOptions { tool_choice: ToolChoice::None, ..with_tools() };
    let prompt = render(TINY, &none);
    assert_eq!(prompt.text(), render(TINY, &with_tools()).text());
    let mut reader = AnswerReader::new(prompt.format().expect("format"), 1).expect("reader");
    let (_, message) = reader.finish(0, &call("now", "{}"), Ending::Natural);
    assert!(message.calls.is_empty());
    assert_eq!(message.content, call("now", "{}"));
}

#[test]
fn a_demand_has_a_grammar_from_the_start_and_a_choice_one_that_waits() {
    let grammar = |choice| {
        let options = RenderOptions { tool_choice: choice, ..with_tools() };
        render(TINY, &options).format().and_then(|format| format.grammar.clone()).expect("grammar")
    };
    let free = grammar(ToolChoice::Auto);
    assert_eq!(
        (free.triggers.as_slice(), free.prefix.as_str()),
        (["<tool_call>\n".to_owned()].as_slice(), "")
    );
    let required = grammar(ToolChoice::Required);
    assert!(required.triggers.is_empty() && required.text.contains("weather_at"));
    let root = required.text.lines().find(|line| line.starts_with("root ::= ")).expect("root");
    assert_eq!(root, r#"root ::= "<|im_start|>assistant\n" space tool-calls"#, "no text comes first");
    let named = grammar(ToolChoice::Named("now".to_owned()));
    assert!(named.text.contains("now") && !named.text.contains("weather"), "{}", named.text);
}

#[test]
fn a_demand_leaves_room_for_thoughts() {
    let options = RenderOptions { tool_choice: ToolChoice::Required, ..with_tools() };
    let grammar =
        render(THINKING, &options).format().and_then(|format| format.grammar.clone()).expect("grammar");
    let root = grammar.text.lines().find(|line| line.starts_with("root ::= ")).expect("root");
    assert!(root.contains("<think>") && root.ends_with(")? tool-calls"), "{root}");
}

#[test]
fn a_call_cannot_be_demanded_of_a_template_that_does_not_say_how_calls_are_written() {
    let one_way = "{%- if tools %}{{- tools | tojson + '\n' }}{%- endif %}{%- for m in messages %}{{- m.role + ': ' + \
m.content + '\n' }}{%- endfor %}";
    assert!(render(one_way, &with_tools()).format().is_some(), "tools are shown");
    let options = RenderOptions { tool_choice: ToolChoice::Required, ..with_tools() };
    let refused = try_render(one_way, &options).expect_err("no grammar");
    assert_eq!((refused.code, refused.option), (ErrorCode::Unsupported, Some("tool_choice")), "{refused:?}");
}

#[test]
fn spellings_of_control_tokens_in_tools_reach_neither_prompt_nor_lose_their_place_in_calls() {
    let parameters = json!({ "type": "object", "properties": { "<|im_end|>": { "enum": ["<|im_end|>"] } } });
    let options = RenderOptions { tools: vec![tool("odd", &parameters)], ..RenderOptions::default() };
    let prompt = render(TINY, &options);
    let tokens = prompt.tokenize(&Bytes(Vec::new())).expect("tokens");
    assert_eq!(tokens.len(), prompt.text().len(), "no mark is left");
    let grammar = prompt.format().and_then(|format| format.grammar.clone()).expect("grammar");
    assert!(grammar.text.contains("<|im_end|>"), "{}", grammar.text);
}

#[test]
fn a_template_without_tools_and_a_schema_without_sense_are_refused_by_name() {
    let refused = try_render(PLAIN, &with_tools()).expect_err("no tools");
    assert_eq!((refused.code, refused.option), (ErrorCode::Unsupported, Some("tools")));
    let lost = json!({ "type": "object", "properties": { "a": { "$ref": "#/nowhere" } } });
    let options = RenderOptions { tools: vec![tool("a", &lost)], ..RenderOptions::default() };
    let refused = try_render(TINY, &options).expect_err("no such definition");
    assert_eq!((refused.code, refused.option), (ErrorCode::InvalidRequest, Some("tools")), "{refused:?}");
}

#[test]
fn an_answer_of_thousands_of_tokens_is_read_in_milliseconds() {
    let mut reader = AnswerReader::new(&format(TINY), 1).expect("reader");
    let text = "The quick brown fox jumps. ".repeat(600);
    let began = std::time::Instant::now();
    reader.push(0, &text);
    let took = began.elapsed();
    assert!(took.as_millis() < 100, "{} bytes took {took:?}", text.len());
}

/// What comes of `written` where the conversation has begun the answer with `message`.
fn go_on(template: &str, message: &serde_json::Value, written: &str) -> (String, String) {
    let messages = Messages::from_json(&json!([{ "role": "user", "content": "Hi" }, message]).to_string());
    let options = RenderOptions { continue_final_message: true, ..with_tools() };
    let template = ChatTemplate::new(template.trim_end(), &Bytes(Vec::new())).expect("template");
    let prompt = template.render(&messages.expect("messages"), &options).expect("rendered");
    let all: Vec<usize> = (0..written.len()).collect();
    let (joined, answer) = read(prompt.format().expect("format"), written, &all, Ending::Natural);
    assert_eq!((&joined.content, &joined.reasoning), (&answer.content, &answer.reasoning));
    (answer.reasoning, answer.content)
}

#[test]
fn an_answer_that_was_begun_keeps_the_space_it_goes_on_with() {
    let text = json!({ "role": "assistant", "content": "The" });
    let thoughts = json!({ "role": "assistant", "content": "", "reasoning_content": "Well" });
    let pair = |reasoning: &str, content: &str| (reasoning.to_owned(), content.to_owned());
    for template in [TINY, THINKING] {
        assert_eq!(go_on(template, &text, " \n capital – so"), pair("", " \n capital – so"));
        assert_eq!(go_on(template, &text, "n what?"), pair("", "n what?"));
    }
    assert_eq!(go_on(THINKING, &thoughts, " then.\n</think>\n\nOslo."), pair(" then.\n", "Oslo."));
}
