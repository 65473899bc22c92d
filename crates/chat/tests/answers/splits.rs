//! However an answer is cut into tokens, its parts add up to the same message. The answers are strung together
//! at random of what models write and of what might confuse a reader.

use rkllmjs_chat::{AnswerFormat, Ending};

use crate::support::{Draw, Joined, THINKING, TINY, call, format, read};

fn fragments() -> Vec<String> {
    let mut fragments = vec![
        call("weather", r#"{"city": "Oslo"}"#),
        call("weather_at", r#"{"city": "Zürich \"q\" 🏔", "hour": -1.5e3}"#),
        call("now", "{}"),
        call("weather", r#"{"city": "</tool_call><tool_call>"}"#),
        call("wether", "{}"),
    ];
    let pieces = [
        "<tool_call>",
        "<tool_call>\n",
        "\n</tool_call>",
        "</tool_call>",
        "<tool_cal",
        "<think>",
        "</think>",
        "<think>\nOslo?\n</think>\n\n",
        "{\"name\": \"now\", \"arguments\": {}}",
        "{\"name\": \"now\", ",
        "\"arguments\": {\"city\": \"O",
        "<|im_end|>",
        "Text – with 🏔.",
        "{[}]\\\"",
        "\u{0}",
        "\n",
        " ",
        "<",
    ];
    fragments.extend(pieces.map(str::to_owned));
    fragments
}

fn answer(draw: &mut Draw, fragments: &[String]) -> String {
    let length = 1 + draw.below(5);
    (0..length).filter_map(|_| fragments.get(draw.below(fragments.len()))).map(String::as_str).collect()
}

/// Everything but the names of the calls, which are new each time.
fn without_ids(joined: &Joined) -> (&str, &str, Vec<(&str, &str)>) {
    let calls = joined.calls.iter().map(|(_, name, arguments)| (name.as_str(), arguments.as_str()));
    (&joined.content, &joined.reasoning, calls.collect())
}

/// Reads one answer under many cuts.
fn check(format: &AnswerFormat, answer: &str, ending: Ending, draw: &mut Draw) {
    let (whole, _) = read(format, answer, &[], ending);
    for round in 0..6 {
        let length = answer.len() + 1;
        let mut cuts: Vec<usize> = match round {
            0 => (0..length).collect(),
            _ => (0..=draw.below(6)).map(|_| draw.below(length)).collect(),
        };
        cuts.sort_unstable();
        let (joined, message) = read(format, answer, &cuts, ending);
        let place = format!("{answer:?} cut at {cuts:?}, {ending:?}");
        assert_eq!(without_ids(&joined), without_ids(&whole), "{place}");
        assert_eq!((&joined.content, &joined.reasoning), (&message.content, &message.reasoning), "{place}");
        let called: Vec<_> =
            message.calls.iter().map(|c| (c.id.clone(), c.name.clone(), c.arguments.clone())).collect();
        assert_eq!(joined.calls, called, "{place}");
        let begun: Vec<_> = joined.pieces.iter().take(called.len()).cloned().collect();
        assert_eq!(begun, called, "the pieces of a call add up to it: {place}");
    }
}

#[test]
fn an_answer_is_the_same_message_under_every_split() {
    let mut draw = Draw::new();
    let fragments = fragments();
    for template in [TINY, THINKING] {
        let format = format(template);
        for _ in 0..50 {
            let answer = answer(&mut draw, &fragments);
            for ending in [Ending::Natural, Ending::CutOff] {
                check(&format, &answer, ending, &mut draw);
            }
        }
    }
}
