//! The options that rule tokens out.

use rkllmjs_core::{GenerateOptions, Token};

use crate::definitions::{
    by_typicality, deviation, min_p, only, ranking, softmax, temperature, top_k, top_n_sigma, top_p,
    typical_p, xtc,
};
use crate::statistics::{assert_changes_to, assert_follows};
use crate::support::{Bench, logits, plain};

/// After this word the model hesitates between some fifty tokens.
fn prompt(bench: &Bench) -> Vec<Token> {
    bench.tokens("Who")
}

/// Where a bound lies farthest from both its neighbours, so that the rounding of another processor
/// cannot move a token over it: how many values stand before the widest gap.
fn before_the_widest_gap(values: &[f64]) -> usize {
    let gap = |n: usize| (values[n - 1] - values[n]).abs();
    (4..24).max_by(|&a, &b| gap(a).total_cmp(&gap(b))).expect("a range")
}

/// The middle of the two values around it.
fn around(values: &[f64], n: usize) -> f64 {
    f64::midpoint(values[n - 1], values[n])
}

fn sums(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sum = 0.0;
    let add = |value| {
        sum += value;
        sum
    };
    values.map(add).collect()
}

#[test]
fn top_k_keeps_the_k_most_likely_tokens() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let raw = logits(&prompt);
    let falling: Vec<f64> = ranking(&raw).into_iter().map(|i| raw[i]).collect();
    let k = before_the_widest_gap(&falling);
    let options = GenerateOptions { top_k: Some(k as f64), ..plain() };
    assert_changes_to(&mut bench, &options, &prompt, &softmax(&top_k(&raw, k)));
}

#[test]
fn top_k_of_0_or_of_more_than_the_vocabulary_keeps_everything() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let raw = softmax(&logits(&prompt));
    for k in [0.0, 1024.0, 1e9] {
        assert_follows(&mut bench, &GenerateOptions { top_k: Some(k), ..plain() }, &prompt, &raw);
    }
}

#[test]
fn top_p_keeps_the_fewest_tokens_with_this_much_probability() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let raw = logits(&prompt);
    let order = ranking(&raw);
    let falling: Vec<f64> = order.iter().map(|&i| raw[i]).collect();
    let p = around(&sums(order.iter().map(|&i| softmax(&raw)[i])), before_the_widest_gap(&falling) - 1);
    let options = GenerateOptions { top_p: Some(p), ..plain() };
    assert_changes_to(&mut bench, &options, &prompt, &softmax(&top_p(&raw, p)));
    let best = softmax(&only(&raw, &order[..1]));
    assert_follows(&mut bench, &GenerateOptions { top_p: Some(0.0), ..plain() }, &prompt, &best);
}

#[test]
fn min_p_keeps_tokens_with_this_share_of_the_best_ones_probability() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let raw = logits(&prompt);
    let shares: Vec<f64> = ranking(&raw).into_iter().map(|i| raw[i] - raw[ranking(&raw)[0]]).collect();
    let share = around(&shares, before_the_widest_gap(&shares)).exp();
    let options = GenerateOptions { min_p: Some(share), ..plain() };
    assert_changes_to(&mut bench, &options, &prompt, &softmax(&min_p(&raw, share)));
    let best = softmax(&only(&raw, &ranking(&raw)[..1]));
    assert_follows(&mut bench, &GenerateOptions { min_p: Some(1.0), ..plain() }, &prompt, &best);
}

/// A mass for `typical_p` whose set ends at a wide gap.
fn typical_mass(raw: &[f64]) -> f64 {
    let order = by_typicality(raw);
    let far: Vec<f64> = order.iter().map(|&(_, far)| far).collect();
    around(&sums(order.iter().map(|&(i, _)| softmax(raw)[i])), before_the_widest_gap(&far) - 1)
}

#[test]
fn typical_p_keeps_the_tokens_of_typical_surprise() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let raw = logits(&prompt);
    let p = typical_mass(&raw);
    let options = GenerateOptions { typical_p: Some(p), ..plain() };
    let expected = typical_p(&raw, p);
    assert_ne!(ranking(&expected), ranking(&top_k(&raw, ranking(&expected).len())), "it is another set");
    assert_changes_to(&mut bench, &options, &prompt, &softmax(&expected));
}

