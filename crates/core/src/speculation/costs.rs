use std::time::Duration;

/// Steps of up to so many tokens are measured; no guess makes a step larger.
pub(super) const TOKENS_MAX: usize = 64;
/// Of how many steps of each size the shortest counts. What else the machine does only ever adds to one.
const RECENT: usize = 8;
/// What a token more is thought to add to a step, as a part of a step of one, where nothing was measured.
const TOKEN_MORE: f64 = 0.25;

/// The seconds of the last steps of one size.
#[derive(Debug, Clone, Copy, Default)]
struct Recent {
    seconds: [f64; RECENT],
    count: usize,
}

impl Recent {
    fn note(&mut self, seconds: f64) {
        if let Some(place) = self.seconds.get_mut(self.count % RECENT) {
            *place = seconds;
        }
        self.count += 1;
    }

    fn least(&self) -> Option<f64> {
        let noted = self.seconds.iter().take(self.count);
        noted.copied().reduce(f64::min)
    }
}

/// What a step costs by how many tokens it has, and what a guess of the smaller model does. Each size is known for
/// itself: kernels that compute four rows at once make a step of four cheaper than one of three and a half.
#[derive(Debug)]
pub(super) struct StepCosts {
    steps: [Recent; TOKENS_MAX],
    guess: Recent,
}

impl StepCosts {
    pub(super) fn new() -> Self {
        Self { steps: [Recent::default(); TOKENS_MAX], guess: Recent::default() }
    }

    /// Notes a step of so many tokens.
    pub(super) fn note_step(&mut self, tokens: usize, took: Duration) {
        if took.is_zero() {
            return;
        }
        if let Some(recent) = tokens.checked_sub(1).and_then(|index| self.steps.get_mut(index)) {
            recent.note(took.as_secs_f64());
        }
    }

    /// Notes that the smaller model took this long for so many tokens in a row.
    pub(super) fn note_guesses(&mut self, tokens: usize, took: Duration) {
        if tokens > 0 && !took.is_zero() {
            self.guess.note(took.as_secs_f64() / tokens as f64);
        }
    }

    /// What a step of so many tokens takes: measured, or between the nearest that were, or guessed.
    pub(super) fn of_step(&self, tokens: usize) -> f64 {
        let known = |size: usize| self.steps.get(size.checked_sub(1)?)?.least().map(|cost| (size, cost));
        let below = (1..=tokens).rev().find_map(known);
        let above = (tokens..=TOKENS_MAX).find_map(known);
        match (below, above) {
            (Some((small, less)), Some((large, more))) if small < large => {
                less + (more - less) * (tokens - small) as f64 / (large - small) as f64
            }
            (Some((size, cost)), _) | (None, Some((size, cost))) => cost * thought(tokens) / thought(size),
            (None, None) => thought(tokens),
        }
    }

    /// What the smaller model takes for a token.
    pub(super) fn of_guess(&self) -> f64 {
        self.guess.least().unwrap_or_else(|| TOKEN_MORE * self.of_step(1))
    }
}

/// A step of so many tokens in steps of one.
fn thought(tokens: usize) -> f64 {
    1.0 + tokens.saturating_sub(1) as f64 * TOKEN_MORE
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::StepCosts;

    #[test]
    fn what_was_not_measured_lies_between_what_was_and_beyond_it_a_token_adds_a_quarter() {
        let mut costs = StepCosts::new();
        assert!((costs.of_step(5) / costs.of_step(1) - 2.0).abs() < 1e-9);
        costs.note_step(1, Duration::from_secs(10));
        assert!((costs.of_step(5) - 20.0).abs() < 1e-9);
        costs.note_step(5, Duration::from_secs(14));
        assert!((costs.of_step(3) - 12.0).abs() < 1e-9);
        assert!((costs.of_step(9) - 21.0).abs() < 1e-9);
    }

    #[test]
    fn a_step_that_something_else_held_up_does_not_count() {
        let mut costs = StepCosts::new();
        for seconds in [10, 500, 12, 11] {
            costs.note_step(1, Duration::from_secs(seconds));
        }
        assert!((costs.of_step(1) - 10.0).abs() < 1e-9);
        for _ in 0..8 {
            costs.note_step(1, Duration::from_secs(20));
        }
        assert!((costs.of_step(1) - 20.0).abs() < 1e-9, "and what was long ago does not either");
    }
}
