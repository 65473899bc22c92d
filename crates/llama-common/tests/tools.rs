//! Templates and the parsers that belong to them, on the bundled model's own template.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

use std::time::Duration;

use rkllmjs_llama_common::{Answers, ChatError, Parser, Progress, Templates, ThreadClock};
use serde_json::{Value, json};

fn template() -> Templates {
    let source = include_str!("../../../models/tiny/template.jinja");
    Templates::new(source.trim_end(), "", "<|im_end|>").expect("template")
}

fn parse(answer: &str, progress: Progress, parameters: &str) -> Result<String, ChatError> {
    Parser::new(parameters)?.parse(answer, progress)
}

fn weather() -> Value {
    json!([{ "type": "function", "function": {
        "name": "weather",
        "description": "the weather of a city",
        "parameters": { "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] },
    } }])
}

#[test]
fn a_request_with_tools_renders_and_its_answer_parses_back_into_a_call() {
    let request =
        json!({ "messages": [{ "role": "user", "content": "Weather in Paris?" }], "tools": weather() });
    let rendered: Value =
        serde_json::from_str(&template().apply(&request.to_string(), Answers::Calls).expect("rendered"))
            .expect("json");
    let prompt = rendered["prompt"].as_str().expect("prompt");
    assert!(
        prompt.contains(r#"{"name": "weather""#) && prompt.ends_with("<|im_start|>assistant\n"),
        "{prompt}"
    );
    let answer = "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>";
    let message: Value =
        serde_json::from_str(&parse(answer, Progress::Final, &rendered.to_string()).expect("parsed"))
            .expect("json");
    assert_eq!(message.pointer("/tool_calls/0/function/name"), Some(&json!("weather")));
    let arguments =
        message.pointer("/tool_calls/0/function/arguments").and_then(Value::as_str).expect("arguments");
    assert_eq!(serde_json::from_str::<Value>(arguments).expect("json"), json!({ "city": "Paris" }));
}

#[test]
fn plain_answers_parse_as_content() {
    let request = json!({ "messages": [{ "role": "user", "content": "Hi" }] });
    let rendered = template().apply(&request.to_string(), Answers::Calls).expect("rendered");
    let message: Value =
        serde_json::from_str(&parse("Hello!", Progress::Final, &rendered).expect("parsed")).expect("json");
    assert_eq!(message["content"], "Hello!");
}

#[test]
fn failures_come_back_as_messages() {
    assert!(matches!(Templates::new("", "", ""), Err(ChatError::Failed(_))));
    assert!(matches!(Templates::new("{% for %}", "", ""), Err(ChatError::Failed(_))));
    assert!(matches!(template().apply("{", Answers::Plain), Err(ChatError::Failed(_))));
    assert!(matches!(template().apply("a\0b", Answers::Plain), Err(ChatError::Failed(_))));
    assert!(matches!(parse("x", Progress::Final, "{}"), Err(ChatError::Failed(_))));
}

#[test]
fn a_template_that_grows_without_end_passes_a_limit() {
    let source =
        "{% set ns = namespace(a='aaaa') %}{% for i in range(60) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}";
    let bomb = Templates::new(source, "", "");
    let passed = match bomb {
        Ok(bomb) => {
            bomb.apply(r#"{"messages":[{"role":"user","content":"Hi"}]}"#, Answers::Plain).expect_err("limit")
        }
        Err(error) => error,
    };
    assert_eq!(passed, ChatError::PassedLimit("takes too much memory".to_owned()));
}

#[test]
fn replacements_that_grow_pass_a_limit_within_a_second() {
    let source = "{% set ns = namespace(s='xx') %}{% for i in range(40) %}\
                  {% set ns.s = ns.s | replace('x', 'xx') %}{% endfor %}{{ ns.s | length }}";
    let clock = ThreadClock::of_this_thread().expect("a clock");
    let before = clock.used().expect("time");
    let bomb = Templates::new(source, "", "")
        .and_then(|bomb| bomb.apply(r#"{"messages":[{"role":"user","content":"Hi"}]}"#, Answers::Calls));
    assert!(matches!(bomb, Err(ChatError::PassedLimit(_))), "{bomb:?}");
    let took = clock.used().expect("time").saturating_sub(before);
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_template_replaces_every_match_once() {
    for (filter, text) in [
        ("replace('-', '+')", "a+b++c"),
        ("replace('-', '')", "abc"),
        ("replace('-', '--')", "a--b----c"),
        ("replace('b', 'b')", "a-b--c"),
        ("replace('a-b--c', '')", ""),
        ("replace('?', '!')", "a-b--c"),
    ] {
        let template = Templates::new(&format!("{{{{ 'a-b--c' | {filter} }}}}"), "", "").expect("template");
        let request = r#"{"messages":[{"role":"user","content":"Hi"}]}"#;
        let rendered = template.apply(request, Answers::Plain).expect("rendered");
        let rendered: Value = serde_json::from_str(&rendered).expect("json");
        assert_eq!(rendered["prompt"], text, "{filter}");
    }
}

fn tools(count: usize) -> Vec<Value> {
    let parameters = json!({
        "type": "object",
        "properties": {
            "a": { "type": "string" },
            "b": { "type": "array", "items": { "type": "number" } },
            "c": { "enum": ["x", "y"] },
        },
        "required": ["a"],
    });
    let tool = |i| json!({ "type": "function", "function": { "name": format!("tool_{i}"), "parameters": parameters } });
    (0..count).map(tool).collect()
}

#[test]
fn as_many_tools_as_are_allowed_make_a_parser() {
    let request = json!({ "messages": [{ "role": "user", "content": "Hi" }], "tools": tools(128) });
    let rendered = template().apply(&request.to_string(), Answers::Calls).expect("rendered");
    let parser = Parser::new(&rendered).expect("parser");
    let answer = "<tool_call>\n{\"name\": \"tool_127\", \"arguments\": {\"a\": \"\"}}\n</tool_call>";
    let message = parser.parse(answer, Progress::Final).expect("parsed");
    assert!(message.contains("tool_127") && message.contains(r#""whole":true"#), "{message}");
}

/// The JSON library allocates where it frees, and a throw from there would end the process.
#[test]
fn limits_that_are_passed_while_json_is_freed_are_errors() {
    for count in [20, 40, 60, 80, 100, 120, 128] {
        let request = json!({ "messages": [{ "role": "user", "content": "Hi" }], "tools": tools(count) });
        let rendered = template().apply(&request.to_string(), Answers::Thoughts);
        if let Err(error) = rendered {
            assert!(matches!(error, ChatError::PassedLimit(_)), "{error}");
        }
    }
}

#[test]
fn an_answer_that_breaks_off_is_not_whole() {
    let request = json!({ "messages": [{ "role": "user", "content": "Hi" }], "tools": weather() });
    let rendered = template().apply(&request.to_string(), Answers::Calls).expect("rendered");
    let parser = Parser::new(&rendered).expect("parser");
    let whole = |answer: &str| -> Value {
        let message: Value =
            serde_json::from_str(&parser.parse(answer, Progress::Final).expect("parsed")).expect("json");
        message["whole"].clone()
    };
    let call = "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>";
    assert_eq!(whole(call), json!(true));
    for end in 40..call.len() {
        assert_eq!(whole(&call[..end]), json!(false), "{}", &call[..end]);
    }
}

/// Nothing of this allocates on its way down.
#[test]
fn values_that_hold_themselves_are_an_error_and_not_the_end() {
    let sources = [
        "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns | tojson }}",
        "{% set l = [] %}{% set _ = l.append(l) %}{{ l | tojson }}",
        "{% set l = [] %}{% set _ = l.append(l) %}{{ l | tojson(indent=2) }}",
        "{% set l = [] %}{% set m = [l] %}{% set _ = l.append(m) %}{{ l | string }}",
        "{% set l = [] %}{% set _ = l.append({'a': l}) %}{{ l ~ 'x' }}",
    ];
    for source in sources {
        let rendered = Templates::new(source, "", "").and_then(|template| {
            template.apply(r#"{"messages":[{"role":"user","content":"Hi"}]}"#, Answers::Plain)
        });
        let passed = ChatError::PassedLimit("nests or calls itself too deep".to_owned());
        assert_eq!(rendered.expect_err(source), passed, "{source}");
    }
}
