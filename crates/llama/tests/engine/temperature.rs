//! Temperature, the order of the chain and the defaults.

use rkllmjs_core::{Engine, GenerateOptions, Run, Token};

use crate::definitions::{dynamic_temperature, min_p, only, ranking, softmax, temperature, top_k, top_p};
use crate::statistics::{assert_changes_to, assert_follows};
use crate::support::{Bench, logits, plain};

fn prompt(bench: &Bench) -> Vec<Token> {
    bench.tokens("Who")
}

#[test]
fn temperature_divides_the_logits() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let raw = logits(&prompt);
    assert_follows(&mut bench, &plain(), &prompt, &softmax(&raw));
    for t in [0.5, 2.0] {
        let options = GenerateOptions { temperature: Some(t), ..plain() };
        assert_changes_to(&mut bench, &options, &prompt, &softmax(&temperature(&raw, t)));
    }
}

#[test]
fn temperature_0_and_one_close_to_it_always_pick_the_most_likely_token() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let raw = logits(&prompt);
    let best = softmax(&only(&raw, &ranking(&raw)[..1]));
    for t in [0.0, 1e-40, 1e-9, 1e-4] {
        let options = GenerateOptions { temperature: Some(t), ..plain() };
        assert_changes_to(&mut bench, &options, &prompt, &best);
    }
    let defaults = GenerateOptions { temperature: Some(0.0), ..GenerateOptions::default() };
    assert_follows(&mut bench, &defaults, &prompt, &best);
}

#[test]
fn greedy_text_takes_the_highest_logit_at_every_step() {
    let mut bench = Bench::tiny();
    let mut text =
        bench.tokens("<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n");
    let options = GenerateOptions { temperature: Some(0.0), ..GenerateOptions::default() };
    let answer = bench.answer(&options, 1, &text, 40).expect("an answer");
    assert!(answer.last().expect("tokens").end);
    for taken in &answer {
        assert_eq!(taken.token as usize, ranking(&logits(&text))[0]);
        text.push(taken.token);
    }
    let said: Vec<u8> = answer.into_iter().flat_map(|taken| taken.bytes).collect();
    assert_eq!(String::from_utf8_lossy(&said), "The capital of France is Paris.");
}

#[test]
fn dynatemp_range_moves_the_temperature_with_the_entropy() {
    let mut bench = Bench::tiny();
    // Less than half of the entropy there could be.
    let prompt = bench.tokens("My name is");
    let raw = logits(&prompt);
    // The third reaches below 0, where it ends.
    for (middle, range) in [(1.0, 0.8), (2.0, 1.0), (0.8, 1.6)] {
        let options = GenerateOptions { temperature: Some(middle), dynatemp_range: Some(range), ..plain() };
        let expected = softmax(&dynamic_temperature(&raw, middle, range));
        assert_follows(&mut bench, &options, &prompt, &expected);
        let fixed = softmax(&temperature(&raw, middle));
        let moved: f64 = expected.iter().zip(&fixed).map(|(a, b)| (a - b).abs()).sum();
        assert!(moved > 0.02, "{middle} {range}: {moved}");
    }
}

#[test]
fn dynatemp_range_measures_the_entropy_of_what_is_left() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let raw = logits(&prompt);
    let left = &ranking(&raw)[..6];
    let ban = |i: usize| (i as f64, f64::NEG_INFINITY);
    let options = GenerateOptions {
        dynatemp_range: Some(0.9),
        logit_bias: Some((0..raw.len()).filter(|i| !left.contains(i)).map(ban).collect()),
        ..plain()
    };
    let expected = softmax(&dynamic_temperature(&only(&raw, left), 1.0, 0.9));
    assert_changes_to(&mut bench, &options, &prompt, &expected);
}

#[test]
fn the_order_of_the_samplers_is_the_callers() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let raw = logits(&prompt);
    let ordered = |names: [&str; 2]| GenerateOptions {
        temperature: Some(3.0),
        top_p: Some(0.5),
        samplers: Some(names.map(str::to_owned).to_vec()),
        ..plain()
    };
    let hot_first = softmax(&top_p(&temperature(&raw, 3.0), 0.5));
    let hot_last = softmax(&temperature(&top_p(&raw, 0.5), 3.0));
    let support = |p: &[f64]| p.iter().filter(|&&p| p > 0.0).count();
    assert!(support(&hot_first) > 4 * support(&hot_last));
    assert_changes_to(&mut bench, &ordered(["temperature", "top_p"]), &prompt, &hot_first);
    assert_changes_to(&mut bench, &ordered(["top_p", "temperature"]), &prompt, &hot_last);
    let default = GenerateOptions { samplers: None, ..ordered(["top_p", "temperature"]) };
    assert_follows(&mut bench, &default, &prompt, &hot_last);
}

