//! What a run cost.

use std::time::Instant;

use crate::run::Perf;

/// Measures a run from its first token read to its last token written.
#[derive(Debug)]
pub(crate) struct Measure {
    begun: Instant,
    prefilled: Option<Instant>,
    prefill_tokens: usize,
}

impl Measure {
    pub(crate) fn begin() -> Self {
        Self { begun: Instant::now(), prefilled: None, prefill_tokens: 0 }
    }

    /// Counts tokens that were computed, not those found in the cache.
    pub(crate) fn read(&mut self, tokens: usize) {
        self.prefill_tokens += tokens;
        self.prefilled = Some(Instant::now());
    }

    pub(crate) fn end(&self, generate_tokens: usize) -> Perf {
        let prefilled = self.prefilled.unwrap_or(self.begun);
        let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        Perf {
            prefill_time_ms: prefilled.duration_since(self.begun).as_secs_f32() * 1000.0,
            prefill_tokens: count(self.prefill_tokens),
            generate_time_ms: prefilled.elapsed().as_secs_f32() * 1000.0,
            generate_tokens: count(generate_tokens),
            memory_usage_mb: peak_memory_mb(),
        }
    }
}

/// The most memory this process has had, which is what the vendor reports; 0 where nothing tells.
fn peak_memory_mb() -> f32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f32>().ok());
    kib.unwrap_or(0.0) / 1024.0
}
