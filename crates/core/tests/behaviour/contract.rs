//! The contract of an engine holds for the scripted one, and catches engines that break it.

use rkllmjs_core::contract::{ContractInput, engine_contract};
use rkllmjs_core::scripted::{Gate, ScriptedEngine};
use rkllmjs_core::{
    AbortSwitch, Adapters, Batch, Engine, Error, Limits, Opening, Sampled, Sampling, SequenceId, Sink,
    StepOutcome,
};

fn input() -> ContractInput {
    ContractInput {
        prompts: vec![(1..=7).collect(), (101..=103).collect(), (201..=212).collect()],
        answer_tokens: 6,
    }
}

fn scripted() -> ScriptedEngine {
    ScriptedEngine::new(ScriptedEngine::small(), Gate::open())
}

/// What a broken engine does wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Flaw {
    SamplesEveryRun,
    MindsStretches,
    MindsCompany,
    ForgetsWhenParked,
    NeverLetsGo,
    CountsStoppedSteps,
    HasTwoSwitches,
    MindsStrangers,
    IgnoresGrammars,
    IgnoresConstraints,
    ReportsUnasked,
    CallsNothingLarge,
    SharesInNameOnly,
    SharesWhatIsNotThere,
    RestoresInNameOnly,
    RestoresAnything,
}

/// A scripted engine with a flaw.
struct Flawed {
    engine: ScriptedEngine,
    flaw: Flaw,
    limits: Limits,
    opened: u32,
    drift: u32,
}

impl Flawed {
    fn new(flaw: Flaw) -> Self {
        let saves = matches!(flaw, Flaw::RestoresInNameOnly | Flaw::RestoresAnything);
        let small = if saves { ScriptedEngine::sharing() } else { ScriptedEngine::small() };
        let engine = ScriptedEngine::new(small, Gate::open());
        let mut limits = engine.limits().clone();
        if flaw == Flaw::CallsNothingLarge {
            limits.batch = 64;
        }
        limits.shares |= matches!(flaw, Flaw::SharesInNameOnly);
        Self { engine, flaw, limits, opened: 0, drift: 0 }
    }
}

/// Changes what passes through it.
struct Bent<'a> {
    sink: &'a mut dyn Sink,
    drift: u32,
    logprob: bool,
}

impl Sink for Bent<'_> {
    fn token(&mut self, sequence: SequenceId, sampled: Sampled<'_>) {
        let logprob = self.logprob.then(|| rkllmjs_core::TokenLogprob {
            token: sampled.token,
            bytes: Vec::new(),
            logprob: -0.5,
            top: Vec::new(),
        });
        self.sink.token(sequence, Sampled { token: sampled.token + self.drift, logprob, ..sampled });
    }

    fn failed(&mut self, sequence: SequenceId, error: Error) {
        self.sink.failed(sequence, error);
    }
}

impl Engine for Flawed {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn abort_switch(&self) -> AbortSwitch {
        if self.flaw == Flaw::HasTwoSwitches { AbortSwitch::default() } else { self.engine.abort_switch() }
    }

    fn open(&mut self, sequence: SequenceId, opening: Opening<'_>) -> Result<(), Error> {
        self.opened += 1;
        let sampling = match self.flaw {
            Flaw::IgnoresGrammars => Sampling { grammar: None, ..opening.sampling.clone() },
            Flaw::IgnoresConstraints => Sampling { constraint: None, ..opening.sampling.clone() },
            _ => opening.sampling.clone(),
        };
        self.engine.open(sequence, Opening { sampling: &sampling, ..opening })
    }

    fn step(&mut self, batch: &Batch<'_>, sink: &mut dyn Sink) -> Result<StepOutcome, Error> {
        let mut batch = batch.clone();
        let tokens = batch.runs.first().map_or(0, |run| run.tokens.len());
        let drift = match self.flaw {
            Flaw::MindsStretches => u32::from(tokens == 2),
            Flaw::MindsCompany => u32::try_from(batch.runs.len() - 1).unwrap_or(0),
            _ => self.drift,
        };
        if self.flaw == Flaw::SamplesEveryRun {
            batch.runs.iter_mut().for_each(|run| run.sample = true);
        }
        let mut sink = Bent { sink, drift, logprob: self.flaw == Flaw::ReportsUnasked };
        let outcome = self.engine.step(&batch, &mut sink);
        if self.flaw == Flaw::CountsStoppedSteps && matches!(outcome, Ok(StepOutcome::Aborted)) {
            self.drift += 1;
        }
        outcome
    }

    fn share(&mut self, from: SequenceId, to: SequenceId, tokens: std::ops::Range<u32>) -> bool {
        match self.flaw {
            Flaw::SharesInNameOnly | Flaw::SharesWhatIsNotThere => true,
            _ => self.engine.share(from, to, tokens),
        }
    }

