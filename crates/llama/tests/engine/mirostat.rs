//! Mirostat.

use rkllmjs_core::{GenerateOptions, Token};

use crate::definitions::{mirostat_1, mirostat_2, ranking, softmax, surprises, temperature};
use crate::statistics::{assert_changes_to, assert_follows};
use crate::support::{Bench, logits, plain};

fn prompt(bench: &Bench) -> Vec<Token> {
    bench.tokens("Who")
}

fn options(version: f64, tau: f64) -> GenerateOptions {
    GenerateOptions { mirostat: Some(version), mirostat_tau: Some(tau), ..plain() }
}

/// A target whose first bound, twice as high, lies in the middle between two of `values`.
fn tau_between(values: &mut [f64], rank: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    f64::midpoint(values[rank], values[rank - 1]) / 2.0
}

#[test]
fn mirostat_1_starts_with_the_count_of_tokens_that_a_zipf_distribution_has_in_twice_tau() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let raw = logits(&prompt);
    for tau in [0.7, 1.5, 2.5] {
        let expected = mirostat_1(&raw, 2.0 * tau);
        assert_changes_to(&mut bench, &options(1.0, tau), &prompt, &softmax(&expected));
    }
}

#[test]
fn mirostat_2_starts_with_the_tokens_of_at_most_twice_tau_surprise() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let raw = logits(&prompt);
    for rank in [2, 5, 14] {
        let tau = tau_between(&mut surprises(&raw), rank);
        let expected = mirostat_2(&raw, 2.0 * tau);
        assert_eq!(ranking(&expected).len(), rank);
        assert_changes_to(&mut bench, &options(2.0, tau), &prompt, &softmax(&expected));
    }
    // Where nothing is that certain, the best is left.
    assert_follows(&mut bench, &options(2.0, 0.0), &prompt, &softmax(&mirostat_2(&raw, 0.0)));
    assert_follows(&mut bench, &options(1.0, 0.0), &prompt, &softmax(&mirostat_1(&raw, 0.0)));
}

#[test]
fn mirostat_takes_the_place_of_the_truncating_samplers_and_follows_the_temperature() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let hot = temperature(&logits(&prompt), 1.7);
    let tau = tau_between(&mut surprises(&hot), 12);
    let truncating = GenerateOptions {
        temperature: Some(1.7),
        top_k: Some(1.0),
        top_p: Some(0.1),
        min_p: Some(1.0),
        typical_p: Some(0.1),
        top_n_sigma: Some(0.1),
        xtc_probability: Some(1.0),
        ..options(2.0, tau)
    };
    assert_changes_to(&mut bench, &truncating, &prompt, &softmax(&mirostat_2(&hot, 2.0 * tau)));
}

#[test]
fn mirostat_with_temperature_0_picks_the_most_likely_token() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    for version in [1.0, 2.0] {
        let cold = GenerateOptions { temperature: Some(0.0), ..options(version, 5.0) };
        let token = bench.first(&cold, 3, &prompt).expect("a token").token;
        assert_eq!(token as usize, ranking(&logits(&prompt))[0]);
    }
}

/// Runs an answer and follows Mirostat's bound beside it: what the bound rules out is never drawn.
/// The surprises of the answer's tokens.
fn follow(bench: &mut Bench, options: &GenerateOptions, seed: u32, tokens: usize) -> Vec<f64> {
    let (tau, eta) = (options.mirostat_tau.expect("tau"), options.mirostat_eta.expect("eta"));
    let heat = options.temperature.expect("a temperature");
    let wanted = GenerateOptions { logprobs: Some(true), top_logprobs: Some(1024.0), ..options.clone() };
    let answer = bench.answer(&wanted, seed, &bench.tokens("Who"), tokens).expect("an answer");
    let mut bound = 2.0 * tau;
    let mut seen = Vec::new();
    for taken in answer {
        let mut raw = vec![f64::NEG_INFINITY; 1024];
        for top in taken.logprob.expect("logprobs").top {
            raw[top.token as usize] = f64::from(top.logprob);
        }
        let end = bench.token("<|im_end|>") as usize;
        let endoftext = bench.token("<|endoftext|>") as usize;
        raw[end] = f64::NEG_INFINITY;
        raw[endoftext] = f64::NEG_INFINITY;
        let hot = temperature(&raw, heat);
        let surprise = surprises(&hot)[taken.token as usize];
        let near = if options.mirostat == Some(2.0) {
            mirostat_2(&hot, bound + 1e-3)
        } else {
            mirostat_1(&hot, bound + 1e-3)
        };
        assert!(near[taken.token as usize] > f64::NEG_INFINITY, "{surprise} bits over {bound}");
        bound -= eta * (surprise - tau);
        seen.push(surprise);
    }
    seen
}

#[test]
fn mirostat_keeps_the_surprise_of_a_long_text_at_tau() {
    let mut bench = Bench::tiny();
    for version in [1.0, 2.0] {
        for tau in [3.5, 5.5] {
            let steady = GenerateOptions {
                temperature: Some(2.5),
                mirostat_eta: Some(0.2),
                ignore_eos: Some(true),
                ..options(version, tau)
            };
            let seen = follow(&mut bench, &steady, 9, 400);
            let late = &seen[100..];
            let mean = late.iter().sum::<f64>() / late.len() as f64;
            assert!((mean - tau).abs() < 0.1, "version {version}: {mean} bits instead of {tau}");
        }
    }
}
