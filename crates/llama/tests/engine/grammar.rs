//! Answers that follow a grammar (GBNF, `grammars/README.md` of llama.cpp).

use std::process::Command;

use rkllmjs_core::{ErrorCode, GenerateOptions, OptionSupport, Special, Token, Tokenizer};

use crate::definitions::{only, ranking, softmax, temperature, top_k};
use crate::statistics::assert_changes_to;
use crate::support::{Bench, greedy, logits, plain};

fn with(grammar: &str) -> GenerateOptions {
    GenerateOptions { grammar: Some(grammar.to_owned()), ..plain() }
}

/// The tokens whose text satisfies `may_begin`; control tokens have none.
fn tokens_that(bench: &Bench, may_begin: impl Fn(&str) -> bool) -> Vec<usize> {
    let begins = |&token: &usize| {
        let bytes = bench.model.piece(token as Token, Special::default());
        String::from_utf8(bytes).is_ok_and(|text| !text.is_empty() && may_begin(&text))
    };
    (0..1024).filter(begins).collect()
}

fn is_lower(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase())
}

#[test]
fn a_grammar_conditions_the_models_distribution_on_valid_tokens() {
    let mut bench = Bench::tiny();
    let prompt = bench.tokens("Who");
    let raw = logits(&prompt);
    let valid = tokens_that(&bench, is_lower);
    assert!(valid.len() > 100);
    let expected = only(&raw, &valid);
    assert_changes_to(&mut bench, &with("root ::= [a-z]+"), &prompt, &softmax(&expected));
    let hot = GenerateOptions { temperature: Some(1.8), ..with("root ::= [a-z]+") };
    assert_changes_to(&mut bench, &hot, &prompt, &softmax(&temperature(&expected, 1.8)));
    // Inside a word with an end of its own.
    let ended = tokens_that(&bench, |text| "country is".starts_with(text) || "code?".starts_with(text));
    let grammar = r#"root ::= "country is" | "co" "de" "?""#;
    assert_changes_to(&mut bench, &with(grammar), &prompt, &softmax(&only(&raw, &ended)));
}

#[test]
fn a_grammar_conditions_the_truncated_distribution_too() {
    let mut bench = Bench::tiny();
    let prompt = bench.tokens("Who");
    let raw = logits(&prompt);
    let valid = tokens_that(&bench, is_lower);
    let kept = top_k(&raw, 30);
    let both: Vec<usize> = ranking(&kept).into_iter().filter(|t| valid.contains(t)).collect();
    assert!((3..20).contains(&both.len()), "{both:?}");
    let options = GenerateOptions { top_k: Some(30.0), ..with("root ::= [a-z]+") };
    assert_changes_to(&mut bench, &options, &prompt, &softmax(&only(&raw, &both)));
}

#[test]
fn where_truncation_leaves_nothing_valid_it_starts_again_from_what_is() {
    let mut bench = Bench::tiny();
    let prompt = bench.tokens("Who");
    let raw = logits(&prompt);
    let valid = tokens_that(&bench, |text| text.bytes().all(|byte| byte.is_ascii_digit()));
    assert!(ranking(&raw)[..4].iter().all(|t| !valid.contains(t)));
    let options = GenerateOptions { top_k: Some(4.0), ..with("root ::= [0-9]+") };
    assert_changes_to(&mut bench, &options, &prompt, &softmax(&top_k(&only(&raw, &valid), 4)));
    let mirostat =
        GenerateOptions { mirostat: Some(2.0), mirostat_tau: Some(0.0), ..with("root ::= [0-9]+") };
    assert_changes_to(&mut bench, &mirostat, &prompt, &softmax(&top_k(&only(&raw, &valid), 1)));
}