    fn save(&mut self, sequence: SequenceId, tokens: u32) -> Result<Option<Vec<u8>>, Error> {
        self.engine.save(sequence, tokens)
    }

    fn restore(
        &mut self,
        sequence: SequenceId,
        tokens: u32,
        adapters: &Adapters,
        saved: &[u8],
    ) -> Result<bool, Error> {
        match self.flaw {
            Flaw::RestoresInNameOnly => Ok(true),
            Flaw::RestoresAnything => Ok(self.engine.restore(sequence, tokens, adapters, saved) == Ok(true)),
            _ => self.engine.restore(sequence, tokens, adapters, saved),
        }
    }

    fn park(&mut self, sequence: SequenceId) {
        match self.flaw {
            Flaw::ForgetsWhenParked => self.engine.release(sequence),
            _ => self.engine.park(sequence),
        }
    }

    fn release(&mut self, sequence: SequenceId) {
        match self.flaw {
            Flaw::NeverLetsGo => {}
            Flaw::MindsStrangers if sequence.0 == 77 => self.drift += 1,
            _ => self.engine.release(sequence),
        }
    }
}

#[test]
fn the_scripted_engine_keeps_the_contract() {
    assert_eq!(engine_contract(&mut || Box::new(scripted()), &input()), Ok(()));
}

#[test]
fn a_scripted_engine_that_shares_keeps_the_contract() {
    let make = || ScriptedEngine::new(ScriptedEngine::sharing(), Gate::open());
    assert_eq!(engine_contract(&mut || Box::new(make()), &input()), Ok(()));
}

#[test]
fn a_scripted_engine_that_takes_drafts_keeps_the_contract() {
    let make = || ScriptedEngine::new(ScriptedEngine::drafting(), Gate::open());
    assert_eq!(engine_contract(&mut || Box::new(make()), &input()), Ok(()));
}

#[test]
fn an_engine_of_one_sequence_that_cannot_roll_back_can_keep_the_contract() {
    let limits = Limits { sequences: 1, rolls_back: false, cells: 128, ..ScriptedEngine::small() };
    let make = || ScriptedEngine::new(limits.clone(), Gate::open());
    assert_eq!(engine_contract(&mut || Box::new(make()), &input()), Ok(()));
}

#[test]
fn every_flaw_is_found_and_named() {
    let flaws = [
        (Flaw::SamplesEveryRun, "samples the runs that asked"),
        (Flaw::MindsStretches, "in stretches equals a whole"),
        (Flaw::MindsCompany, "in one batch equal each alone"),
        (Flaw::ForgetsWhenParked, "a parked sequence continues"),
        (Flaw::NeverLetsGo, "leave room again"),
        (Flaw::CountsStoppedSteps, "a stopped step leaves everything"),
        (Flaw::HasTwoSwitches, "a switch that was reset"),
        (Flaw::MindsStrangers, "without harm"),
        (Flaw::IgnoresGrammars, "a grammar is followed or refused"),
        (Flaw::IgnoresConstraints, "a constraint is followed or refused"),
        (Flaw::ReportsUnasked, "log probabilities come when asked for"),
        (Flaw::CallsNothingLarge, "a batch as large as promised"),
        (Flaw::SharesInNameOnly, "a shared prefix continues"),
        (Flaw::SharesWhatIsNotThere, "what is not there"),
        (Flaw::RestoresInNameOnly, "what was saved continues"),
        (Flaw::RestoresAnything, "what is nothing that was saved"),
    ];
    for (flaw, name) in flaws {
        let result = engine_contract(&mut || Box::new(Flawed::new(flaw)), &input());
        let failures = result.expect_err("the flaw was not found");
        assert!(failures.contains(name), "{flaw:?}: {failures}");
    }
}

#[test]
fn limits_that_contradict_each_other_are_named() {
    for limits in [
        Limits { sequences: 0, ..ScriptedEngine::small() },
        Limits { batch: 3, ..ScriptedEngine::small() },
        Limits { cells: 100, ..ScriptedEngine::small() },
        Limits { kept: 1, ..ScriptedEngine::small() },
    ] {
        let make = || ScriptedEngine::new(limits.clone(), Gate::open());
        let failures = engine_contract(&mut || Box::new(make()), &input()).expect_err("accepted");
        assert!(failures.starts_with("limits agree with each other:"), "{failures}");
    }
}

#[test]
fn too_little_input_is_refused() {
    let short = ContractInput { prompts: vec![vec![1, 2, 3]], answer_tokens: 6 };
    assert!(engine_contract(&mut || Box::new(scripted()), &short).is_err());
}
