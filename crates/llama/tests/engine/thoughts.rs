//! Thoughts that are ended when they get too long.

use rkllmjs_core::{GenerateOptions, OptionSupport, ThoughtLimit, ThoughtStart, Token};

use crate::support::{Bench, greedy};

const COPY: &str =
    "<|im_start|>user\nRepeat this exactly: nokplock prafloo<|im_end|>\n<|im_start|>assistant\n";

/// The tokens of an answer that begins inside of thoughts, ended by `</t>` after so many of them.
fn thinking(bench: &mut Bench, max_tokens: Option<u32>, options: GenerateOptions) -> Vec<Token> {
    let prompt = bench.tokens(COPY);
    let mut request = options.build(&OptionSupport::default(), 1024, 0).expect("a request");
    request.sampling.thoughts = max_tokens.map(|max_tokens| ThoughtLimit {
        max_tokens,
        begin: String::new(),
        ends: vec!["</t>".to_owned()],
        close: bench.tokens("</t>"),
        start: ThoughtStart::Inside,
    });
    let sequence = bench.open_request(&request, &prompt).expect("it opens");
    let answer = bench.go_on(sequence, &prompt, 30).expect("an answer");
    answer.into_iter().map(|taken| taken.token).collect()
}

#[test]
fn the_end_of_thoughts_comes_after_as_many_tokens_as_they_may_have() {
    let mut bench = Bench::tiny();
    let free = thinking(&mut bench, None, greedy());
    let close = bench.tokens("</t>");
    assert!(free.len() > 4 && close.len() > 1, "{free:?}, {close:?}");
    for most in 0..free.len() - 1 {
        let cut = thinking(&mut bench, Some(u32::try_from(most).expect("small")), greedy());
        assert_eq!(cut[..most], free[..most], "after {most}");
        assert_eq!(cut[most..most + close.len()], close[..], "after {most}");
    }
    assert_eq!(thinking(&mut bench, Some(100), greedy()), free);
}

#[test]
fn a_grammar_without_thoughts_keeps_them_from_being_ended() {
    let mut bench = Bench::tiny();
    let under = |text: &str| GenerateOptions { grammar: Some(text.to_owned()), ..greedy() };
    let letters = thinking(&mut bench, Some(1), under("root ::= [a-z ]+"));
    let close = bench.tokens("</t>");
    assert!(!letters.contains(&close[0]), "{letters:?}");
    let both = thinking(&mut bench, Some(2), under(r#"root ::= [a-z ]+ "</t>" "yes""#));
    assert_eq!(both[2..2 + close.len()], close[..]);
}
