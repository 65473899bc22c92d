//! Templates and the parsers that belong to them, on the bundled model's own template.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

use rkllmjs_llama_common::{ChatError, Templates, parse};
use serde_json::{Value, json};

fn template() -> Templates {
    let source = include_str!("../../../models/tiny/template.jinja");
    Templates::new(source.trim_end(), "", "<|im_end|>").expect("template")
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
        serde_json::from_str(&template().apply(&request.to_string()).expect("rendered")).expect("json");
    let prompt = rendered["prompt"].as_str().expect("prompt");
    assert!(
        prompt.contains(r#"{"name": "weather""#) && prompt.ends_with("<|im_start|>assistant\n"),
        "{prompt}"
    );
    let answer = "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>";
    let message: Value =
        serde_json::from_str(&parse(answer, false, &rendered.to_string()).expect("parsed")).expect("json");
    assert_eq!(message.pointer("/tool_calls/0/function/name"), Some(&json!("weather")));
    let arguments =
        message.pointer("/tool_calls/0/function/arguments").and_then(Value::as_str).expect("arguments");
    assert_eq!(serde_json::from_str::<Value>(arguments).expect("json"), json!({ "city": "Paris" }));
}

#[test]
fn plain_answers_parse_as_content() {
    let request = json!({ "messages": [{ "role": "user", "content": "Hi" }] });
    let rendered = template().apply(&request.to_string()).expect("rendered");
    let message: Value =
        serde_json::from_str(&parse("Hello!", false, &rendered).expect("parsed")).expect("json");
    assert_eq!(message["content"], "Hello!");
}

#[test]
fn failures_come_back_as_messages() {
    assert!(matches!(Templates::new("", "", ""), Err(ChatError::Failed(_))));
    assert!(matches!(Templates::new("{% for %}", "", ""), Err(ChatError::Failed(_))));
    assert!(matches!(template().apply("{"), Err(ChatError::Failed(_))));
    assert!(matches!(template().apply("a\0b"), Err(ChatError::Failed(_))));
    assert!(matches!(parse("x", false, "{}"), Err(ChatError::Failed(_))));
}

#[test]
fn a_template_that_grows_without_end_passes_a_limit() {
    let source =
        "{% set ns = namespace(a='aaaa') %}{% for i in range(60) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}";
    let bomb = Templates::new(source, "", "");
    let passed = match bomb {
        Ok(bomb) => bomb.apply(r#"{"messages":[{"role":"user","content":"Hi"}]}"#).expect_err("limit"),
        Err(error) => error,
    };
    assert_eq!(passed, ChatError::PassedLimit("takes too much memory".to_owned()));
}
