use std::time::{Duration, Instant};

use super::SpeculationMode;
use super::chances::{Chances, Kind};
use super::costs::{StepCosts, TOKENS_MAX};
use super::guesses::Guesses;
use crate::scheduler::Share;
use crate::sequence::Sequence;
use crate::{Engine, Limits, Proposal};

/// Guesses must promise this much more than none: to make them is not free, and promises are not exact.
const GAIN_LEAST: f64 = 1.05;
/// A guess that is less likely reached and right than this is not worth weighing.
const LEAST_LIKELY: f64 = 0.05;
/// Guesses of a trial, which together with the token before them fill the rows of the kernels.
const TRIAL: usize = 3;
/// Steps without guesses after the cache turned out full.
const REST: u32 = 64;

/// Decides how many guesses each sequence makes: as many as bring the most tokens for the time of a step, by how
/// often such guesses were right of late and what steps of each size take on this machine.
#[derive(Debug)]
pub(crate) struct Drafter {
    limits: Limits,
    costs: StepCosts,
    chances: Chances,
    rest: u32,
    /// How many tokens the step at hand has, if it is one to learn from.
    measured: Option<usize>,
    pub(crate) drafted: u64,
    pub(crate) accepted: u64,
}

/// A sequence that can guess.
#[derive(Debug, Clone)]
struct Candidate {
    /// Its place among the shares.
    share: usize,
    kind: Kind,
    most: usize,
    /// How likely each guess is right, if those before it are.
    chances: Vec<f32>,
}

impl Candidate {
    fn new(share: usize, kind: Kind, most: usize, guesses: &Guesses) -> Self {
        let at = |depth| match kind {
            Kind::After(matched) => Kind::After(matched + depth),
            Kind::Model => Kind::Model,
        };
        Self { share, kind, most, chances: (0..most).map(|depth| guesses.chance(at(depth))).collect() }
    }
}

