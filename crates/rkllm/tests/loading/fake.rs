//! Builds small shared libraries byte by byte, so that no compiler is needed to test how one is opened.
//!
//! Such a library has one segment of code and constants and one of what the loader writes to. Its functions
//! answer -1, but for the one that makes default settings: that copies prepared bytes to where its result is
//! wanted.

use std::fs;
use std::path::{Path, PathBuf};

/// What every supported runtime exports.
pub(crate) const EXPORTS: [&str; 15] = [
    "rkllm_createDefaultParam",
    "rkllm_init",
    "rkllm_load_lora",
    "rkllm_load_prompt_cache",
    "rkllm_release_prompt_cache",
    "rkllm_destroy",
    "rkllm_run",
    "rkllm_run_async",
    "rkllm_abort",
    "rkllm_is_running",
    "rkllm_clear_kv_cache",
    "rkllm_set_chat_template",
    "rkllm_get_kv_cache_size",
    "rkllm_set_function_tools",
    "rkllm_set_cross_attn_params",
];

/// A library to be.
pub(crate) struct Fake {
    /// `1.2.3 | target: Linux`, or nothing.
    pub(crate) banner: &'static str,
    pub(crate) defaults: Vec<u8>,
    pub(crate) exports: Vec<&'static str>,
}

/// The settings of 1.2 as its runtime makes them, the pointers being any.
pub(crate) fn defaults_12() -> Vec<u8> {
    let mut bytes = sampling(208);
    for pointer in [64, 72, 80] {
        bytes[pointer..pointer + 8].copy_from_slice(&0x7f00_1234_5678_u64.to_le_bytes());
    }
    bytes[92..94].copy_from_slice(&[1, 4]);
    bytes[96] = 0xf0;
    bytes
}

/// Those of 1.3.
pub(crate) fn defaults_13() -> Vec<u8> {
    let mut bytes = sampling(184);
    bytes[64..66].copy_from_slice(&[1, 4]);
    bytes[68] = 0xf0;
    bytes[72] = 1;
    bytes
}

fn sampling(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    bytes[8..12].copy_from_slice(&512_i32.to_le_bytes());
    bytes[16..20].copy_from_slice(&40_i32.to_le_bytes());
    bytes[20..24].copy_from_slice(&(-1_i32).to_le_bytes());
    bytes[24..28].copy_from_slice(&0.9_f32.to_le_bytes());
    bytes[28..32].copy_from_slice(&0.8_f32.to_le_bytes());
    bytes[56] = 1;
    bytes
}

#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;

/// Where the second segment lies, in the file and in memory: pages may have 64 KiB.
const DYNAMIC_AT: usize = 0x10000;
const HEADERS_BYTES: usize = 64 + 4 * 56;

impl Fake {
    pub(crate) fn new(banner: &'static str, defaults: Vec<u8>) -> Self {
        Self { banner, defaults, exports: EXPORTS.to_vec() }
    }

    /// Writes the library and gives its path.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        fs::create_dir_all(folder).expect("the folder can be made");
        fs::write(&path, self.bytes()).expect("the library can be written");
        path
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEADERS_BYTES];
        let fail = append(&mut bytes, &fail_code());
        let create = append(&mut bytes, &create_code(&self.defaults));
        let banner = format!("RKLLM SDK (version: {} | build: test)\0", self.banner);
        append(&mut bytes, if self.banner.is_empty() { b"" } else { banner.as_bytes() });
        let mut names = vec![0];
        let mut symbols = vec![0; 24];
        for export in &self.exports {
            let value = if *export == "rkllm_createDefaultParam" { create } else { fail };
            let name = u32::try_from(names.len()).expect("names are short");
            symbols.extend_from_slice(&name.to_le_bytes());
            // A global function in section 1, which is any but none.
            symbols.extend_from_slice(&[0x12, 0, 1, 0]);
            symbols.extend_from_slice(&(value as u64).to_le_bytes());
            symbols.extend_from_slice(&0_u64.to_le_bytes());
            names.extend_from_slice(export.as_bytes());
            names.push(0);
        }
        let symbols_at = append(&mut bytes, &symbols);
        let names_at = append(&mut bytes, &names);
        let hash_at = append(&mut bytes, &hash_table(self.exports.len()));
        let code_bytes = bytes.len();
        assert!(code_bytes <= DYNAMIC_AT);
        bytes.resize(DYNAMIC_AT, 0);
        let entries: [(u64, usize); 6] =
            [(4, hash_at), (5, names_at), (6, symbols_at), (10, names.len()), (11, 24), (0, 0)];
        for (tag, value) in entries {
            bytes.extend_from_slice(&tag.to_le_bytes());
            bytes.extend_from_slice(&(value as u64).to_le_bytes());
        }
        write_headers(&mut bytes, code_bytes);
        bytes
    }
}

