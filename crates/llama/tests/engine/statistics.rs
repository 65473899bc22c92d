//! Whether counts fit probabilities.

use rkllmjs_core::{GenerateOptions, Token};

use crate::support::{Bench, logits};

/// Prompt tokens computed for one comparison: so many draws from a prompt of one.
const PROMPT_TOKENS: usize = 4096;
/// Fewest draws of one comparison.
const DRAWS_LEAST: usize = 400;
/// Bins are pooled until each expects this many.
const EXPECTED_LEAST: f64 = 5.0;
/// 99.99 % of a standard normal distribution lie below this.
const NORMAL_QUANTILE: f64 = 3.719;

/// Fails unless the engine's first tokens after `prompt` follow `expected`, one probability for each
/// token: nothing outside its support is ever drawn, and Pearson's chi-square is one that a right
/// sampler stays below 9999 times in 10000. The seeds are fixed, so the outcome is too.
pub(crate) fn assert_follows(
    bench: &mut Bench,
    options: &GenerateOptions,
    prompt: &[Token],
    expected: &[f64],
) {
    let sum: f64 = expected.iter().sum();
    assert!((sum - 1.0).abs() < 1e-9, "the expectation adds up to {sum}");
    let draws = (PROMPT_TOKENS / prompt.len()).max(DRAWS_LEAST);
    let counts = bench.counts(options, prompt, u32::try_from(draws).expect("a few thousand"));
    for (token, (&count, &p)) in counts.iter().zip(expected).enumerate() {
        assert!(p > 0.0 || count == 0, "token {token} must never be drawn and was {count} times");
    }
    let (statistic, freedom) = chi_square(&counts, expected);
    let limit = quantile(freedom);
    assert!(
        statistic <= limit,
        "chi-square {statistic:.1} over {limit:.1} with {freedom} degrees of freedom"
    );
}

/// The same, and the option must make a difference that so many draws can show.
pub(crate) fn assert_changes_to(
    bench: &mut Bench,
    options: &GenerateOptions,
    prompt: &[Token],
    expected: &[f64],
) {
    let without = crate::definitions::softmax(&logits(prompt));
    let distance: f64 = without.iter().zip(expected).map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0;
    assert!(distance > 0.03, "the option moves only {distance} of the probability: no test of it");
    assert_follows(bench, options, prompt, expected);
}

fn chi_square(counts: &[u32], expected: &[f64]) -> (f64, f64) {
    let draws = f64::from(counts.iter().sum::<u32>());
    let mut bins: Vec<(f64, f64)> =
        counts.iter().zip(expected).map(|(&n, &p)| (p * draws, f64::from(n))).collect();
    bins.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut pooled: Vec<(f64, f64)> = Vec::new();
    let mut pool = (0.0, 0.0);
    for (expected, observed) in bins {
        pool = (pool.0 + expected, pool.1 + observed);
        if pool.0 >= EXPECTED_LEAST {
            pooled.push(std::mem::take(&mut pool));
        }
    }
    let statistic = pooled.iter().map(|(e, o)| (o - e).powi(2) / e).sum();
    (statistic, (pooled.len() as f64 - 1.0).max(0.0))
}

/// What chi-square stays below with 99.99 %, by the approximation of Wilson and Hilferty.
fn quantile(freedom: f64) -> f64 {
    if freedom == 0.0 {
        return 1e-9;
    }
    let spread = 2.0 / (9.0 * freedom);
    freedom * (1.0 - spread + NORMAL_QUANTILE * spread.sqrt()).powi(3)
}

#[test]
fn the_quantiles_are_those_of_the_tables() {
    for (freedom, tabulated) in [(1.0, 15.14), (10.0, 35.56), (100.0, 161.32)] {
        let ratio: f64 = quantile(freedom) / tabulated;
        assert!((0.99..1.08).contains(&ratio), "{freedom}: {ratio}");
    }
}
