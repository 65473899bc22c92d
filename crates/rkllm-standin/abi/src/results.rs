//! Results as the callback sees them.

use std::ffi::{c_char, c_int, c_void};

use rkllmjs_rkllm_standin::{Family, Flow, Matrix, Outcome, State};
use rkllmjs_rkllm_sys::{
    RKLLM_CALLBACK_PAUSE, RKLLM_CALLBACK_RELEASE, RKLLM_RUN_ERROR, RKLLM_RUN_FINISH, RKLLM_RUN_NORMAL,
    RKLLM_RUN_WAITING, rkllm_call_state, rkllm12_perf_stat, rkllm12_result, rkllm12_result_callback,
    rkllm12_result_last_hidden_layer, rkllm12_result_logits,
};

/// What the trap `freed-results` leaves of a result.
const FREED: u8 = 0xDD;

type ResultFunction = unsafe extern "C" fn(
    result: *mut rkllm12_result,
    userdata: *mut c_void,
    state: rkllm_call_state,
) -> c_int;

/// The caller's function for results.
#[derive(Debug, Clone, Copy)]
pub struct Receiver {
    function: ResultFunction,
    userdata: *mut c_void,
    family: Family,
}

// SAFETY: the vendor's interface asks callers for a function and data that any thread may be given.
unsafe impl Send for Receiver {}
// SAFETY: as above; nothing here changes.
unsafe impl Sync for Receiver {}

impl Receiver {
    /// A receiver; none without a function.
    pub fn new(family: Family, function: rkllm12_result_callback, userdata: *mut c_void) -> Option<Self> {
        Some(Self { function: function?, userdata, family })
    }

    /// The same with the data of one run, where that has any.
    #[must_use]
    pub(crate) fn with_userdata(self, userdata: *mut c_void) -> Self {
        if userdata.is_null() { self } else { Self { userdata, ..self } }
    }

    /// Calls the function.
    pub(crate) fn receive(&self, state: State, outcomes: Option<&[Outcome]>, freed: Lifetime) -> Flow {
        let mut shown = Shown::new(outcomes.unwrap_or_default(), freed);
        let pointer = if outcomes.is_some() { shown.results.as_mut_ptr() } else { std::ptr::null_mut() };
        // SAFETY: the function was given to init for this; the results live through the call.
        let answer = unsafe { (self.function)(pointer, self.userdata, raw_state(state)) };
        shown.end();
        match u32::try_from(answer) {
            Ok(RKLLM_CALLBACK_PAUSE) => Flow::Pause,
            Ok(RKLLM_CALLBACK_RELEASE) if self.family == Family::V13 => Flow::Release,
            _ => Flow::Continue,
        }
    }
}

/// What happens to results after the callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// They are freed.
    Call,
    /// They are overwritten first.
    CallAndOverwritten,
}

/// C results with what they point to.
struct Shown {
    results: Vec<rkllm12_result>,
    texts: Vec<Option<Vec<u8>>>,
    numbers: Vec<Vec<f32>>,
    lifetime: Lifetime,
}

impl Shown {
    fn new(outcomes: &[Outcome], lifetime: Lifetime) -> Self {
        let with_end = |text: &Vec<u8>| text.iter().copied().chain([0]).collect();
        let texts = outcomes.iter().map(|outcome| outcome.text.as_ref().map(with_end)).collect();
        let mut shown = Self { results: Vec::new(), texts, numbers: Vec::new(), lifetime };
        for (number, outcome) in outcomes.iter().enumerate() {
            let text = shown.texts.get(number).and_then(Option::as_ref);
            let text = text.map_or(std::ptr::null(), |text: &Vec<u8>| text.as_ptr().cast::<c_char>());
            let (hidden_states, embd_size, hidden_rows) = shown.matrix(outcome.hidden.as_ref());
            let (logits, vocab_size, logit_rows) = shown.matrix(outcome.logits.as_ref());
            shown.results.push(rkllm12_result {
                text,
                token_id: outcome.token,
                last_hidden_layer: rkllm12_result_last_hidden_layer {
                    hidden_states,
                    embd_size,
                    num_tokens: hidden_rows,
                },
                logits: rkllm12_result_logits { logits, vocab_size, num_tokens: logit_rows },
                perf: outcome.perf.map_or_else(rkllm12_perf_stat::default, |perf| rkllm12_perf_stat {
                    prefill_time_ms: perf.prefill_time_ms,
                    prefill_tokens: perf.prefill_tokens,
                    generate_time_ms: perf.generate_time_ms,
                    generate_tokens: perf.generate_tokens,
                    memory_usage_mb: perf.memory_usage_mb,
                }),
            });
        }
        shown
    }

    /// The runtime keeps numbers until they are released; where they are to be overwritten, a copy is
    /// shown instead.
    fn matrix(&mut self, matrix: Option<&Matrix>) -> (*const f32, c_int, c_int) {
        let Some(matrix) = matrix else { return (std::ptr::null(), 0, 0) };
        let count = |n: usize| c_int::try_from(n).unwrap_or(c_int::MAX);
        let values = match self.lifetime {
            Lifetime::Call => matrix.values.as_ptr(),
            Lifetime::CallAndOverwritten => {
                let copy = matrix.values.to_vec();
                let values = copy.as_ptr();
                self.numbers.push(copy);
                values
            }
        };
        (values, count(matrix.columns), count(matrix.rows))
    }

    fn end(mut self) {
        if self.lifetime == Lifetime::CallAndOverwritten {
            self.overwrite();
        }
    }

    fn overwrite(&mut self) {
        for text in self.texts.iter_mut().flatten() {
            text.fill(FREED);
        }
        for numbers in &mut self.numbers {
            numbers.fill(f32::from_bits(u32::from_ne_bytes([FREED; 4])));
        }
        for result in &mut self.results {
            let freed = std::ptr::without_provenance(usize::from_ne_bytes([FREED; size_of::<usize>()]));
            result.text = freed;
            result.token_id = i32::from_ne_bytes([FREED; 4]);
            result.last_hidden_layer.hidden_states = freed.cast();
            result.logits.logits = freed.cast();
        }
        // The compiler must not see that nobody reads this any more.
        std::hint::black_box(&mut self.texts);
        std::hint::black_box(&mut self.numbers);
        std::hint::black_box(&mut self.results);
    }
}

const fn raw_state(state: State) -> rkllm_call_state {
    match state {
        State::Normal => RKLLM_RUN_NORMAL,
        State::Waiting => RKLLM_RUN_WAITING,
        State::Finish => RKLLM_RUN_FINISH,
        State::Error => RKLLM_RUN_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_an_overwritten_result_is_left() {
        let matrix = Matrix { values: [1.0, 2.0].into(), columns: 2, rows: 1 };
        let text = Some(b"secret".to_vec());
        let outcome = Outcome { text, token: 7, hidden: Some(matrix.clone()), ..Outcome::default() };
        let mut shown = Shown::new(&[outcome], Lifetime::CallAndOverwritten);
        assert_eq!(shown.texts, [Some(b"secret\0".to_vec())]);
        shown.overwrite();
        assert_eq!(shown.texts, [Some(vec![FREED; 7])]);
        assert!(shown.numbers.iter().flatten().all(|number| number.to_bits() == 0xDDDD_DDDD));
        assert!(shown.results.iter().all(|result| result.token_id != 7 && !result.text.is_null()));
        assert_eq!(*matrix.values, [1.0, 2.0], "the runtime's own are left alone");
    }
}
