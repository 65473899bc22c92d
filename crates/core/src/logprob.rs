use crate::Token;

/// How likely a token was, by the model's own distribution before any sampling option.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLogprob {
    /// The token.
    pub token: Token,
    /// The bytes it adds to the text.
    pub bytes: Vec<u8>,
    /// Natural logarithm of its probability, at most 0.
    pub logprob: f32,
    /// The most likely tokens at this place, best first; each with an empty `top`.
    pub top: Vec<TokenLogprob>,
}

impl TokenLogprob {
    /// The likeliest of `candidates` under `logits`, with all of them in their order as its `top`, for
    /// [`Opening::candidates`](crate::Opening::candidates). None of them has bytes. `None` where a candidate
    /// has no logit, or the logits are no numbers.
    pub fn among(logits: &[f32], candidates: &[Token]) -> Option<Self> {
        let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|&logit| f64::from(logit - best).exp()).sum();
        let log_sum = f64::from(best) + sum.ln();
        let weigh = |&token: &Token| {
            let logprob = (f64::from(*logits.get(token as usize)?) - log_sum) as f32;
            let logprob = logprob.min(0.0);
            log_sum.is_finite().then(|| Self { token, bytes: Vec::new(), logprob, top: Vec::new() })
        };
        let top: Vec<Self> = candidates.iter().map(weigh).collect::<Option<_>>()?;
        let first = top.iter().max_by(|a, b| a.logprob.total_cmp(&b.logprob))?.clone();
        Some(Self { top, ..first })
    }
}

#[cfg(test)]
mod tests {
    use super::TokenLogprob;

    #[test]
    fn candidates_are_weighed_however_unlikely_they_are() {
        let logits = [9.0, 1.0, 3.0, -2.0];
        let chosen = TokenLogprob::among(&logits, &[3, 2]).expect("weighed");
        assert_eq!(chosen.token, 2);
        let [no, yes] = chosen.top.as_slice() else { panic!("{chosen:?}") };
        assert_eq!((no.token, yes.token), (3, 2));
        assert!((yes.logprob - no.logprob - 5.0).abs() < 1e-5, "{chosen:?}");
        let all = TokenLogprob::among(&logits, &[0, 1, 2, 3]).expect("weighed");
        let total: f32 = all.top.iter().map(|one| one.logprob.exp()).sum();
        assert!((total - 1.0).abs() < 1e-5, "{total}");
    }

    #[test]
    fn what_has_no_logit_or_no_number_weighs_nothing() {
        assert_eq!(TokenLogprob::among(&[1.0, 2.0], &[0, 2]), None);
        assert_eq!(TokenLogprob::among(&[], &[0]), None);
        assert_eq!(TokenLogprob::among(&[1.0, 2.0], &[]), None);
        assert_eq!(TokenLogprob::among(&[f32::NAN, 2.0], &[1]), None);
        assert_eq!(TokenLogprob::among(&[f32::NEG_INFINITY; 2], &[1]), None);
    }
}
