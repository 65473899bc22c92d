use std::time::Duration;

/// Token after which a trap springs, where its name says none.
const AFTER_TOKENS: usize = 3;
/// Longest delay a trap may ask for, in milliseconds.
const DELAY_MS_MAX: u64 = 600_000;

/// How the stand-in misbehaves. `README.md` tells what each one does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traps {
    /// Lines on both outputs at init and at each run.
    pub noise: bool,
    /// Results are overwritten as soon as the callback returns.
    pub freed_results: bool,
    /// More WAITING states than the text asks for.
    pub waiting: bool,
    /// No result at FINISH.
    pub null_finish: bool,
    /// Garbage where `createDefaultParam` need not write, and a check that it was replaced.
    pub reserved_garbage: bool,
    /// The run after a pause begins anew instead of adding its input to what was said.
    pub pause_forgets: bool,
    /// `run` fails at once.
    pub run_fails: bool,
    /// An ERROR state after so many tokens.
    pub error_after: Option<usize>,
    /// No return after so many tokens.
    pub hang_after: Option<usize>,
    /// The end of the process after so many tokens.
    pub abort_after: Option<usize>,
    /// Added to each init.
    pub slow_init: Duration,
    /// Added to each token.
    pub slow_token: Duration,
    /// Between an abort and its effect.
    pub slow_abort: Duration,
}

impl Traps {
    /// Those that `RKLLMJS_STANDIN_TRAP` names now.
    pub fn from_environment() -> Self {
        Self::parse(&std::env::var("RKLLMJS_STANDIN_TRAP").unwrap_or_default())
    }

    /// Those of a comma-separated list; names that mean nothing are reported and left out.
    pub fn parse(list: &str) -> Self {
        let mut traps = Self::default();
        for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (name, number) = match entry.split_once('=') {
                Some((name, number)) => (name, number.trim().parse::<u64>().ok()),
                None => (entry, None),
            };
            if !traps.set(name.trim(), number) {
                crate::log::noise(&format!("RKLLMJS_STANDIN_TRAP names {name:?}, which is no trap"));
            }
        }
        traps
    }

    fn set(&mut self, name: &str, number: Option<u64>) -> bool {
        let after = Some(number.and_then(|n| usize::try_from(n).ok()).unwrap_or(AFTER_TOKENS));
        let delay = Duration::from_millis(number.unwrap_or_default().min(DELAY_MS_MAX));
        match name {
            "noise" => self.noise = true,
            "freed-results" => self.freed_results = true,
            "waiting" => self.waiting = true,
            "null-finish" => self.null_finish = true,
            "reserved-garbage" => self.reserved_garbage = true,
            "pause-forgets" => self.pause_forgets = true,
            "run-fails" => self.run_fails = true,
            "error-mid-stream" => self.error_after = after,
            "hang" => self.hang_after = after,
            "abort" => self.abort_after = after,
            "slow-init" => self.slow_init = delay,
            "slow-token" => self.slow_token = delay,
            "slow-abort" => self.slow_abort = delay,
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_traps_sets_each_of_them() {
        let traps = Traps::parse("noise, hang=7,slow-token=20 ,error-mid-stream");
        assert!(traps.noise);
        assert_eq!(traps.hang_after, Some(7));
        assert_eq!(traps.slow_token, Duration::from_millis(20));
        assert_eq!(traps.error_after, Some(AFTER_TOKENS));
        assert_eq!(traps.abort_after, None);
    }

    #[test]
    fn an_empty_list_sets_none() {
        assert_eq!(Traps::parse(""), Traps::default());
        assert_eq!(Traps::parse(" , "), Traps::default());
    }
}
