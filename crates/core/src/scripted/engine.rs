use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Gate, Record, RecordedRun, RecordedStep};
use crate::{
    AbortSwitch, Adapters, Batch, Engine, Error, ErrorCode, Limits, Opening, OptionSupport, Proposal, Run,
    Sampled, SequenceId, Sink, StepOutcome, Token, stands_for_a_row,
};

/// What a step of the script does instead of succeeding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `step` returns an error.
    Fail,
    /// `step` panics.
    Panic,
    /// `step` says that the cache is full.
    CacheFull,
}

/// A sequence as the engine knows it.
#[derive(Debug, Default)]
struct Known {
    /// Its prompt and everything sampled for it since.
    tokens: Vec<Token>,
    /// The cells of those that are in the cache; several sequences may have the same.
    cells: Vec<u64>,
    /// The adapters it was computed under.
    adapters: Option<Adapters>,
    /// Whether it was opened, and is not just a holder of cells.
    opened: bool,
}

/// An engine whose answer to a prompt is the prompt's last token plus 1, 2, 3…, with each token's
/// number as its text (`"7 "`). A multiple of 1000 ends the answer.
///
/// It notes every breach of what an engine may rely on in its [`Record`].
#[derive(Debug)]
pub struct ScriptedEngine {
    limits: Limits,
    switch: AbortSwitch,
    gate: Gate,
    faults: HashMap<u64, Fault>,
    pieces: HashMap<Token, Vec<u8>>,
    poison: Option<Token>,
    silence: Option<Token>,
    amnesia: Option<Token>,
    wrong_every: Option<u32>,
    room: usize,
    steps: u64,
    next_cell: u64,
    known: BTreeMap<SequenceId, Known>,
    record: Arc<Mutex<Record>>,
}

impl ScriptedEngine {
    /// An engine behind `gate`.
    pub fn new(limits: Limits, gate: Gate) -> Self {
        Self {
            limits,
            switch: AbortSwitch::default(),
            gate,
            faults: HashMap::new(),
            pieces: HashMap::new(),
            poison: None,
            silence: None,
            amnesia: None,
            wrong_every: None,
            room: usize::MAX,
            steps: 0,
            next_cell: 0,
            known: BTreeMap::new(),
            record: Arc::default(),
        }
    }

    /// Limits for tests: 4 sequences of up to 128 tokens, batches of 32.
    pub fn small() -> Limits {
        Limits {
            sequences: 4,
            context: 128,
            cells: 512,
            batch: 32,
            rolls_back: true,
            worth_stopping: 16,
            shares: false,
            kept: 0,
            kept_tokens: 0,
            drafts: 0,
            options: OptionSupport {
                fixed: vec!["logprobs", "grammar", "json_schema", "response_format", "regex"],
                ..OptionSupport::default()
            },
        }
    }

    /// The same, with cache that can be shared: by 4 prefixes of up to 256 tokens besides the sequences.
    pub fn sharing() -> Limits {
        Limits { shares: true, kept: 4, kept_tokens: 256, ..Self::small() }
    }

    /// The same, with drafts: up to 8 a run.
    pub fn drafting() -> Limits {
        Limits { drafts: 8, ..Self::sharing() }
    }

    /// Makes step number `step`, from 0, fail as told.
    #[must_use]
    pub fn with_fault(mut self, step: u64, fault: Fault) -> Self {
        self.faults.insert(step, fault);
        self
    }

    /// Gives `token` these bytes instead of its number.
    #[must_use]
    pub fn with_piece(mut self, token: Token, bytes: &[u8]) -> Self {
        self.pieces.insert(token, bytes.to_vec());
        self
    }

    /// Makes a sequence fail, and it alone, when `token` would be its next one.
    #[must_use]
    pub fn with_poison(mut self, token: Token) -> Self {
        self.poison = Some(token);
        self
    }

    /// Makes the engine forget to say anything when `token` would be a sequence's next one.
    #[must_use]
    pub fn with_silence(mut self, token: Token) -> Self {
        self.silence = Some(token);
        self
    }

    /// Makes the engine refuse to share cells of a sequence that begins with `token`.
    #[must_use]
    pub fn with_amnesia(mut self, token: Token) -> Self {
        self.amnesia = Some(token);
        self
    }

