//! The options that look back at the text.

use rkllmjs_core::{GenerateOptions, Special, Token, Tokenizer};

use crate::definitions::{count_penalties, dry, ranking, repeat_penalty, softmax, temperature};
use crate::statistics::{assert_changes_to, assert_follows};
use crate::support::{Bench, logits, plain};

/// A text whose own words are likely to follow it, one of them three times, one twice, one once.
fn prompt(bench: &Bench) -> Vec<Token> {
    bench.tokens(" code address The The code The")
}

#[test]
fn repeat_penalty_weakens_recent_tokens_by_its_factor() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let raw = logits(&prompt);
    assert!(prompt.iter().all(|&token| raw[token as usize] > 0.0));
    for penalty in [2.0, 0.7] {
        let options = GenerateOptions { repeat_penalty: Some(penalty), ..plain() };
        let expected = softmax(&repeat_penalty(&raw, &prompt, penalty));
        assert_changes_to(&mut bench, &options, &prompt, &expected);
    }
}

#[test]
fn repeat_penalty_multiplies_negative_logits() {
    let mut bench = Bench::tiny();
    let prompt: Vec<Token> = (300..400).collect();
    let raw = logits(&prompt);
    assert!(prompt.iter().filter(|&&token| raw[token as usize] < 0.0).count() > 20);
    // Hot enough for them to be drawn at all.
    let options = GenerateOptions { repeat_penalty: Some(4.0), temperature: Some(8.0), ..plain() };
    let weakened = repeat_penalty(&raw, &prompt, 4.0);
    assert_changes_to(&mut bench, &options, &prompt, &softmax(&temperature(&weakened, 8.0)));
}

#[test]
fn repeat_last_n_is_how_far_the_penalties_look_back() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let raw = logits(&prompt);
    let last = |n: f64, presence: f64| GenerateOptions {
        repeat_last_n: Some(n),
        presence_penalty: Some(presence),
        ..plain()
    };
    assert_follows(&mut bench, &last(0.0, 4.0), &prompt, &softmax(&raw));
    for n in [1, 3, 6] {
        let expected = count_penalties(&raw, &prompt[prompt.len() - n..], 0.0, -3.0);
        assert_changes_to(&mut bench, &last(n as f64, -3.0), &prompt, &softmax(&expected));
    }
    // 64 tokens later only a look at everything finds the first one.
    let first = bench.token(" is");
    let filler = bench.token(" horse");
    let long: Vec<Token> = std::iter::once(first).chain([filler; 80]).chain(prompt.iter().copied()).collect();
    let raw = logits(&long);
    let everything = softmax(&count_penalties(&raw, &long, 0.0, 5.0));
    let default = softmax(&count_penalties(&raw, &long[long.len() - 64..], 0.0, 5.0));
    assert!(everything[first as usize] < default[first as usize] - 0.1, "{}", default[first as usize]);
    assert_changes_to(&mut bench, &last(-1.0, 5.0), &long, &everything);
    let options = GenerateOptions { presence_penalty: Some(5.0), ..plain() };
    assert_follows(&mut bench, &options, &long, &default);
}

#[test]
fn frequency_and_presence_penalties_are_subtracted_by_count_and_once() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let raw = logits(&prompt);
    for (frequency, presence) in [(1.5, 0.0), (0.0, 2.0), (-1.0, 0.0), (0.0, -2.0), (-1.2, 0.7)] {
        let options = GenerateOptions {
            frequency_penalty: Some(frequency),
            presence_penalty: Some(presence),
            ..plain()
        };
        let expected = count_penalties(&raw, &prompt, frequency, presence);
        assert_changes_to(&mut bench, &options, &prompt, &softmax(&expected));
    }
    let all = GenerateOptions {
        repeat_penalty: Some(1.5),
        frequency_penalty: Some(-1.2),
        presence_penalty: Some(0.7),
        ..plain()
    };
    let expected = count_penalties(&repeat_penalty(&raw, &prompt, 1.5), &prompt, -1.2, 0.7);
    assert_changes_to(&mut bench, &all, &prompt, &softmax(&expected));
}

#[test]
fn the_penalties_see_the_answer_too() {
    let mut bench = Bench::tiny();
    let prompt = bench.tokens("Who");
    // Greedy text that may not repeat itself: every token is the best of those not yet said.
    let options = GenerateOptions {
        temperature: Some(0.0),
        presence_penalty: Some(100.0),
        repeat_last_n: Some(-1.0),
        ..plain()
    };
    let answer = bench.answer(&options, 0, &prompt, 24).expect("an answer");
    let mut text = prompt;
    for taken in answer {
        let left = count_penalties(&logits(&text), &text, 0.0, 100.0);
        assert_eq!(taken.token as usize, ranking(&left)[0]);
        assert!(!text.contains(&taken.token));
        text.push(taken.token);
    }
}

/// Tokens that contain one of the four characters at which DRY starts anew.
fn is_breaker(bench: &Bench, token: Token) -> bool {
    let bytes = bench.model.piece(token, Special { add: false, parse: true });
    bytes.iter().any(|byte| b"\n:\"*".contains(byte))
}

#[test]
fn dry_weakens_what_would_lengthen_a_repeat_by_the_power_of_its_length() {
    let mut bench = Bench::tiny();
    let word = |text: &str| bench.token(text);
    let (a, b, c, d, e) = (word(" The"), word(" dog"), word(" lives"), word(" a"), word("Who"));
    let newline = word("\n");
    // After "a b" came c twice and d once, after "e a b" only d; a lone b was followed by e.
    let plain_text = vec![a, b, c, d, e, a, b, d, b, e, a, b, c, c, e, a, b];
    let broken = vec![e, a, newline, b, c, d, d, e, a, newline, b];
    let before_a_breaker = vec![a, b, newline, c, a, b, d, c, e, a, b];
    for (text, values) in [
        (&plain_text, (1.0, 1.75, 2)),
        (&plain_text, (3.0, 1.2, 1)),
        (&plain_text, (2.0, 3.0, 3)),
        (&plain_text, (2.0, 1.0, 0)),
        (&broken, (2.0, 1.0, 1)),
        (&before_a_breaker, (2.0, 1.75, 2)),
    ] {
        let raw = logits(text);
        let (multiplier, base, allowed) = values;
        let options = GenerateOptions {
            dry_multiplier: Some(multiplier),
            dry_base: Some(base),
            dry_allowed_length: Some(allowed as f64),
            ..plain()
        };
        let expected = softmax(&dry(&raw, text, values, |token| is_breaker(&bench, token)));
        assert_follows(&mut bench, &options, text, &expected);
    }
}

#[test]
fn dry_makes_a_difference() {
    let mut bench = Bench::tiny();
    // The model repeats this for ever if it is let.
    let text = bench.tokens(" horse horse horse horse");
    let raw = logits(&text);
    let horse = text[0] as usize;
    assert!(softmax(&raw)[horse] > 0.5);
    let expected = softmax(&dry(&raw, &text, (2.0, 1.75, 2), |token| is_breaker(&bench, token)));
    assert!(expected[horse] < softmax(&raw)[horse] - 0.03);
    let options = GenerateOptions { dry_multiplier: Some(2.0), ..plain() };
    assert_changes_to(&mut bench, &options, &text, &expected);
}
