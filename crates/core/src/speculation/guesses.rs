use super::SpeculationMode;
use super::chances::{Chances, Kind};
use super::lookup::Lookup;
use crate::Token;

/// After so many steps in which guesses seemed not to pay some are made all the same, to see whether that is still
/// so; after each that did not, twice as many, up to the most.
const PAUSE_LEAST: u32 = 16;
const PAUSE_MOST: u32 = 256;
/// Guesses from repetition that are less likely right are no reason to try: whether they are right shows without
/// making them.
const WORTH_TRYING: f32 = 0.7;

/// What a sequence knows of its own tokens to come.
#[derive(Debug)]
pub(crate) struct Guesses {
    lookup: Lookup,
    chances: Option<Chances>,
    /// Its last token, and the guesses after it, for the step at hand.
    run: Vec<Token>,
    /// How many tokens it had when the smaller model made the guesses of `run`.
    asked_at: Option<usize>,
    /// Steps since there were guesses that seemed not to pay.
    declined: u32,
    pause: u32,
}

impl Default for Guesses {
    fn default() -> Self {
        Self {
            lookup: Lookup::default(),
            chances: None,
            run: Vec::new(),
            asked_at: None,
            declined: 0,
            pause: PAUSE_LEAST,
        }
    }
}

impl Guesses {
    /// Takes in what `tokens` has more than the last time, and what that says of earlier guesses.
    pub(super) fn follow(&mut self, tokens: &[Token], of_model: &mut Chances) {
        // What a prompt repeats says little of what an answer will.
        let is_answer = self.chances.is_some();
        let chances = self.chances.get_or_insert_with(|| of_model.of_sequence());
        let mut observe = |kind, is_right| {
            chances.observe(kind, is_right);
            of_model.observe(kind, is_right);
        };
        self.lookup.follow(tokens, |matched, is_right| {
            if is_answer {
                observe(Kind::After(matched), is_right);
            }
        });
        let came = self.asked_at.take().and_then(|at| tokens.get(at..)).unwrap_or_default();
        for (guess, token) in self.run.iter().skip(1).zip(came) {
            observe(Kind::Model, guess == token);
            if guess != token {
                break;
            }
        }
    }

    /// Where the next guesses come from, and what kind the first of them is.
    pub(super) fn kind(&self, mode: SpeculationMode) -> Option<Kind> {
        let repeated = self.lookup.matched().map(Kind::After);
        match mode {
            SpeculationMode::None => None,
            SpeculationMode::Lookup => repeated,
            SpeculationMode::Draft => {
                let is_better = |kind: &Kind| self.chance(*kind) >= self.chance(Kind::Model);
                Some(repeated.filter(is_better).unwrap_or(Kind::Model))
            }
        }
    }

    /// How likely such a guess is right.
    pub(super) fn chance(&self, kind: Kind) -> f32 {
        self.chances.as_ref().map_or(0.0, |chances| chances.of(kind))
    }

    /// Notes that guesses pay.
    pub(super) fn accept(&mut self) {
        (self.declined, self.pause) = (0, PAUSE_LEAST);
    }

    /// Notes that guesses of this kind seem not to pay. True if it is time to make some all the same.
    pub(super) fn decline(&mut self, kind: Kind) -> bool {
        if kind != Kind::Model && self.chance(kind) < WORTH_TRYING {
            return false;
        }
        self.declined += 1;
        let is_time = self.declined > self.pause;
        if is_time {
            (self.declined, self.pause) = (0, (self.pause * 2).min(PAUSE_MOST));
        }
        is_time
    }

    /// Makes `count` guesses from what repeats, for the next step. How many there are.
    pub(super) fn repeat(&mut self, tokens: &[Token], count: usize) -> usize {
        self.begin_run(tokens);
        self.lookup.guess(tokens, count, &mut self.run);
        self.run.len().saturating_sub(1)
    }

    /// Takes over the guesses of the smaller model for the next step.
    pub(super) fn adopt(&mut self, tokens: &[Token], drafts: &[Token]) {
        self.begin_run(tokens);
        self.run.extend_from_slice(drafts);
        self.asked_at = Some(tokens.len());
    }

    fn begin_run(&mut self, tokens: &[Token]) {
        self.run.clear();
        self.run.extend(tokens.last());
    }

    /// The last token with the guesses after it.
    pub(crate) fn run(&self) -> &[Token] {
        &self.run
    }
}
