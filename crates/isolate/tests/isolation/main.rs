//! Engines in child processes. The child of each test is this same program.

#![expect(clippy::expect_used, reason = "a failed expectation is a failed test")]
#![expect(clippy::print_stdout, reason = "what a child prints is part of what is tested")]

mod child;
mod contract;
mod endings;
mod faults;
mod sharing;
