//! What the vendor's library does where no document says so: `board_questions <question> <library> <model>`.
//!
//! It calls the library past the engine, since the engine keeps from doing most of this. A question may end the
//! process. Started by `__test__/hardware/raw.test.mjs`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that says what it finds")]

mod questions;
mod raw;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [question, library, model] = arguments.as_slice() else {
        eprintln!("usage: board_questions <question> <library> <model>");
        return ExitCode::from(2);
    };
    match questions::ask(question, Path::new(library), Path::new(model)) {
        Ok(findings) => {
            for line in findings {
                println!("FOUND {line}");
            }
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