    /// Gives it a smaller model, which is wrong about each token that is a multiple of `wrong_every`.
    #[must_use]
    pub fn with_draft_model(mut self, wrong_every: u32) -> Self {
        self.limits.options.draft_model = true;
        self.wrong_every = Some(wrong_every.max(1));
        self
    }

    /// Makes the cache hold only `cells` tokens, whatever the limits promise.
    #[must_use]
    pub fn with_room(mut self, cells: usize) -> Self {
        self.room = cells;
        self
    }

    /// Where everything is recorded.
    pub fn record(&self) -> Arc<Mutex<Record>> {
        Arc::clone(&self.record)
    }

    fn recorded(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is kept may leave no room for what runs; without it, what runs was promised all of it.
    fn room(&self) -> usize {
        let keeps = self.known.values().any(|known| !known.opened);
        if keeps { self.room.min(self.limits.cells as usize) } else { self.room }
    }

    /// Cells in use.
    fn used(&self) -> usize {
        self.known.values().flat_map(|known| &known.cells).collect::<HashSet<_>>().len()
    }

    /// What is wrong about `batch`, if anything.
    fn breach(&self, batch: &Batch<'_>) -> Option<String> {
        let total: usize = batch.runs.iter().map(|run| run.tokens.len()).sum();
        // Rows may have to come at once.
        let of_tokens = batch.runs.iter().filter(|run| !run.is_of_rows()).map(|run| run.tokens.len());
        if total == 0 || of_tokens.sum::<usize>() > self.limits.batch as usize {
            return Some(format!("a batch of {total} tokens"));
        }
        let used = self.used();
        if used + total > self.limits.cells as usize {
            return Some(format!("{} cells are needed", used + total));
        }
        let is_in_batch = |id: SequenceId| batch.runs.iter().any(|run| run.sequence == id);
        let holds = |known: &Known, opened| known.opened == opened && !known.cells.is_empty();
        let idle = self.known.iter().filter(|(id, known)| holds(known, true) && !is_in_batch(**id));
        let holders = idle.count() + batch.runs.len();
        if holders > self.limits.sequences as usize {
            return Some(format!("{holders} sequences hold cache"));
        }
        let kept = self.known.values().filter(|known| holds(known, false)).count();
        if kept > self.limits.kept as usize {
            return Some(format!("{kept} prefixes are kept"));
        }
        let mut seen = Vec::new();
        for run in &batch.runs {
            if seen.contains(&run.sequence) {
                return Some(format!("two runs of sequence {}", run.sequence.0));
            }
            seen.push(run.sequence);
            if let Some(wrong) = self.run_breach(run, &batch.adapters) {
                return Some(format!("sequence {}: {wrong}", run.sequence.0));
            }
        }
        None
    }

    fn run_breach(&self, run: &Run<'_>, adapters: &Adapters) -> Option<String> {
        let Some(known) = self.known.get(&run.sequence) else {
            return Some("a run without an open".to_owned());
        };
        let end = run.start as usize + run.tokens.len();
        if run.tokens.is_empty() || end > self.limits.context as usize {
            return Some(format!("a run from {} to {end}", run.start));
        }
        if known.cells.len() != run.start as usize {
            return Some(format!("a run from {} on {} cached tokens", run.start, known.cells.len()));
        }
        if run.tokens.iter().any(|&token| stands_for_a_row(token) != run.is_of_rows()) {
            return Some("a run of tokens and of rows".to_owned());
        }
        let drafts = run.drafts().len();
        if drafts > 0 && (!run.sample || drafts >= run.tokens.len() || run.drafted > self.limits.drafts) {
            return Some(format!("{drafts} drafts in a run of {}", run.tokens.len()));
        }
        let certain = run.tokens.get(..run.tokens.len() - drafts);
        if known.tokens.get(run.start as usize..end - drafts) != certain {
            return Some("a run of other tokens than its prompt and answer".to_owned());
        }
        let moved = known.adapters.as_ref().is_some_and(|before| before != adapters);
        moved.then(|| format!("a run under {adapters:?}"))
    }

    fn compute(&mut self, run: &Run<'_>, adapters: &Adapters, sink: &mut dyn Sink) {
        let Some(known) = self.known.get_mut(&run.sequence) else { return };
        let end = self.next_cell + run.tokens.len() as u64;
        known.cells.extend(self.next_cell..end);
        self.next_cell = end;
        known.adapters.get_or_insert_with(|| adapters.clone());
        let certain = run.tokens.len() - run.drafts().len();
        let mut last = run.tokens.get(certain - 1).copied().unwrap_or_default();
        let mut right = 0;
        if run.sample {
            last = last.wrapping_add(1);
            self.choose(run, last, sink);
            while run.drafts().get(right) == Some(&last) && !last.is_multiple_of(1000) {
                right += 1;
                last = last.wrapping_add(1);
                self.choose(run, last, sink);
            }
        }
        if let Some(known) = self.known.get_mut(&run.sequence) {
            known.cells.truncate(run.start as usize + certain + right);
        }
    }

    /// Gives the sink `token`, unless the script has something else in mind.
    fn choose(&mut self, run: &Run<'_>, token: Token, sink: &mut dyn Sink) {
        let Some(known) = self.known.get_mut(&run.sequence) else { return };
        if self.silence == Some(token) {
            return;
        }
        if self.poison == Some(token) {
            sink.failed(
                run.sequence,
                Error::new(ErrorCode::EngineFailed, "the script poisons this sequence"),
            );
            return;
        }
        known.tokens.push(token);
        let bytes = self.pieces.get(&token).cloned().unwrap_or_else(|| format!("{token} ").into_bytes());
        sink.token(
            run.sequence,
            Sampled { token, bytes: &bytes, end: token.is_multiple_of(1000), logprob: None },
        );
    }
}

impl Engine for ScriptedEngine {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn abort_switch(&self) -> AbortSwitch {
        self.switch.clone()
    }

