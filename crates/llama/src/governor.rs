//! How many threads compute the next tokens.
//!
//! The threads of a step wait for each other at every operation by spinning. If one of them has lost its processor
//! to another program, all wait until it is back, some hundred times a token, and fewer threads are faster. So, while
//! the threads get less processor time than has passed, other counts are tried for a few steps, and the fastest one
//! is kept. On a machine that is quiet nothing is ever tried: the count has an effect on the last bits of a result.

use std::time::Duration;

/// Steps are judged over at least this long…
const WINDOW: Duration = Duration::from_millis(50);
/// …and at least so many of them.
const STEPS_LEAST: u32 = 4;
/// Threads that get less than this part of the time lack a processor.
const SHARE_LEAST: f64 = 0.9;
/// Another count is kept if a step takes at most this part of the time.
const GAIN_LEAST: f64 = 0.9;
/// Computing between two trials, at first and after trials that were of no use.
const PAUSE_LEAST: Duration = Duration::from_millis(250);
const PAUSE_MOST: Duration = Duration::from_secs(8);
/// A pause after a trial of no use is at least so many times as long as it: of fewer threads, which may cost half of
/// the speed while it lasts, and of more, without which half may be lost until the next.
const PAUSE_AFTER_FEWER: u32 = 20;
const PAUSE_AFTER_MORE: u32 = 4;

/// A step of single tokens that was computed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) tokens: usize,
    pub(crate) wall: Duration,
    /// Processor time of all threads.
    pub(crate) cpu: Duration,
}

/// Steps of the same size and count of threads.
#[derive(Debug, Clone, Copy, Default)]
struct Stretch {
    steps: u32,
    wall: Duration,
    cpu: Duration,
}

impl Stretch {
    fn add(&mut self, step: Step) {
        self.steps += 1;
        self.wall += step.wall;
        self.cpu += step.cpu;
    }

    fn is_long(&self) -> bool {
        self.steps >= STEPS_LEAST && self.wall >= WINDOW
    }

    fn step_seconds(&self) -> f64 {
        self.wall.as_secs_f64() / f64::from(self.steps.max(1))
    }

    /// Whether its steps cannot be faster any more than those that took so long.
    fn is_lost(&self, step_seconds: f64) -> bool {
        let most = GAIN_LEAST * step_seconds * f64::from(STEPS_LEAST);
        self.wall >= WINDOW && self.wall.as_secs_f64() > most
    }

    /// Whether `threads` threads had to do without a processor.
    fn is_contended(&self, threads: u32) -> bool {
        self.cpu.as_secs_f64() < SHARE_LEAST * f64::from(threads) * self.wall.as_secs_f64()
    }
}

/// Chooses the count of threads.
#[derive(Debug)]
pub(crate) struct Governor {
    most: u32,
    settled: u32,
    /// The count that is tried, with its steps.
    trial: Option<(u32, Stretch)>,
    /// Steps of the settled count.
    stretch: Stretch,
    /// Tokens of each of them.
    tokens: usize,
    /// Computing until something may be tried.
    wait: Duration,
    pause: Duration,
    /// Whether the last trial was of fewer threads.
    tried_fewer: bool,
}

impl Governor {
    pub(crate) fn new(most: u32) -> Self {
        Self {
            most,
            settled: most,
            trial: None,
            stretch: Stretch::default(),
            tokens: 0,
            wait: Duration::ZERO,
            pause: PAUSE_LEAST,
            tried_fewer: false,
        }
    }

    /// How many threads the next step takes.
    pub(crate) fn threads(&self) -> u32 {
        self.trial.map_or(self.settled, |(threads, _)| threads)
    }

    /// Whether steps need to be measured.
    pub(crate) fn is_needed(&self) -> bool {
        self.most > 1
    }

    /// Takes note of a step that was computed with [`Governor::threads`].
    pub(crate) fn note(&mut self, step: Step) {
        if step.tokens != self.tokens {
            // Steps of different sizes cannot be compared.
            self.tokens = step.tokens;
            self.stretch = Stretch::default();
            self.trial = None;
        }
        self.wait = self.wait.saturating_sub(step.wall);
        match &mut self.trial {
            Some((_, tried)) => {
                tried.add(step);
                if tried.is_long() || tried.is_lost(self.stretch.step_seconds()) {
                    self.judge();
                }
            }
            None => {
                self.stretch.add(step);
                if self.stretch.is_long() {
                    self.look();
                }
            }
        }
    }

    /// Begins a trial if there is a reason to.
    fn look(&mut self) {
        let candidate = self.candidate().filter(|_| self.wait.is_zero());
        match candidate {
            Some(threads) => {
                self.tried_fewer = threads < self.settled;
                self.trial = Some((threads, Stretch::default()));
            }
            None => self.stretch = Stretch::default(),
        }
    }