#[test]
fn typical_p_does_not_count_what_is_ruled_out() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let raw = logits(&prompt);
    let banned = ranking(&raw)[30];
    let left: Vec<usize> = (0..raw.len()).filter(|&i| i != banned).collect();
    let raw = only(&raw, &left);
    let p = typical_mass(&raw);
    let options = GenerateOptions {
        typical_p: Some(p),
        logit_bias: Some(vec![(banned as f64, f64::NEG_INFINITY)]),
        ..plain()
    };
    assert_changes_to(&mut bench, &options, &prompt, &softmax(&typical_p(&raw, p)));
}

#[test]
fn typical_p_survives_probabilities_that_single_precision_calls_0() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let cold = temperature(&logits(&prompt), 0.1);
    assert!(cold[ranking(&cold)[0]] - cold[*ranking(&cold).last().expect("tokens")] > 110.0);
    let options = GenerateOptions {
        temperature: Some(0.1),
        typical_p: Some(0.2),
        samplers: Some(vec!["temperature".into(), "typical_p".into()]),
        ..plain()
    };
    let expected = typical_p(&cold, 0.2);
    assert_ne!(ranking(&expected)[0], ranking(&cold)[0], "the best token is not the most typical one");
    assert_changes_to(&mut bench, &options, &prompt, &softmax(&expected));
}

#[test]
fn top_n_sigma_keeps_logits_within_n_deviations_of_the_highest() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let raw = logits(&prompt);
    let falling: Vec<f64> = ranking(&raw).into_iter().map(|i| raw[i]).collect();
    let n = (falling[0] - around(&falling, before_the_widest_gap(&falling))) / deviation(&raw);
    let options = GenerateOptions { top_n_sigma: Some(n), ..plain() };
    assert_changes_to(&mut bench, &options, &prompt, &softmax(&top_n_sigma(&raw, n)));
}

#[test]
fn xtc_drops_all_top_choices_but_the_least_likely_with_its_probability() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let raw = logits(&prompt);
    let falling: Vec<f64> = ranking(&raw).into_iter().map(|i| softmax(&raw)[i]).collect();
    // Three tokens are above it.
    let threshold = around(&falling, 3);
    let (kept, dropped) = (softmax(&raw), softmax(&xtc(&raw, threshold)));
    for chance in [0.3, 1.0] {
        let options =
            GenerateOptions { xtc_probability: Some(chance), xtc_threshold: Some(threshold), ..plain() };
        let expected: Vec<f64> =
            kept.iter().zip(&dropped).map(|(k, d)| k * (1.0 - chance) + d * chance).collect();
        assert_changes_to(&mut bench, &options, &prompt, &expected);
    }
}

#[test]
fn xtc_needs_two_top_choices_and_a_chance() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let raw = softmax(&logits(&prompt));
    let best = raw.iter().copied().fold(0.0, f64::max);
    let second = raw[ranking(&logits(&prompt))[1]];
    for (chance, threshold) in [(1.0, 0.51), (1.0, f64::midpoint(best, second)), (1.0, 0.5), (0.0, 0.05)] {
        let options =
            GenerateOptions { xtc_probability: Some(chance), xtc_threshold: Some(threshold), ..plain() };
        assert_follows(&mut bench, &options, &prompt, &raw);
    }
}

#[test]
fn xtc_does_not_count_what_is_ruled_out() {
    let mut bench = Bench::tiny();
    let prompt = prompt(&bench);
    let raw = logits(&prompt);
    let left = &ranking(&raw)[..4];
    let ban = |i: usize| (i as f64, f64::NEG_INFINITY);
    let options = GenerateOptions {
        xtc_probability: Some(1.0),
        xtc_threshold: Some(0.0),
        logit_bias: Some((0..raw.len()).filter(|i| !left.contains(i)).map(ban).collect()),
        ..plain()
    };
    assert_follows(&mut bench, &options, &prompt, &softmax(&only(&raw, &left[3..])));
}