impl Drafter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            costs: StepCosts::new(),
            chances: Chances::of_model(),
            rest: 0,
            measured: None,
            drafted: 0,
            accepted: 0,
        }
    }

    /// Adds guesses to the shares of a step. `room` is how many tokens a sequence may get at once.
    pub(crate) fn draft(
        &mut self,
        shares: &mut [Share],
        running: &mut [Sequence],
        room: &dyn Fn(&Sequence) -> usize,
        engine: &mut dyn Engine,
    ) {
        self.measured = None;
        let decodes = |share: &Share| running.get(share.place).is_some_and(Sequence::is_decoding);
        // A step with prompt is as long as the prompt makes it: it says nothing of guesses, nor they of it.
        if self.limits.drafts == 0 || !shares.iter().all(decodes) {
            return;
        }
        self.measured = Some(shares.len());
        let mut candidates = self.candidates(shares, running, room);
        self.rest = self.rest.saturating_sub(1);
        // A batch this wide has few tokens left that are worth more than those of others.
        if self.rest > 0 || candidates.is_empty() || shares.len() > TOKENS_MAX / 2 {
            return;
        }
        let mut lengths = self.choose(shares.len(), &candidates);
        let mut total = shares.len() + lengths.iter().sum::<usize>();
        for (candidate, length) in candidates.iter().zip(&mut lengths) {
            let Some(sequence) = shares.get(candidate.share).and_then(|s| running.get_mut(s.place)) else {
                continue;
            };
            let (guesses, _) = sequence.guesses();
            if *length > 0 {
                guesses.accept();
            } else if guesses.decline(candidate.kind) {
                *length = TRIAL.min(candidate.most).min(self.tokens_most().saturating_sub(total));
                total += *length;
            }
        }
        for (candidate, length) in candidates.iter_mut().zip(lengths) {
            candidate.most = length;
        }
        candidates.retain(|candidate| candidate.most > 0);
        self.make(shares, running, &candidates, engine);
        self.measured = Some(shares.iter().map(|share| share.tokens + share.drafted).sum());
    }

    /// Most tokens of a step with guesses.
    fn tokens_most(&self) -> usize {
        TOKENS_MAX.min(self.limits.batch as usize)
    }

    /// The sequences that can guess, and how much.
    fn candidates(
        &mut self,
        shares: &[Share],
        running: &mut [Sequence],
        room: &dyn Fn(&Sequence) -> usize,
    ) -> Vec<Candidate> {
        let batch = self.tokens_most().saturating_sub(shares.len());
        let mut candidates = Vec::new();
        for (index, share) in shares.iter().enumerate() {
            let Some(sequence) = running.get_mut(share.place) else { continue };
            let wanted = sequence.request.speculation;
            // What was said before, and what a smaller model reads, are tokens alone.
            let has_rows = !sequence.request.media.is_empty();
            if wanted.mode == SpeculationMode::None || !sequence.request.candidates.is_empty() || has_rows {
                continue;
            }
            let most = sequence.tokens_left(self.limits.context).min(room(sequence));
            // One token follows the last guess.
            let most =
                most.saturating_sub(1).min(batch).min(wanted.max_tokens.min(self.limits.drafts) as usize);
            let (guesses, tokens) = sequence.guesses();
            guesses.follow(tokens, &mut self.chances);
            if let Some(kind) = guesses.kind(wanted.mode).filter(|_| most > 0) {
                candidates.push(Candidate::new(index, kind, most, guesses));
            }
        }
        candidates
    }

    /// How many guesses each candidate should make in a step of `sequences`: the likeliest first, for as long as
    /// there are any, and then those up to where the most tokens came in a second.
    fn choose(&self, sequences: usize, candidates: &[Candidate]) -> Vec<usize> {
        let mut lengths = vec![0; candidates.len()];
        let mut best = lengths.clone();
        let mut reached = vec![1.0; candidates.len()];
        let (mut total, mut tokens, mut depth) = (sequences, sequences as f64, 0_usize);
        let mut best_rate = tokens / self.costs.of_step(total) * GAIN_LEAST;
        while total < self.tokens_most() {
            let next = candidates.iter().zip(&lengths).zip(&reached).enumerate();
            let likeliest = next
                .filter_map(|(i, ((c, &length), &reached))| {
                    Some((f64::from(*c.chances.get(length)?) * reached, i))
                })
                .max_by(|a, b| a.0.total_cmp(&b.0));
            let Some((chance, index)) = likeliest.filter(|(chance, _)| *chance >= LEAST_LIKELY) else {
                break;
            };
            let (Some(length), Some(reached)) = (lengths.get_mut(index), reached.get_mut(index)) else {
                break;
            };
            *length += 1;
            *reached = chance;
            if candidates.get(index).is_some_and(|candidate| candidate.kind == Kind::Model) {
                depth = depth.max(*length);
            }
            total += 1;
            tokens += chance;
            let rate = tokens / (self.costs.of_step(total) + depth as f64 * self.costs.of_guess());
            if rate > best_rate {
                best_rate = rate;
                best.clone_from(&lengths);
            }
        }
        best
    }

    /// Makes the guesses that candidates were given a number of.
    fn make(
        &mut self,
        shares: &mut [Share],
        running: &mut [Sequence],
        candidates: &[Candidate],
        engine: &mut dyn Engine,
    ) {
        let (of_model, repeated): (Vec<_>, Vec<_>) = candidates.iter().partition(|c| c.kind == Kind::Model);
        for candidate in repeated {
            let Some(share) = shares.get_mut(candidate.share) else { continue };
            let Some(sequence) = running.get_mut(share.place) else { continue };
            let (guesses, tokens) = sequence.guesses();
            share.drafted = guesses.repeat(tokens, candidate.most);
        }
        let wanted: Vec<Proposal> = of_model
            .iter()
            .filter_map(|candidate| {
                let sequence = running.get(shares.get(candidate.share)?.place)?.id;
                Some(Proposal { sequence, most: u32::try_from(candidate.most).unwrap_or(u32::MAX) })
            })
            .collect();
        if wanted.is_empty() {
            return;
        }
        let began = Instant::now();
        let Ok(proposed) = engine.propose(&wanted) else {
            // What is wrong with the engine will show in its next step.
            self.rest = REST;
            return;
        };
        self.costs.note_guesses(proposed.iter().map(Vec::len).max().unwrap_or(0), began.elapsed());
        for (candidate, drafts) in of_model.into_iter().zip(proposed) {
            let Some(share) = shares.get_mut(candidate.share) else { continue };
            let Some(sequence) = running.get_mut(share.place) else { continue };
            let drafts = drafts.get(..candidate.most.min(drafts.len())).unwrap_or_default();
            let (guesses, tokens) = sequence.guesses();
            guesses.adopt(tokens, drafts);
            share.drafted = drafts.len();
        }
    }

    /// Notes how long the step took that was drafted last.
    pub(crate) fn note_step(&mut self, took: Duration) {
        if let Some(tokens) = self.measured.take() {
            self.costs.note_step(tokens, took);
        }
    }

    /// Makes no guesses for a while: there was no room for them.
    pub(crate) fn rest(&mut self) {
        self.rest = REST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::ScriptedEngine;

    fn drafter() -> Drafter {
        Drafter::new(&Limits { drafts: 16, batch: 512, ..ScriptedEngine::small() })
    }

    fn candidate(chances: &[f32]) -> Candidate {
        Candidate { share: 0, kind: Kind::After(3), most: chances.len(), chances: chances.to_vec() }
    }

    /// A step of one takes ten milliseconds, and each token more as many as this.
    fn measured(more: u64) -> Drafter {
        let mut drafter = drafter();
        for tokens in 1..=TOKENS_MAX {
            drafter.costs.note_step(tokens, Duration::from_millis(10 + (tokens as u64 - 1) * more));
        }
        drafter
    }

    #[test]
    fn guesses_are_as_many_as_pay_on_this_machine() {
        let sure = [candidate(&[0.95; 16])];
        assert_eq!(measured(0).choose(1, &sure), [16]);
        assert!((2..16).contains(&measured(3).choose(1, &sure)[0]));
        assert_eq!(measured(10).choose(1, &sure), [0]);
        assert_eq!(measured(3).choose(1, &[candidate(&[0.2; 16])]), [0]);
    }

    #[test]
    fn a_size_that_is_cheap_by_itself_is_chosen() {
        let mut drafter = measured(8);
        drafter.costs.note_step(4, Duration::from_millis(15));
        assert_eq!(drafter.choose(1, &[candidate(&[0.95; 16])]), [3]);
    }

    #[test]
    fn the_likelier_sequence_guesses_more_and_a_wide_batch_less() {
        let lengths = measured(3).choose(2, &[candidate(&[0.95; 16]), candidate(&[0.5; 16])]);
        assert!(lengths[0] > lengths[1], "{lengths:?}");
        let many = vec![candidate(&[0.95; 16]); 16];
        let of_many: usize = measured(6).choose(16, &many).iter().sum();
        assert_eq!(of_many, 0, "a token more costs more than what comes of it");
    }
}
