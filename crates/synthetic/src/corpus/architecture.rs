//! Architectures that are missing, unknown or another's.

use crate::corpus::case::{Case, loads, refused, with, without};
use crate::lora;
use crate::options::Options;
use crate::shape::Kind;
use crate::value::Value;

const KEY: &str = "general.architecture";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        refused("architecture-missing", "no architecture", without(KEY)),
        refused("architecture-unknown", "an architecture nobody knows", with(KEY, "hyperllama9000")),
        refused("architecture-empty", "an empty architecture", with(KEY, "")),
        refused("architecture-format-string", "an architecture made of conversions", with(KEY, "%s%n%s%n")),
        refused("architecture-long", "an architecture of a mebibyte", with(KEY, "a".repeat(1 << 20))),
        refused("architecture-integer", "a number as architecture", with(KEY, 1)),
        refused(
            "architecture-array",
            "a list as architecture",
            with(KEY, Value::Strings(vec!["llama".into()])),
        ),
        loads("architecture-with-nul", "an architecture that is known up to a NUL", with(KEY, "llama\0x")),
        refused("lora-adapter", "a LoRA adapter given as a model", |_| {
            let options = Options { lora_base: Kind::Micro, ..Options::default() };
            lora::adapter(&options).ok()?.to_bytes().ok()
        }),
        loads("type-adapter", "a model that calls itself an adapter", with("general.type", "adapter")),
        loads("file-type-9999", "an unknown file type", with("general.file_type", 9999)),
        loads("quantization-version-99", "an unknown version", with("general.quantization_version", 99)),
    ];
    // Known architectures whose keys the file lacks: the checks differ from one to the next.
    cases.extend(["gpt2", "bert", "mamba", "t5", "clip", "whisper"].map(|name| {
        refused(format!("architecture-{name}"), "the keys of one architecture under another", with(KEY, name))
    }));
    cases
}