/// Appends at a multiple of 16 and says where.
fn append(bytes: &mut Vec<u8>, content: &[u8]) -> usize {
    let at = bytes.len().next_multiple_of(16);
    bytes.resize(at, 0);
    bytes.extend_from_slice(content);
    at
}

/// One bucket with a chain through all symbols.
fn hash_table(exports: usize) -> Vec<u8> {
    let count = u32::try_from(exports).expect("few") + 1;
    let chain = (0..count).map(|n| if n == 0 || n + 1 == count { 0 } else { n + 1 });
    [1, count, 1].into_iter().chain(chain).flat_map(u32::to_le_bytes).collect()
}

fn write_headers(bytes: &mut [u8], code_bytes: usize) {
    let dynamic_bytes = bytes.len() - DYNAMIC_AT;
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, b"\x7fELF\x02\x01\x01");
    put(16, &3_u16.to_le_bytes());
    put(18, &MACHINE.to_le_bytes());
    put(20, &1_u32.to_le_bytes());
    put(32, &64_u64.to_le_bytes());
    for (at, value) in [(52, 64_u16), (54, 56), (56, 4), (58, 64)] {
        put(at, &value.to_le_bytes());
    }
    // Code to read and run, the dynamic section to write, the same named as such, and a stack without code.
    let segments: [(u32, u32, usize, usize, u64); 4] = [
        (1, 5, 0, code_bytes, 0x10000),
        (1, 6, DYNAMIC_AT, dynamic_bytes, 0x10000),
        (2, 6, DYNAMIC_AT, dynamic_bytes, 8),
        (0x6474_e551, 6, 0, 0, 16),
    ];
    for (n, (kind, flags, at, size, align)) in segments.into_iter().enumerate() {
        let base = 64 + n * 56;
        put(base, &kind.to_le_bytes());
        put(base + 4, &flags.to_le_bytes());
        for (field, value) in [(8, at), (16, at), (24, at), (32, size), (40, size)] {
            put(base + field, &(value as u64).to_le_bytes());
        }
        put(base + 48, &align.to_le_bytes());
    }
}

/// Returns -1.
#[cfg(target_arch = "x86_64")]
fn fail_code() -> Vec<u8> {
    vec![0xb8, 0xff, 0xff, 0xff, 0xff, 0xc3]
}

/// Copies what follows the code to the address in `rdi`, and returns that.
#[cfg(target_arch = "x86_64")]
fn create_code(defaults: &[u8]) -> Vec<u8> {
    // mov rax, rdi; lea rsi, [rip + 8]; mov ecx, length; rep movsb; ret
    let mut code = vec![0x48, 0x89, 0xf8, 0x48, 0x8d, 0x35, 8, 0, 0, 0, 0xb9];
    code.extend_from_slice(&u32::try_from(defaults.len()).expect("small").to_le_bytes());
    code.extend_from_slice(&[0xf3, 0xa4, 0xc3]);
    code.extend_from_slice(defaults);
    code
}

/// Returns -1.
#[cfg(target_arch = "aarch64")]
fn fail_code() -> Vec<u8> {
    // mov w0, #-1; ret
    [0x1280_0000_u32, 0xd65f_03c0].into_iter().flat_map(u32::to_le_bytes).collect()
}

/// Copies what follows the code to the address in `x8`.
#[cfg(target_arch = "aarch64")]
fn create_code(defaults: &[u8]) -> Vec<u8> {
    let length = u32::try_from(defaults.len()).expect("small");
    // adr x1, 28; movz w2, length; ldrb w3, [x1], 1; strb w3, [x8], 1; subs w2, w2, 1; b.ne -12; ret
    let adr = 0x1000_0001 | (7 << 5);
    let code =
        [adr, 0x5280_0002 | (length << 5), 0x3840_1423, 0x3800_1503, 0x7100_0442, 0x54ff_ffa1, 0xd65f_03c0];
    code.into_iter().flat_map(u32::to_le_bytes).chain(defaults.iter().copied()).collect()
}
