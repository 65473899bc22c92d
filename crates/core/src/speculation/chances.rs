use super::lookup::GRAM;

/// How often a guess of each kind is right before anything was observed: after [`GRAM`] matching tokens, after
/// 4, 8 and 16 of them, and one of a smaller model. A guess about guesses, which a few observations outweigh.
const AT_FIRST: [f32; KINDS] = [0.5, 0.7, 0.85, 0.95, 0.7];
const KINDS: usize = 5;
/// What was known before counts like so many observations.
const BEFORE: f32 = 2.0;
/// Nothing is certain, and a certainty could not be taken back.
const MOST: f32 = 0.98;

/// What kind of guess it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The token that followed so many equal ones.
    After(usize),
    /// That of a smaller model.
    Model,
}

impl Kind {
    fn index(self) -> usize {
        match self {
            Self::After(..=GRAM) => 0,
            Self::After(..8) => 1,
            Self::After(..16) => 2,
            Self::After(_) => 3,
            Self::Model => 4,
        }
    }
}

/// How often guesses of each kind were right of late.
#[derive(Debug, Clone)]
pub(super) struct Chances {
    before: [f32; KINDS],
    right: [f32; KINDS],
    made: [f32; KINDS],
    /// What an observation still counts after the next one.
    keep: f32,
}

impl Chances {
    /// Over all sequences of a model: about the last 64 guesses of a kind count.
    pub(super) fn of_model() -> Self {
        Self::new(AT_FIRST, 1.0 - 1.0 / 64.0)
    }

    /// Of a new sequence, which begins with what is known of others: about the last 8 guesses count.
    pub(super) fn of_sequence(&self) -> Self {
        let mut before = AT_FIRST;
        for (index, chance) in before.iter_mut().enumerate() {
            *chance = self.at(index);
        }
        Self::new(before, 1.0 - 1.0 / 8.0)
    }

    fn new(before: [f32; KINDS], keep: f32) -> Self {
        Self { before, right: [0.0; KINDS], made: [0.0; KINDS], keep }
    }

    /// How likely such a guess is right.
    pub(super) fn of(&self, kind: Kind) -> f32 {
        self.at(kind.index())
    }

    fn at(&self, index: usize) -> f32 {
        let of = |numbers: &[f32; KINDS]| numbers.get(index).copied().unwrap_or_default();
        ((of(&self.right) + BEFORE * of(&self.before)) / (of(&self.made) + BEFORE)).min(MOST)
    }

    pub(super) fn observe(&mut self, kind: Kind, is_right: bool) {
        let index = kind.index();
        if let (Some(right), Some(made)) = (self.right.get_mut(index), self.made.get_mut(index)) {
            *right = *right * self.keep + f32::from(u8::from(is_right));
            *made = *made * self.keep + 1.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Chances, Kind};

    #[test]
    fn a_few_wrong_guesses_outweigh_what_was_thought_of_a_kind_and_of_no_other() {
        let mut chances = Chances::of_model().of_sequence();
        let (short, long) = (Kind::After(3), Kind::After(20));
        for _ in 0..4 {
            chances.observe(short, false);
        }
        assert!(chances.of(short) < 0.2, "{}", chances.of(short));
        assert!(chances.of(long) > 0.9);
        for _ in 0..8 {
            chances.observe(short, true);
        }
        assert!(chances.of(short) > 0.6, "{}", chances.of(short));
    }

    #[test]
    fn a_sequence_begins_with_what_others_have_shown() {
        let mut model = Chances::of_model();
        for _ in 0..50 {
            model.observe(Kind::Model, false);
        }
        assert!(model.of_sequence().of(Kind::Model) < 0.1);
    }
}