    /// A count that may be better: fewer threads while they lack processors, more once they were taken away; by
    /// turns where both may be.
    fn candidate(&self) -> Option<u32> {
        let is_contended = self.stretch.is_contended(self.settled);
        let fewer = (is_contended && self.settled > 1).then(|| self.settled - 1);
        let more = (self.settled < self.most).then(|| self.settled + 1);
        if self.tried_fewer { more.or(fewer) } else { fewer.or(more) }
    }

    fn judge(&mut self) {
        let Some((threads, tried)) = self.trial.take() else { return };
        if tried.step_seconds() <= GAIN_LEAST * self.stretch.step_seconds() {
            self.settled = threads;
            self.pause = PAUSE_LEAST;
            self.wait = self.pause;
        } else {
            let trials = if self.tried_fewer { PAUSE_AFTER_FEWER } else { PAUSE_AFTER_MORE };
            self.pause = (self.pause * 2).min(PAUSE_MOST);
            self.wait = self.pause.max(tried.wall * trials);
        }
        self.stretch = Stretch::default();
    }
}

#[cfg(test)]
mod tests {
    use super::{Governor, Step};
    use std::time::Duration;

    /// What a step takes on a machine: time and processor time for a count of threads, in milliseconds.
    type Machine = fn(u32) -> (f64, f64);

    const QUIET: Machine = |threads| (8.0 / f64::from(threads), 8.0);
    /// Another program takes one of two processors: two threads wait for each other.
    const CROWDED: Machine = |threads| if threads == 1 { (8.0, 8.0) } else { (40.0, 50.0) };
    /// A program that takes a little: two threads are still faster than one.
    const BUSY: Machine = |threads| if threads == 1 { (8.0, 7.9) } else { (5.0, 8.0) };

    /// Runs steps for some seconds; the part of the time that each count of threads took.
    fn run(governor: &mut Governor, machine: Machine, seconds: f64) -> [f64; 5] {
        let mut spent = [0.0; 5];
        while spent.iter().sum::<f64>() < seconds * 1e3 {
            let threads = governor.threads();
            let (wall, cpu) = machine(threads);
            spent[threads as usize] += wall;
            let milliseconds = |ms: f64| Duration::from_secs_f64(ms / 1e3);
            governor.note(Step { tokens: 1, wall: milliseconds(wall), cpu: milliseconds(cpu) });
        }
        spent.map(|ms| ms / seconds / 1e3)
    }

    #[test]
    fn nothing_is_tried_on_a_quiet_machine() {
        let mut governor = Governor::new(4);
        assert_eq!(run(&mut governor, QUIET, 60.0)[4].round(), 1.0);
        assert_eq!(governor.threads(), 4);
    }

    #[test]
    fn a_thread_is_given_up_where_another_program_takes_its_processor() {
        let mut governor = Governor::new(2);
        run(&mut governor, CROWDED, 1.0);
        assert_eq!(governor.threads(), 1);
        let spent = run(&mut governor, CROWDED, 60.0);
        assert!(spent[1] > 0.9, "{spent:?}");
    }

    #[test]
    fn a_processor_that_is_free_again_is_used() {
        let mut governor = Governor::new(2);
        run(&mut governor, CROWDED, 60.0);
        run(&mut governor, QUIET, 20.0);
        let spent = run(&mut governor, QUIET, 20.0);
        assert!(spent[2] > 0.99, "{spent:?}");
    }

    #[test]
    fn a_short_disturbance_of_slow_steps_is_soon_over() {
        let quiet: Machine = |threads| (100.0 / f64::from(threads), 100.0);
        let disturbed: Machine = |threads| if threads == 1 { (100.0, 100.0) } else { (300.0, 350.0) };
        let mut governor = Governor::new(2);
        run(&mut governor, quiet, 5.0);
        run(&mut governor, disturbed, 3.0);
        let spent = run(&mut governor, quiet, 5.0);
        assert!(spent[2] > 0.5, "{spent:?}");
    }

    #[test]
    fn what_is_of_no_use_is_tried_seldom() {
        let mut governor = Governor::new(2);
        run(&mut governor, BUSY, 10.0);
        let spent = run(&mut governor, BUSY, 60.0);
        assert!(spent[2] > 0.97, "{spent:?}");
    }

    #[test]
    fn steps_of_different_sizes_are_not_compared() {
        let mut governor = Governor::new(2);
        for _ in 0..1000 {
            for tokens in [1, 2] {
                let wall = Duration::from_millis(40);
                governor.note(Step { tokens, wall, cpu: wall });
            }
        }
        assert_eq!(governor.threads(), 2);
    }
}