    fn open(&mut self, sequence: SequenceId, opening: Opening<'_>) -> Result<(), Error> {
        if opening.sampling.grammar.is_some() {
            return Err(Error::unsupported("grammar", "is not something this engine can follow"));
        }
        if let Some(constraint) = &opening.sampling.constraint {
            return Err(Error::unsupported(constraint.option(), "is not something this engine can follow"));
        }
        if !opening.candidates.is_empty() {
            return Err(Error::new(ErrorCode::Unsupported, "this engine has no log probabilities"));
        }
        let known = Known { tokens: opening.prompt.to_vec(), opened: true, ..Known::default() };
        if self.known.insert(sequence, known).is_some() {
            self.recorded().breaches.push(format!("sequence {} was opened twice", sequence.0));
        }
        self.recorded().opened.push((sequence.0, opening.sampling.seed));
        Ok(())
    }

    fn step(&mut self, batch: &Batch<'_>, sink: &mut dyn Sink) -> Result<StepOutcome, Error> {
        if !self.gate.pass(&self.switch) {
            self.recorded().aborted += 1;
            return Ok(StepOutcome::Aborted);
        }
        let step = self.steps;
        self.steps += 1;
        let total: usize = batch.runs.iter().map(|run| run.tokens.len()).sum();
        match self.faults.get(&step) {
            Some(Fault::Fail) => return Err(Error::new(ErrorCode::EngineFailed, "the script says so")),
            Some(Fault::Panic) => std::panic::panic_any("the script says so"),
            None if self.used() + total <= self.room() => {}
            Some(Fault::CacheFull) | None => {
                self.recorded().full += 1;
                return Ok(StepOutcome::CacheFull);
            }
        }
        if let Some(breach) = self.breach(batch) {
            self.recorded().breaches.push(breach.clone());
            return Err(Error::new(ErrorCode::Internal, breach));
        }
        for run in &batch.runs {
            self.compute(run, &batch.adapters, sink);
        }
        let runs = batch.runs.iter().map(|run| RecordedRun {
            sequence: run.sequence.0,
            start: run.start,
            tokens: run.tokens.len(),
            sample: run.sample,
        });
        let holders =
            self.known.iter().filter(|(_, known)| !known.cells.is_empty()).map(|(id, _)| id.0).collect();
        let step = RecordedStep { runs: runs.collect(), adapters: batch.adapters.clone(), holders };
        self.recorded().steps.push(step);
        Ok(StepOutcome::Done)
    }

    fn propose(&mut self, wanted: &[Proposal]) -> Result<Vec<Vec<Token>>, Error> {
        let Some(wrong_every) = self.wrong_every else {
            return Err(Error::new(ErrorCode::Unsupported, "the script has no draft model"));
        };
        let of = |proposal: &Proposal| {
            let last = self.known.get(&proposal.sequence).and_then(|known| known.tokens.last()).copied();
            let next = last.map(|last| last + 1..=last + proposal.most).into_iter().flatten();
            next.map(|token| if token.is_multiple_of(wrong_every) { 0 } else { token }).collect()
        };
        Ok(wanted.iter().map(of).collect())
    }

