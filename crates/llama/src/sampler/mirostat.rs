use llama_cpp_sys_2 as sys;
use rkllmjs_core::Sampling;

/// The tail of a distribution is estimated from this many tokens, as in the paper.
const TOKENS_ESTIMATED: usize = 100;

/// Mirostat (Basu et al., ICLR 2021): keeps the surprise of a text near a target by cutting each
/// distribution at a bound, which it corrects after every token.
///
/// Surprise is that of the distribution before the cut, as in the paper and its authors' code.
/// llama.cpp measures it after the cut, learns from tokens that a grammar then refuses, and draws
/// random numbers of its own.
#[derive(Debug)]
pub(super) struct Mirostat {
    version: u32,
    target: f64,
    rate: f64,
    /// The paper's μ, in bits.
    bound: f64,
    vocabulary: f64,
    /// Logarithm of the sum of all weights before the last cut.
    log_total: f64,
}

impl Mirostat {
    pub(super) fn new(sampling: &Sampling, vocabulary_size: u32) -> Self {
        let target = f64::from(sampling.mirostat_tau);
        Self {
            version: sampling.mirostat,
            target,
            rate: f64::from(sampling.mirostat_eta),
            bound: 2.0 * target,
            vocabulary: f64::from(vocabulary_size),
            log_total: 0.0,
        }
    }

    /// Reorders `left` and keeps what may be drawn, at least the most likely candidate.
    pub(super) fn cut<'a>(
        &mut self,
        left: &'a mut [sys::llama_token_data],
    ) -> &'a mut [sys::llama_token_data] {
        let highest = left.iter().map(|c| f64::from(c.logit)).fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = left.iter().map(|c| (f64::from(c.logit) - highest).exp()).sum();
        self.log_total = highest + total.ln();
        let kept = if self.version == 1 { self.cut_by_count(left) } else { self.cut_by_surprise(left) };
        left.get_mut(..kept).unwrap_or_default()
    }

    /// Corrects the bound by the candidate that was chosen after the last cut.
    pub(super) fn learn(&mut self, chosen: sys::llama_token_data) {
        self.bound -= self.rate * (self.surprise(chosen) - self.target);
    }

    fn surprise(&self, candidate: sys::llama_token_data) -> f64 {
        (self.log_total - f64::from(candidate.logit)) / std::f64::consts::LN_2
    }

    /// Version 2: the tokens whose surprise is within the bound.
    fn cut_by_surprise(&self, left: &mut [sys::llama_token_data]) -> usize {
        let mut kept = 0;
        for i in 0..left.len() {
            if left.get(i).is_some_and(|&c| self.surprise(c) <= self.bound) {
                left.swap(kept, i);
                kept += 1;
            }
        }
        if kept > 0 {
            return kept;
        }
        most_likely_first(left, 1)
    }

    /// Version 1: as many tokens as a Zipf distribution with the estimated exponent has within the
    /// bound.
    fn cut_by_count(&self, left: &mut [sys::llama_token_data]) -> usize {
        let estimated = most_likely_first(left, TOKENS_ESTIMATED);
        let (mut products, mut squares) = (0.0, 0.0);
        for (rank, pair) in (1..).map(f64::from).zip(left.get(..estimated).unwrap_or_default().windows(2)) {
            if let [a, b] = pair {
                let t = ((rank + 1.0) / rank).ln();
                products += t * (f64::from(a.logit) - f64::from(b.logit));
                squares += t * t;
            }
        }
        let exponent = products / squares;
        let epsilon = exponent - 1.0;
        let count =
            (epsilon * self.bound.exp2() / (1.0 - self.vocabulary.powf(-epsilon))).powf(1.0 / exponent);
        // Where all tokens are as likely there is no exponent and no reason to cut; a single one
        // has none either. A conversion to an integer saturates.
        let count = if count.is_nan() { left.len() } else { (count as usize).max(1) };
        most_likely_first(left, count)
    }
}

/// Brings the `count` most likely candidates to the front, in their order; how many there are.
fn most_likely_first(left: &mut [sys::llama_token_data], count: usize) -> usize {
    let better = |a: &sys::llama_token_data, b: &sys::llama_token_data| {
        b.logit.total_cmp(&a.logit).then(a.id.cmp(&b.id))
    };
    let count = count.min(left.len());
    if count > 0 && count < left.len() {
        left.select_nth_unstable_by(count - 1, better);
    }
    left.get_mut(..count).unwrap_or_default().sort_unstable_by(better);
    count
}
