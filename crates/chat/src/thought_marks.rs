use rkllmjs_core::ThoughtStart;
use serde_json::Value;

/// How thoughts are told from an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThoughtMarks {
    /// What they begin with; empty where only the prompt can open them.
    pub begin: String,
    /// What ends them: any of these, of which there is at least one.
    pub ends: Vec<String>,
    /// Whether the prompt has opened them.
    pub start: ThoughtStart,
}

impl ThoughtMarks {
    /// Takes what rendering gave, if it says how thoughts end.
    pub(crate) fn from_rendered(rendered: &Value) -> Option<Self> {
        let text = |name: &str| rendered.get(name).and_then(Value::as_str).unwrap_or_default();
        let begin = text("thoughts_begin").to_owned();
        let ends =
            rendered.get("thoughts_end").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let ends: Vec<String> = ends.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        if ends.is_empty() || ends.iter().any(String::is_empty) {
            return None;
        }
        let start = start(text("generation_prompt"), &begin, &ends);
        Some(Self { begin, ends, start })
    }
}

/// Where an answer begins that follows `prompt`.
fn start(prompt: &str, begin: &str, ends: &[String]) -> ThoughtStart {
    let last_end = ends.iter().filter_map(|end| prompt.rfind(end.as_str())).max();
    // Thoughts without a mark at their beginning are there until they end.
    let last_begin = if begin.is_empty() { Some(0) } else { prompt.rfind(begin) };
    if last_begin > last_end { ThoughtStart::Inside } else { ThoughtStart::Outside }
}

#[cfg(test)]
mod tests {
    use super::ThoughtMarks;
    use rkllmjs_core::ThoughtStart::{Inside, Outside};
    use serde_json::json;

    #[test]
    fn the_prompt_tells_whether_thoughts_are_open() {
        let cases = [
            ("<think>", "assistant\n", Outside),
            ("<think>", "assistant\n<think>\n", Inside),
            ("<think>", "assistant\n<think>\n\n</think>\n\n", Outside),
            ("", "assistant\n", Inside),
            ("", "assistant\n</think>", Outside),
        ];
        for (begin, prompt, start) in cases {
            let rendered =
                json!({ "thoughts_begin": begin, "thoughts_end": ["</think>"], "generation_prompt": prompt });
            assert_eq!(ThoughtMarks::from_rendered(&rendered).expect("marks").start, start, "{prompt:?}");
        }
        assert_eq!(ThoughtMarks::from_rendered(&json!({ "thoughts_begin": "<think>" })), None);
        assert_eq!(ThoughtMarks::from_rendered(&json!({ "thoughts_end": [""] })), None);
    }
}
