use serde_json::Value;

use crate::tools::tool_name;

/// What brings a grammar into force that waits for a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Triggers {
    /// The first of these in the text: that of the prompt's end and of the answer.
    pub(crate) words: Vec<String>,
    /// What such a word may have in front of what the grammar knows.
    pub(crate) lead: Option<&'static str>,
}

/// How harmony's calls begin after the mark of a message, among the patterns that come for it.
const HARMONY: &str = r"<\|start\|>assistant(\s+to)";
/// The same of Functionary, whose content is a call of `all`.
const FUNCTIONARY: &str = ">>>(?!all)";

impl Triggers {
    /// Takes triggers as `common` gives them, for calls of `tools`. None where one is a pattern that no words
    /// stand for: to look for a pattern, all of the answer would be searched again with each token.
    pub(crate) fn new(triggers: &[Value], tools: &[Value]) -> Option<Self> {
        let value =
            |trigger: &Value| trigger.get("value").and_then(Value::as_str).unwrap_or_default().to_owned();
        let is_word = |trigger: &Value| trigger.get("kind").and_then(Value::as_str) == Some("word");
        let values: Vec<String> = triggers.iter().map(value).collect();
        let is = |pattern: &str| values.iter().any(|value| value == pattern);
        let triggers = if !values.is_empty() && triggers.iter().all(is_word) {
            Self { words: values, lead: None }
        } else if is(HARMONY) {
            let lead = "<|start|>assistant";
            let words =
                ["<|channel|>commentary", "<|channel|>analysis", lead].map(|w| format!("{w} to=functions."));
            Self { words: words.into(), lead: Some(lead) }
        } else if is(FUNCTIONARY) {
            let words = tools.iter().filter_map(tool_name).map(|name| format!(">>>{name}\n"));
            Self { words: words.collect(), lead: Some(">>>") }
        } else {
            return None;
        };
        (!triggers.words.iter().any(String::is_empty)).then_some(triggers)
    }

    /// The grammar with what may come in front of it.
    pub(crate) fn lead(&self, grammar: &str) -> String {
        let Some(lead) = self.lead else { return grammar.to_owned() };
        let lines = grammar.lines().map(|line| match line.strip_prefix("root ::= ") {
            Some(root) => format!("root ::= \"{lead}\"? ({root})\n"),
            None => format!("{line}\n"),
        });
        lines.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Triggers;
    use serde_json::{Value, json};

    fn triggers(kind: &str, values: &[&str]) -> Vec<Value> {
        values.iter().map(|value| json!({ "kind": kind, "value": value })).collect()
    }

    #[test]
    fn words_are_taken_and_known_patterns_become_words() {
        let words = Triggers::new(&triggers("word", &["<tool_call>"]), &[]).expect("words");
        assert_eq!((words.words.as_slice(), words.lead), (["<tool_call>".to_owned()].as_slice(), None));
        assert_eq!(words.lead("root ::= x\n"), "root ::= x\n");
        let harmony = Triggers::new(&triggers("other", &["^\\s+to$", super::HARMONY]), &[]).expect("words");
        assert_eq!(harmony.words.last().map(String::as_str), Some("<|start|>assistant to=functions."));
        assert_eq!(
            harmony.lead("a ::= \"a\"\nroot ::= a | b"),
            "a ::= \"a\"\nroot ::= \"<|start|>assistant\"? (a | b)\n"
        );
        let tools = [json!({ "type": "function", "function": { "name": "now" } })];
        let functionary = Triggers::new(&triggers("other", &[super::FUNCTIONARY]), &tools).expect("words");
        assert_eq!(functionary.words, [">>>now\n"]);
    }

    #[test]
    fn other_patterns_and_nothing_at_all_are_left_out() {
        assert_eq!(Triggers::new(&triggers("other", &["a.*b"]), &[]), None);
        assert_eq!(Triggers::new(&[], &[]), None);
        assert_eq!(Triggers::new(&triggers("word", &[""]), &[]), None);
    }
}