#[test]
fn an_answer_ends_where_its_grammar_does_and_nowhere_else() {
    let mut bench = Bench::tiny();
    let prompt = bench.tokens("Who");
    let mut seen = Vec::new();
    for seed in 0..40 {
        let answer = bench
            .answer(&with(r#"root ::= "yes" | "no" | "maybe not""#), seed, &prompt, 30)
            .expect("an answer");
        assert!(answer.last().expect("tokens").end);
        let text: Vec<u8> = answer.into_iter().flat_map(|taken| taken.bytes).collect();
        seen.push(String::from_utf8(text).expect("UTF-8"));
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen, ["maybe not", "no", "yes"]);
    // However much it wants to end.
    let end = f64::from(bench.token("<|im_end|>"));
    let eager = GenerateOptions { logit_bias: Some(vec![(end, 50.0)]), ..with(r#"root ::= "one day" "!"?"#) };
    assert_eq!(bench.text(&eager, 4, &prompt, 30), "one day");
    let never = GenerateOptions { ignore_eos: Some(true), ..with(r#"root ::= "one""#) };
    let error = bench.answer(&never, 4, &prompt, 30).expect_err("neither end nor text is allowed");
    assert_eq!(error.code, ErrorCode::InvalidRequest);
}

#[test]
fn every_prefix_of_an_answer_continues_to_a_sentence_of_the_grammar() {
    let mut bench = Bench::tiny();
    let prompt = bench.tokens("Count from");
    let grammar = r#"
root  ::= list
list  ::= "[" (item ("," item)*)? "]"   # no spaces
item  ::= "-"? [1-9] [0-9]* | list | "é"
"#;
    let mut ended = 0;
    for seed in 0..30 {
        let options = GenerateOptions {
            temperature: Some(1.3),
            // The model knows no such lists and would not end one soon.
            logit_bias: Some(vec![(f64::from(bench.token("]")), 9.0)]),
            ..with(grammar)
        };
        let answer = bench.answer(&options, seed, &prompt, 60).expect("an answer");
        let end = answer.last().expect("tokens").end;
        let text: Vec<u8> = answer.into_iter().flat_map(|taken| taken.bytes).collect();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert_eq!(nesting_of(&text).expect(&text) == 0, end, "{text}");
        ended += u32::from(end);
    }
    assert!(ended > 3, "{ended}");
}

/// How deep a text of that grammar stands at its end, or what is wrong with it.
fn nesting_of(text: &str) -> Result<usize, String> {
    let mut depth = 0;
    let mut before = ' ';
    for (place, c) in text.chars().enumerate() {
        let fits = match c {
            '[' => matches!(before, ' ' | '[' | ','),
            ']' => matches!(before, '[' | ']' | 'é' | '0'..='9'),
            ',' => matches!(before, ']' | 'é' | '0'..='9'),
            'é' | '-' => matches!(before, '[' | ','),
            '0' => before.is_ascii_digit(),
            '1'..='9' => matches!(before, '[' | ',' | '-') || before.is_ascii_digit(),
            // The first byte of an é at the very end.
            '\u{fffd}' => matches!(before, '[' | ','),
            _ => false,
        };
        if !fits || (place > 0 && depth == 0) {
            return Err(format!("{c:?} at {place} of {text}"));
        }
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        before = c;
    }
    Ok(depth)
}

#[test]
fn a_grammar_that_is_none_is_an_error_of_the_option() {
    let mut bench = Bench::tiny();
    let many = "(".repeat(60) + "\"a\"" + &")".repeat(59);
    let rules = |count: u32, rule: &dyn Fn(u32) -> String| (0..count).map(rule).collect::<String>();
    let doubled = rules(40, &|i| format!("r{i} ::= r{} | r{}\n", i + 1, i + 1));
    let multiplied = format!("root ::= r0\n{doubled}r40 ::= \"a\"\n");
    let chain = rules(9000, &|i| format!("r{i} ::= r{}\n", i + 1));
    let chained = format!("root ::= r0\n{chain}r9000 ::= \"a\"\n");
    for (what, grammar) in [
        ("empty", ""),
        ("only a comment", "# nothing"),
        ("no root", "word ::= \"a\""),
        ("undefined rule", "root ::= word"),
        ("undefined rule further in", "root ::= \"a\" | (\"b\" other)*"),
        ("left recursion", "root ::= root \"a\" | \"b\""),
        ("indirect left recursion", "root ::= word \"a\"\nword ::= root \"b\" | \"c\""),
        ("left recursion behind an empty rule", "root ::= empty root \"a\"\nempty ::= \"\""),
        ("unclosed string", "root ::= \"a"),
        ("unclosed class", "root ::= [a-z"),
        ("unclosed group", "root ::= (\"a\" | \"b\""),
        ("unopened group", "root ::= \"a\" )"),
        ("unclosed groups", many.as_str()),
        ("nothing to repeat", "root ::= *"),
        ("huge repetition", "root ::= \"a\"{1000000}"),
        ("overflowing repetition", "root ::= \"a\"{99999999999999999999}"),
        ("backward repetition", "root ::= \"a\"{5,2}"),
        ("no arrow", "root \"a\""),
        ("bad escape", "root ::= \"\\q\""),
        ("short escape", "root ::= \"\\x1\""),
        ("not GBNF at all", "{\"type\": \"object\"}"),
        ("alternatives that multiply", multiplied.as_str()),
        ("rules that begin with one another", chained.as_str()),
    ] {
        let error = bench.open(&with(grammar), 0, &[1]).expect_err(what);
        assert_eq!(
            (error.code, error.option),
            (ErrorCode::InvalidRequest, Some("grammar")),
            "{what}: {error}"
        );
        assert!(error.message.len() > 20, "{what}: {error}");
    }
    let deep = with(&("root ::= ".to_owned() + &"(".repeat(200_000)));
    let error = bench.open(&deep, 0, &[1]).expect_err("too deep");
    assert_eq!((error.code, error.option), (ErrorCode::InvalidRequest, Some("grammar")));
    assert!(error.message.contains("200000 deep"), "{error}");
    let good = bench.text(&with("root ::= \"a\""), 0, &[1], 9);
    assert_eq!(good, "a");
}

#[test]
fn nothing_of_a_bad_grammar_is_printed() {
    let test = "grammar::a_grammar_that_is_none_is_an_error_of_the_option";
    let child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture"])
        .output()
        .expect("it runs");
    let stdout = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && stdout.contains("1 passed"), "{stdout}");
    assert_eq!(String::from_utf8_lossy(&child.stderr), "");
}

/// The greedy answer to a prompt of the model's, under a grammar with these triggers and this prefix.
fn under(bench: &mut Bench, prompt: &str, grammar: &str, triggers: &[&str], prefix: &str) -> String {
    let prompt = bench.tokens(prompt);
    let options = GenerateOptions { grammar: Some(grammar.to_owned()), ..greedy() };
    let mut request = options.build(&OptionSupport::default(), 1024, 0).expect("a request");
    request.sampling.grammar_triggers = triggers.iter().map(ToString::to_string).collect();
    request.sampling.grammar_prefix = bench.tokens(prefix);
    let sequence = bench.open_request(&request, &prompt).expect("it opens");
    let answer = bench.go_on(sequence, &prompt, 40).expect("an answer");
    String::from_utf8(answer.into_iter().flat_map(|taken| taken.bytes).collect()).expect("UTF-8")
}

const COPY: &str =
    "<|im_start|>user\nRepeat this exactly: nokplock prafloo<|im_end|>\n<|im_start|>assistant\n";

#[test]
fn a_grammar_with_triggers_binds_from_the_first_of_them() {
    let mut bench = Bench::tiny();
    let copied = "nokplock prafloo";
    assert_eq!(under(&mut bench, COPY, r#"root ::= "x""#, &["never", "at all"], ""), copied);
    let mut bound = 0;
    for end in 1..=copied.len() {
        let word = &copied[..end];
        let answer =
            under(&mut bench, COPY, &format!(r#"root ::= "{word}" "-" [0-9]"#), &["never", word], "");
        let after = answer.strip_prefix(word).expect("the word comes first");
        // A token may hold more than the end of the word; the answer is then left alone.
        let is_bound = after.len() == 2 && after.starts_with('-');
        assert!(is_bound || answer == copied, "{word:?} is followed by {after:?}");
        bound += usize::from(is_bound);
    }
    assert!(bound > 3, "{bound} words were ends of tokens");
}

#[test]
fn a_trigger_is_found_late_in_an_answer_and_in_the_middle_of_its_tokens() {
    let mut bench = Bench::tiny();
    let answer = under(&mut bench, COPY, r#"root ::= "oo" "-" [0-9]"#, &["oo"], "");
    let digit = answer.strip_prefix("nokplock prafloo-").expect("the grammar binds at the end");
    assert!(digit.parse::<u8>().is_ok(), "{answer}");
}

#[test]
fn a_grammar_may_begin_with_the_end_of_the_prompt() {
    let mut bench = Bench::tiny();
    let answer = under(&mut bench, "Who", r#"root ::= "Who" [0-9] [0-9]"#, &[], "Who");
    assert!(answer.len() == 2 && answer.parse::<u8>().is_ok(), "{answer}");
}

#[test]
fn a_trigger_may_begin_in_the_prompt() {
    let mut bench = Bench::tiny();
    let grammar = r#"root ::= "ant\n" "nok" "-" [0-9]"#;
    let answer = under(&mut bench, COPY, grammar, &["ant\nnok"], "assistant\n");
    assert!(answer.starts_with("nok-") || answer == "nokplock prafloo", "{answer:?}");
    let mut bound = 0;
    for end in 1..8 {
        let word = &"nokplock"[..end];
        let grammar = format!(r#"root ::= "ant\n" "{word}" "-" [0-9]"#);
        let answer = under(&mut bench, COPY, &grammar, &[&format!("ant\n{word}")], "assistant\n");
        bound += usize::from(answer.starts_with(&format!("{word}-")));
    }
    assert!(bound > 0, "no end of a word was the end of a token");
    assert_eq!(under(&mut bench, COPY, grammar, &["ant\nnok"], ""), "nokplock prafloo");
}
