//! The modes that show what the model computed for its input instead of an answer.

use std::sync::Arc;

use super::reading::Reading;
use super::{Callback, Loaded, Runtime};
use crate::Failure;
use crate::backend::{Item, Purpose, Row};
use crate::measure::Measure;
use crate::run::{Flow, Matrix, Mode, Outcome, RunParams, State};

impl Loaded {
    pub(super) fn show_outputs(
        &mut self,
        runtime: &Runtime,
        readings: Vec<Reading>,
        params: &RunParams,
        callback: &mut Callback<'_>,
    ) -> Result<(), Failure> {
        let purpose = if params.mode == Mode::Logits { Purpose::Logits } else { Purpose::Hidden };
        let mut measure = Measure::begin();
        let mut outcomes = Vec::with_capacity(readings.len());
        for (lane, reading) in readings.into_iter().enumerate() {
            outcomes.push(self.output_of(lane, reading, purpose, &mut measure)?);
        }
        // An empty result comes before the hidden states.
        let first = vec![Outcome::none(); outcomes.len()];
        let wanted = |flow| flow == Flow::Pause || runtime.is_aborted();
        if purpose == Purpose::Hidden && wanted(callback(State::Normal, Some(&first))) {
            self.paused = true;
            return Ok(());
        }
        self.output = outcomes.first().and_then(values_of);
        let flow = callback(State::Normal, Some(&outcomes));
        drop(outcomes);
        if flow == Flow::Release || runtime.traps().freed_results {
            self.output = None;
        }
        if flow == Flow::Pause {
            self.paused = true;
            return Ok(());
        }
        self.finish(runtime, &measure, 0, callback);
        Ok(())
    }

    /// Computes all of an input, so that every position has an output, and collects the outputs.
    fn output_of(
        &mut self,
        number: usize,
        reading: Reading,
        purpose: Purpose,
        measure: &mut Measure,
    ) -> Result<Outcome, Failure> {
        let target = self.begin_target(number, reading, 0)?;
        let Some(lane) = self.lanes.get_mut(number) else { return Ok(Outcome::none()) };
        let from = lane.history.len();
        let new = target.len() - from;
        lane.reuse(number, target.get(..from).unwrap_or_default(), self.backend.as_mut());
        let mut values = Vec::new();
        let mut columns = 0;
        let start = lane.stored.len();
        let most = self.backend.rows_max();
        let rest = target.get(start..).unwrap_or_default();
        let same_kind = |a: &Item, b: &Item| a.token().is_some() == b.token().is_some();
        let mut position = start;
        for group in rest.chunk_by(same_kind).flat_map(|group| group.chunks(most)) {
            let rows: Vec<Row<'_>> = (position..)
                .zip(group)
                .map(|(position, item)| Row { lane: number, position, item, output: true })
                .collect();
            self.backend.compute(&rows, purpose)?;
            for (row, place) in (0..rows.len()).zip(position..) {
                let output = self.backend.output(row, purpose)?;
                if place >= from {
                    columns = output.len();
                    values.extend_from_slice(output);
                }
            }
            position += group.len();
        }
        measure.read(target.len() - start);
        if let Some(lane) = self.lanes.get_mut(number) {
            lane.stored.clone_from(&target);
            lane.history = target;
        }
        let matrix = Matrix { values: Arc::from(values), columns, rows: new };
        Ok(match purpose {
            Purpose::Hidden => Outcome { hidden: Some(matrix), ..Outcome::none() },
            Purpose::Logits => Outcome { logits: Some(matrix), ..Outcome::none() },
        })
    }
}

fn values_of(outcome: &Outcome) -> Option<Arc<[f32]>> {
    let matrix = outcome.hidden.as_ref().or(outcome.logits.as_ref());
    matrix.map(|matrix| Arc::clone(&matrix.values))
}
