use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::machine::Machine;

/// The system's own files are shorter; of `/proc/cpuinfo` the first processor is enough.
const FILE_BYTES_MAX: u64 = 16 << 10;

/// What the machine is. A `null` stands where it does not say.
pub(super) fn describe(root: &Path, machine: &Machine) -> Value {
    json!({
        "os": field(root, "etc/os-release", "PRETTY_NAME", '=').map(|name| name.trim_matches('"').to_owned()),
        "kernel": line(root, "proc/sys/kernel/osrelease"),
        "board": line(root, "proc/device-tree/model"),
        "processor": processor_name(root),
        "cpuFlavour": rkllmjs_llama::cpu_flavour().ok(),
        "cpuFeatures": rkllmjs_llama::system_info().trim_end_matches([' ', '|']),
        "processors": machine.processors,
        "fastProcessors": machine.threads,
        "memoryTotalBytes": memory_total(root),
        "memoryAvailableBytes": machine.memory_available,
    })
}

/// What the kernel calls the processor; nothing on most boards.
pub(super) fn processor_name(root: &Path) -> Option<String> {
    field(root, "proc/cpuinfo", "model name", ':')
}

fn memory_total(root: &Path) -> Option<u64> {
    let kib: u64 = field(root, "proc/meminfo", "MemTotal", ':')?.strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// A file of one line; device trees end it with a NUL.
fn line(root: &Path, name: &str) -> Option<String> {
    Some(read(root, name)?.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned())
        .filter(|line| !line.is_empty())
}

/// The value of a line `name: value`.
fn field(root: &Path, file: &str, name: &str, separator: char) -> Option<String> {
    let text = read(root, file)?;
    let mut fields = text.lines().filter_map(|line| line.split_once(separator));
    fields.find(|(found, _)| found.trim() == name).map(|(_, value)| value.trim().to_owned())
}

fn read(root: &Path, name: &str) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(root.join(name)).ok()?.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
