//! Biases, log probabilities and what leaves nothing to choose from.

use rkllmjs_core::{ErrorCode, GenerateOptions, Token, Tokenizer};
use rkllmjs_synthetic::{Kind, Options};

use crate::definitions::{only, ranking, softmax};
use crate::statistics::assert_changes_to;
use crate::support::{Bench, SyntheticModel, engine_options, greedy, logits, plain};

fn prompt(bench: &Bench) -> Vec<Token> {
    bench.tokens("Who")
}

#[test]
fn logit_bias_is_added_and_negative_infinity_bans() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let raw = logits(&prompt);
    let order = ranking(&raw);
    let biases = [
        vec![(order[20], 3.0)],
        vec![(order[0], -2.0)],
        vec![(order[0], f64::NEG_INFINITY), (order[2], f64::NEG_INFINITY)],
        vec![(order[1], f64::NEG_INFINITY), (order[3], -1.5), (order[9], 2.5), (order[1000], 9.0)],
    ];
    for bias in biases {
        let mut expected = raw.clone();
        bias.iter().for_each(|&(token, bias)| expected[token] += bias);
        let logit_bias = Some(bias.iter().map(|&(token, bias)| (token as f64, bias)).collect());
        let options = GenerateOptions { logit_bias, ..plain() };
        assert_changes_to(&mut bench, &options, &prompt, &softmax(&expected));
    }
    let sure =
        GenerateOptions { logit_bias: Some(vec![(order[900] as f64, 1e9)]), ..GenerateOptions::default() };
    assert_changes_to(&mut bench, &sure, &prompt, &softmax(&only(&raw, &order[900..901])));
}

#[test]
fn ignore_eos_bans_every_token_that_ends_an_answer() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let raw = logits(&prompt);
    let ends: Vec<usize> = (0..raw.len()).filter(|&t| bench.model.is_end(t as Token)).collect();
    assert!(ends.contains(&(bench.token("<|im_end|>") as usize)), "{ends:?}");
    let left: Vec<usize> = (0..raw.len()).filter(|t| !ends.contains(t)).collect();
    let options = GenerateOptions { ignore_eos: Some(true), ..plain() };
    assert_changes_to(&mut bench, &options, &prompt, &softmax(&only(&raw, &left)));
    // The question's answer would end after a few words.
    let question = bench.tokens("<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n");
    let greedy = GenerateOptions { temperature: Some(0.0), ignore_eos: Some(true), ..plain() };
    let answer = bench.answer(&greedy, 0, &question, 100).expect("an answer");
    assert_eq!((answer.len(), answer.iter().any(|taken| taken.end)), (100, false));
}

#[test]
fn banning_every_token_is_an_error_of_this_request_only() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let all = Some((0..1024).map(|token| (f64::from(token), f64::NEG_INFINITY)).collect::<Vec<_>>());
    let base = GenerateOptions { logit_bias: all, ..plain() };
    for options in [
        base.clone(),
        GenerateOptions { temperature: Some(0.0), ..base.clone() },
        GenerateOptions { mirostat: Some(1.0), ..base.clone() },
        GenerateOptions { mirostat: Some(2.0), ..base.clone() },
        GenerateOptions {
            typical_p: Some(0.5),
            top_n_sigma: Some(1.0),
            xtc_probability: Some(1.0),
            ..base.clone()
        },
        GenerateOptions { dynatemp_range: Some(0.5), dry_multiplier: Some(1.0), ..base.clone() },
        GenerateOptions { grammar: Some("root ::= [a-z]+".into()), ..base.clone() },
        GenerateOptions { logit_bias: base.logit_bias.clone(), ..GenerateOptions::default() },
    ] {
        let error = bench.first(&options, 1, &prompt).expect_err("there is nothing to choose");
        assert_eq!(error.code, ErrorCode::InvalidRequest, "{error}");
        assert!(error.message.contains("no token"), "{error}");
    }
    bench.first(&plain(), 1, &prompt).expect("the engine goes on");
}

#[test]
fn weights_that_are_no_numbers_are_an_error_of_the_engine() {
    let options = Options { nan: Some("output.weight".to_owned()), ..Options::default() };
    let file = SyntheticModel::new(Kind::Micro, &options);
    let mut bench = Bench::new(file.load(), engine_options());
    for options in [plain(), greedy(), GenerateOptions::default()] {
        let error = bench.first(&options, 1, &[300]).expect_err("no numbers");
        assert_eq!(error.code, ErrorCode::EngineFailed);
        assert!(error.message.contains("NaN"), "{error}");
    }
}

#[test]
fn logprobs_are_the_logarithm_of_the_models_own_softmax() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let expected = softmax(&logits(&prompt));
    let order = ranking(&logits(&prompt));
    let ask = |top: f64| GenerateOptions {
        logprobs: Some(true),
        top_logprobs: Some(top),
        // None of this changes what is reported.
        temperature: Some(2.0),
        logit_bias: Some(vec![(order[0] as f64, f64::NEG_INFINITY)]),
        top_k: Some(30.0),
        ..plain()
    };
    for seed in 0..20 {
        let taken = bench.first(&ask(1024.0), seed, &prompt).expect("a token");
        let reported = taken.logprob.expect("it was asked for");
        assert_eq!((reported.token, reported.top.len()), (taken.token, 1024));
        assert!(reported.top.is_sorted_by(|a, b| a.logprob >= b.logprob));
        let sum: f64 = reported.top.iter().map(|t| f64::from(t.logprob).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        for t in &reported.top {
            let expected = expected[t.token as usize].ln();
            assert!((f64::from(t.logprob) - expected).abs() < 1e-3, "{t:?} {expected}");
            assert!(t.top.is_empty());
        }
        let same = reported.top.iter().find(|t| t.token == taken.token).expect("all are there");
        assert_eq!(same.logprob.to_bits(), reported.logprob.to_bits());
        assert_eq!((&same.bytes, &reported.bytes), (&taken.bytes, &taken.bytes));
    }
    for top in [0, 1, 5] {
        let taken = bench.first(&ask(f64::from(top)), 0, &prompt).expect("a token");
        let reported = taken.logprob.expect("it was asked for");
        let best: Vec<usize> = reported.top.iter().map(|t| t.token as usize).collect();
        assert_eq!(best, order[..top as usize]);
        assert!((f64::from(reported.logprob) - expected[taken.token as usize].ln()).abs() < 1e-3);
    }
    assert!(bench.first(&plain(), 0, &prompt).expect("a token").logprob.is_none());
}