    fn share(&mut self, from: SequenceId, to: SequenceId, tokens: Range<u32>) -> bool {
        let end = tokens.end as usize;
        let Some(source) = self.known.get(&from).filter(|source| source.cells.len() >= end) else {
            return false;
        };
        if !self.limits.shares || (self.amnesia.is_some() && source.tokens.first() == self.amnesia.as_ref()) {
            return false;
        }
        let (shared, cells) = (source.tokens.get(..end), source.cells.get(..end));
        let source = Known {
            tokens: shared.unwrap_or_default().to_vec(),
            cells: cells.unwrap_or_default().to_vec(),
            adapters: source.adapters.clone(),
            opened: false,
        };
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.shared.push((from.0, to.0, tokens.clone()));
        let Some(target) = self.known.get_mut(&to) else {
            self.known.insert(to, source);
            return true;
        };
        if target.cells.len() != tokens.start as usize || tokens.is_empty() {
            record.breaches.push(format!("{tokens:?} shared with one of {} tokens", target.cells.len()));
        }
        if target.tokens.get(..end) != Some(source.tokens.as_slice()) {
            record.breaches.push(format!("other tokens shared with sequence {}", to.0));
        }
        if target.adapters.as_ref().is_some_and(|own| Some(own) != source.adapters.as_ref()) {
            record.breaches.push(format!("other adapters shared with sequence {}", to.0));
        }
        target.cells.extend_from_slice(source.cells.get(tokens.start as usize..).unwrap_or_default());
        target.adapters = source.adapters;
        true
    }

    fn save(&mut self, sequence: SequenceId, tokens: u32) -> Result<Option<Vec<u8>>, Error> {
        if !self.limits.shares {
            return Err(Error::new(ErrorCode::Unsupported, "this engine saves nothing"));
        }
        let Some(source) = self.known.get(&sequence) else { return Ok(None) };
        if source.cells.len() < tokens as usize
            || self.amnesia.is_some_and(|a| source.tokens.first() == Some(&a))
        {
            return Ok(None);
        }
        let saved: Vec<u8> =
            source.tokens.iter().take(tokens as usize).flat_map(|token| token.to_le_bytes()).collect();
        self.recorded().saved.push((sequence.0, tokens));
        Ok(Some(saved))
    }

    fn restore(
        &mut self,
        sequence: SequenceId,
        tokens: u32,
        adapters: &Adapters,
        saved: &[u8],
    ) -> Result<bool, Error> {
        if !self.limits.shares {
            return Err(Error::new(ErrorCode::Unsupported, "this engine restores nothing"));
        }
        let count = tokens as usize;
        let (words, rest) = saved.as_chunks::<4>();
        if !rest.is_empty() || words.len() < count || count == 0 {
            return Err(Error::new(ErrorCode::ModelInvalid, "this is nothing that the script has saved"));
        }
        if self.used() + count > self.room.min(self.limits.cells as usize) {
            return Ok(false);
        }
        let restored: Vec<Token> = words.iter().take(count).map(|word| Token::from_le_bytes(*word)).collect();
        let cells = (self.next_cell..).take(count).collect();
        self.next_cell += u64::from(tokens);
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.restored.push((sequence.0, tokens));
        let known = self
            .known
            .entry(sequence)
            .or_insert_with(|| Known { tokens: restored.clone(), ..Known::default() });
        if !known.cells.is_empty() {
            record.breaches.push(format!(
                "sequence {} was restored over {} cells",
                sequence.0,
                known.cells.len()
            ));
        }
        if known.tokens.get(..count) != Some(restored.as_slice()) {
            record.breaches.push(format!("other tokens restored to sequence {}", sequence.0));
        }
        (known.cells, known.adapters) = (cells, Some(adapters.clone()));
        Ok(true)
    }

    fn park(&mut self, sequence: SequenceId) {
        if let Some(known) = self.known.get_mut(&sequence) {
            known.cells.clear();
        }
        self.recorded().parked.push(sequence.0);
    }

    fn release(&mut self, sequence: SequenceId) {
        self.known.remove(&sequence);
        self.recorded().released.push(sequence.0);
    }
}
