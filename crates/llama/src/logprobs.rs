use rkllmjs_core::{Token, TokenLogprob, Tokenizer};

use rkllmjs_core::Special;

/// The log probability of `token` under `logits`, with the `top` most likely tokens.
///
/// It is the model's own distribution: softmax over all logits, before any sampling option.
pub(crate) fn token_logprob(
    logits: &[f32],
    token: Token,
    top: u32,
    tokenizer: &dyn Tokenizer,
) -> TokenLogprob {
    let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&x| f64::from(x - best).exp()).sum();
    let log_sum = f64::from(best) + sum.ln();
    let describe = |token: Token, top: Vec<TokenLogprob>| TokenLogprob {
        token,
        bytes: tokenizer.piece(token, Special { add: false, parse: true }),
        logprob: logits
            .get(token as usize)
            .map_or(f32::NEG_INFINITY, |&x| (f64::from(x) - log_sum) as f32)
            .min(0.0),
        top,
    };
    let alternatives =
        most_likely(logits, top as usize).into_iter().map(|t| describe(t, Vec::new())).collect();
    describe(token, alternatives)
}

/// The `count` tokens with the highest logits, best first; equal ones in the order of their numbers.
fn most_likely(logits: &[f32], count: usize) -> Vec<Token> {
    let mut order: Vec<Token> = (0..u32::try_from(logits.len()).unwrap_or(u32::MAX)).collect();
    let logit = |t: &Token| logits.get(*t as usize).copied().unwrap_or(f32::NEG_INFINITY);
    let better = |a: &Token, b: &Token| logit(b).total_cmp(&logit(a)).then(a.cmp(b));
    let count = count.min(order.len());
    if count < order.len() {
        order.select_nth_unstable_by(count, better);
        order.truncate(count);
    }
    order.sort_unstable_by(better);
    order
}

#[cfg(test)]
mod tests {
    use super::most_likely;

    #[test]
    fn the_most_likely_come_first_and_ties_by_number() {
        assert_eq!(most_likely(&[0.0, 3.0, 1.0, 3.0], 3), [1, 3, 2]);
        assert_eq!(most_likely(&[1.0, 2.0], 9), [1, 0]);
        assert_eq!(most_likely(&[1.0, 2.0], 0), [0; 0]);
    }
}
