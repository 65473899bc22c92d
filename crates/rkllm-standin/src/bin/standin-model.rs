//! Makes a model file for the stand-in of a GGUF file: `standin-model <in.gguf> <out.rkllm>`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [from, to] = arguments.as_slice() else {
        return refuse("usage: standin-model <in.gguf> <out.rkllm>", 2);
    };
    match rkllmjs_rkllm_standin::model_file::wrap(from, to) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&format!("cannot wrap {}: {error}", from.display()), 1),
    }
}

fn refuse(message: &str, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{message}");
    ExitCode::from(code)
}
