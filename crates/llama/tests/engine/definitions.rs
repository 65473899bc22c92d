//! The sampling options by their published definitions, written down a second time.
//!
//! Every function takes one logit for each token of the vocabulary and gives them back changed;
//! negative infinity stands for a token that is ruled out.

use std::collections::HashMap;

use rkllmjs_core::Token;

const OUT: f64 = f64::NEG_INFINITY;

/// Probabilities of logits: `exp(x) / Σ exp(x)`.
pub(crate) fn softmax(logits: &[f64]) -> Vec<f64> {
    let highest = logits.iter().copied().fold(OUT, f64::max);
    let total: f64 = logits.iter().map(|x| (x - highest).exp()).sum();
    logits.iter().map(|x| (x - highest).exp() / total).collect()
}

/// Tokens by falling logit.
pub(crate) fn ranking(logits: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..logits.len()).filter(|&i| logits[i] > OUT).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    order
}

/// Rules out everything but `keep`.
pub(crate) fn only(logits: &[f64], keep: &[usize]) -> Vec<f64> {
    let mut left = vec![OUT; logits.len()];
    for &token in keep {
        left[token] = logits[token];
    }
    left
}

/// In nats, with `0 · log 0 = 0`.
fn entropy(probabilities: &[f64]) -> f64 {
    probabilities.iter().filter(|&&p| p > 0.0).map(|p| -p * p.ln()).sum()
}

/// Ackley, Hinton, Sejnowski: A Learning Algorithm for Boltzmann Machines (1985): `x / T`.
pub(crate) fn temperature(logits: &[f64], temperature: f64) -> Vec<f64> {
    logits.iter().map(|x| x / temperature).collect()
}

/// llama.cpp's pull request 4972 (kalomaze): the temperature lies between `T - range` and
/// `T + range`, as far up as the entropy lies between 0 and the most so many tokens can have.
pub(crate) fn dynamic_temperature(logits: &[f64], middle: f64, range: f64) -> Vec<f64> {
    let (low, high) = ((middle - range).max(0.0), middle + range);
    let most = (ranking(logits).len() as f64).ln();
    temperature(logits, low + (high - low) * entropy(&softmax(logits)) / most)
}

/// Fan, Lewis, Dauphin: Hierarchical Neural Story Generation (2018): the `k` most likely.
pub(crate) fn top_k(logits: &[f64], k: usize) -> Vec<f64> {
    only(logits, &ranking(logits)[..k])
}

/// Holtzman et al.: The Curious Case of Neural Text Degeneration (2020): the fewest of the most
/// likely that have the probability `p` together.
pub(crate) fn top_p(logits: &[f64], p: f64) -> Vec<f64> {
    let order = ranking(logits);
    only(logits, &order[..fewest(&softmax(logits), &order, p)])
}

/// How many of `order` it takes to have this much probability.
fn fewest(probabilities: &[f64], order: &[usize], mass: f64) -> usize {
    let mut sum = 0.0;
    let enough = order.iter().position(|&token| {
        sum += probabilities[token];
        sum >= mass
    });
    enough.map_or(order.len(), |place| place + 1)
}

/// Nguyen et al.: Turning Up the Heat: Min-p Sampling (2024): at least `share` of the best one's
/// probability.
pub(crate) fn min_p(logits: &[f64], share: f64) -> Vec<f64> {
    let probabilities = softmax(logits);
    let best = probabilities.iter().copied().fold(0.0, f64::max);
    let keep: Vec<usize> = (0..logits.len()).filter(|&i| probabilities[i] >= share * best).collect();
    only(logits, &keep)
}

/// Tokens with how far their surprise is from the entropy, nearest first.
pub(crate) fn by_typicality(logits: &[f64]) -> Vec<(usize, f64)> {
    let probabilities = softmax(logits);
    let entropy = entropy(&probabilities);
    let mut order: Vec<(usize, f64)> =
        ranking(logits).into_iter().map(|i| (i, (-probabilities[i].ln() - entropy).abs())).collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    order
}

/// Meister et al.: Locally Typical Sampling (2022): the fewest of those whose surprise is nearest to
/// the entropy that have the probability `p` together.
pub(crate) fn typical_p(logits: &[f64], p: f64) -> Vec<f64> {
    let order: Vec<usize> = by_typicality(logits).into_iter().map(|(token, _)| token).collect();
    only(logits, &order[..fewest(&softmax(logits), &order, p)])
}

/// The standard deviation of the logits that are not ruled out.
pub(crate) fn deviation(logits: &[f64]) -> f64 {
    let left: Vec<f64> = logits.iter().copied().filter(|&x| x > OUT).collect();
    let mean = left.iter().sum::<f64>() / left.len() as f64;
    (left.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / left.len() as f64).sqrt()
}