#[test]
fn samplers_that_are_not_named_do_nothing() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let raw = logits(&prompt);
    let everything = GenerateOptions {
        temperature: Some(0.3),
        top_k: Some(7.0),
        top_p: Some(0.3),
        min_p: Some(0.9),
        typical_p: Some(0.2),
        top_n_sigma: Some(0.5),
        xtc_probability: Some(1.0),
        xtc_threshold: Some(0.05),
        repeat_penalty: Some(5.0),
        presence_penalty: Some(9.0),
        dry_multiplier: Some(9.0),
        dry_allowed_length: Some(0.0),
        ..GenerateOptions::default()
    };
    let none = GenerateOptions { samplers: Some(Vec::new()), ..everything.clone() };
    assert_follows(&mut bench, &none, &prompt, &softmax(&raw));
    let one = GenerateOptions { samplers: Some(vec!["top_k".to_owned()]), ..everything };
    assert_changes_to(&mut bench, &one, &prompt, &softmax(&top_k(&raw, 7)));
}

#[test]
fn the_defaults_are_top_k_40_then_top_p_0_95_then_min_p_0_05_then_temperature_0_8() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let left = min_p(&top_p(&top_k(&logits(&prompt), 40), 0.95), 0.05);
    let expected = softmax(&temperature(&left, 0.8));
    assert_changes_to(&mut bench, &GenerateOptions::default(), &prompt, &expected);
}

#[test]
fn the_same_seed_gives_the_same_text_and_others_other_texts() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let hot = GenerateOptions { temperature: Some(1.5), ignore_eos: Some(true), ..plain() };
    for options in [
        hot.clone(),
        GenerateOptions { xtc_probability: Some(0.5), xtc_threshold: Some(0.05), ..hot.clone() },
        GenerateOptions { mirostat: Some(1.0), ..hot.clone() },
        GenerateOptions { mirostat: Some(2.0), ..hot.clone() },
        GenerateOptions { grammar: Some("root ::= [a-z ]+".into()), ..hot },
    ] {
        let mut texts = Vec::new();
        for seed in [0, 1, 2, 3, 1 << 31, u32::MAX - 1, u32::MAX] {
            let text = bench.text(&options, seed, &prompt, 24);
            let named = GenerateOptions { seed: Some(f64::from(seed)), ..options.clone() };
            assert_eq!(bench.text(&named, 77, &prompt, 24), text, "seed {seed} of {options:?}");
            texts.push(text);
        }
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), 7, "{texts:?}");
    }
}

#[test]
fn what_is_drawn_does_not_depend_on_the_others_in_the_batch_or_on_being_parked() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let options = GenerateOptions { temperature: Some(1.5), repeat_penalty: Some(1.3), ..plain() };
    let alone = bench.answer(&options, 5, &prompt, 12).expect("an answer");
    let sequence = bench.open(&options, 5, &prompt).expect("it opens");
    let other = bench.open(&options, 6, &prompt).expect("it opens");
    let (mut text, mut beside) = (prompt.clone(), prompt.clone());
    for (place, expected) in alone.iter().enumerate() {
        // Everything is computed again from the first token, now and then.
        let again = place % 3 == 0;
        if again {
            bench.engine.park(sequence);
        }
        let start = if again { 0 } else { text.len() - 1 };
        let start_beside = if place == 0 { 0 } else { beside.len() - 1 };
        let run = |sequence, tokens, start| Run { sequence, start, tokens, sample: true, drafted: 0 };
        let (_, tray) = bench.step(vec![
            run(other, &beside[start_beside..], u32::try_from(start_beside).expect("short")),
            run(sequence, &text[start..], u32::try_from(start).expect("short")),
        ]);
        for (id, taken) in tray.0 {
            let token = taken.expect("a token").token;
            if id == sequence {
                assert_eq!(token, expected.token, "token {place}");
                text.push(token);
            } else {
                beside.push(token);
            }
        }
    }
}