/// Tang et al.: Top-nσ: Not All Logits Are You Need (2024): within `n` standard deviations of the
/// highest logit.
pub(crate) fn top_n_sigma(logits: &[f64], n: f64) -> Vec<f64> {
    let highest = logits.iter().copied().fold(OUT, f64::max);
    let floor = highest - n * deviation(logits);
    let keep: Vec<usize> = (0..logits.len()).filter(|&i| logits[i] >= floor).collect();
    only(logits, &keep)
}

/// text-generation-webui's pull request 6335 (p-e-w): where at least two tokens reach the threshold,
/// all of these but the least likely are ruled out. This is what is left when the coin says so.
pub(crate) fn xtc(logits: &[f64], threshold: f64) -> Vec<f64> {
    let probabilities = softmax(logits);
    let order = ranking(logits);
    let top = order.iter().take_while(|&&token| probabilities[token] >= threshold).count();
    only(logits, &order[top.max(1) - 1..])
}

/// Keskar et al.: CTRL (2019), with the usual correction for negative logits: a recent token's logit
/// is divided by the penalty, or multiplied where that weakens it.
pub(crate) fn repeat_penalty(logits: &[f64], recent: &[Token], penalty: f64) -> Vec<f64> {
    let weaken = |x: f64| if x > 0.0 { x / penalty } else { x * penalty };
    let mut left = logits.to_vec();
    for (token, logit) in left.iter_mut().enumerate() {
        if recent.iter().any(|&t| t as usize == token) {
            *logit = weaken(*logit);
        }
    }
    left
}

/// OpenAI's API reference: `x - count · frequency - (count > 0) · presence`.
pub(crate) fn count_penalties(logits: &[f64], recent: &[Token], frequency: f64, presence: f64) -> Vec<f64> {
    let mut left = logits.to_vec();
    for (token, logit) in left.iter_mut().enumerate() {
        let count = recent.iter().filter(|&&t| t as usize == token).count() as f64;
        *logit -= count * frequency + count.min(1.0) * presence;
    }
    left
}

/// text-generation-webui's pull request 5677 (p-e-w): a token that would lengthen a repeat of the
/// text's last `n ≥ allowed` tokens loses `multiplier · base ^ (n - allowed)`. A repeat does not reach
/// over a breaker, and breakers are never weakened.
pub(crate) fn dry(
    logits: &[f64],
    text: &[Token],
    (multiplier, base, allowed): (f64, f64, usize),
    is_breaker: impl Fn(Token) -> bool,
) -> Vec<f64> {
    let mut longest: HashMap<Token, usize> = HashMap::new();
    for next in 1..text.len() {
        let repeated = (0..next)
            .take_while(|&back| {
                let (there, here) = (text[next - 1 - back], text[text.len() - 1 - back]);
                there == here && !is_breaker(there)
            })
            .count();
        let length = longest.entry(text[next]).or_default();
        *length = repeated.max(*length);
    }
    let mut left = logits.to_vec();
    for (token, length) in longest {
        if length >= allowed && !is_breaker(token) {
            left[token as usize] -= multiplier * base.powf((length - allowed) as f64);
        }
    }
    left
}

/// Surprise in bits of every token.
pub(crate) fn surprises(logits: &[f64]) -> Vec<f64> {
    softmax(logits).into_iter().map(|p| -p.log2()).collect()
}

/// Basu et al.: Mirostat (2021), algorithm 1: the exponent of a Zipf distribution is estimated from
/// the hundred most likely tokens; of such a one the `k` most likely have the surprise `bound`.
pub(crate) fn mirostat_1(logits: &[f64], bound: f64) -> Vec<f64> {
    let probabilities = softmax(logits);
    let order = ranking(logits);
    let (mut above, mut below) = (0.0, 0.0);
    for i in 0..99.min(order.len() - 1) {
        let t = ((i as f64 + 2.0) / (i as f64 + 1.0)).ln();
        above += t * (probabilities[order[i]] / probabilities[order[i + 1]]).ln();
        below += t * t;
    }
    let s = above / below;
    let e = s - 1.0;
    let k = (e * bound.exp2() / (1.0 - (logits.len() as f64).powf(-e))).powf(1.0 / s);
    top_k(logits, (k as usize).clamp(1, order.len()))
}

/// The same, algorithm 2: tokens of more surprise than `bound` are ruled out, but for the best.
pub(crate) fn mirostat_2(logits: &[f64], bound: f64) -> Vec<f64> {
    let surprises = surprises(logits);
    let best = ranking(logits)[0];
    let keep: Vec<usize> = (0..logits.len()).filter(|&i| i == best || surprises[i] <= bound).collect();
    only(logits, &keep)
}
