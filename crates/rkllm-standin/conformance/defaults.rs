//! `rkllm_createDefaultParam`, and what the library's file shows.

use super::child::passes_in_child;
use super::driver::{function, library, library_file};
use crate::family;

/// Large enough for any family, and told apart from what is written.
const POISON: u8 = 0x5A;

#[repr(C)]
#[derive(Clone, Copy)]
struct Poisoned([u8; 512]);

/// The defaults as the vendor's library returns them: through memory that the caller offers.
fn defaults() -> [u8; 512] {
    // The function takes the address that a large struct is returned through. On this machine it is the
    // first argument; a caller that declares a struct does the same.
    let mut memory = Poisoned([POISON; 512]);
    #[cfg(target_arch = "x86_64")]
    {
        let create: unsafe extern "C" fn(*mut Poisoned) -> *mut Poisoned =
            function("rkllm_createDefaultParam");
        // SAFETY: there is more room than any family writes.
        unsafe { create(&raw mut memory) };
    }
    #[cfg(target_arch = "aarch64")]
    {
        // SAFETY: there is more room than any family writes.
        unsafe { call_into(&raw mut memory, function("rkllm_createDefaultParam")) };
    }
    memory.0
}

/// Calls a function that returns a large struct, with the place for it in x8.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
unsafe extern "C" fn call_into(memory: *mut Poisoned, create: *const ()) {
    std::arch::naked_asm!("mov x8, x0", "br x1")
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a field")
}

#[test]
fn the_defaults_are_those_of_the_vendor() {
    let bytes = defaults();
    let int = |at| i32::from_ne_bytes(field(&bytes, at));
    let float = |at| f32::from_ne_bytes(field(&bytes, at));
    assert_eq!(u64::from_ne_bytes(field(&bytes, 0)), 0, "model_path");
    assert_eq!([int(8), int(12), int(16), int(20)], [512, -1, 40, -1]);
    assert_eq!([float(24), float(28), float(32), float(36), float(40)], [0.9, 0.8, 1.1, 0.0, 0.0]);
    assert_eq!((int(44), float(48), float(52)), (0, 5.0, 0.1));
    assert_eq!(bytes[56], 1, "skip_special_token");
    let at = family::EXTEND_OFFSET;
    assert_eq!(int(at), 0, "base_domain_id");
    assert_eq!(bytes[at + 4..at + 6], [1, 4], "embed_flash, enabled_cpus_num");
    assert_eq!(int(at + 8).count_ones(), 4, "enabled_cpus_mask");
    assert_eq!(bytes[at + 12..at + 14], [1, 0], "n_batch, use_cross_attn");
}

#[test]
fn reserved_bytes_and_padding_are_not_written() {
    let bytes = defaults();
    let reserved = family::EXTEND_OFFSET + 14..family::EXTEND_OFFSET + 118;
    let padding = family::UNWRITTEN.into_iter().chain([family::EXTEND_OFFSET + 6, family::EXTEND_OFFSET + 7]);
    let after = family::EXTEND_OFFSET + 118..512;
    for at in reserved.chain(padding).chain(after) {
        assert_eq!(bytes[at], POISON, "byte {at}");
    }
    assert_eq!((family::EXTEND_OFFSET + 120).next_multiple_of(8), family::PARAM_BYTES);
}

#[test]
fn a_caller_that_declares_the_struct_gets_it() {
    let create: family::CreateDefaultParam = function("rkllm_createDefaultParam");
    // SAFETY: the type is that of the family.
    let param = unsafe { create.expect("a function")() };
    assert_eq!((param.max_context_len, param.top_k), (512, 40));
    assert_eq!(param.extend_param.enabled_cpus_num, 4);
}

#[test]
fn garbage_where_nothing_need_be_written() {
    let variables = [("RKLLMJS_STANDIN_TRAP", "reserved-garbage")];
    passes_in_child(module_path!(), "garbage_where_nothing_need_be_written", &variables, || {
        let bytes = defaults();
        let at = family::EXTEND_OFFSET;
        assert_eq!(bytes[at + 4..at + 6], [1, 4]);
        assert_eq!(bytes[at + 8..at + 118], [0xA5; 110]);
    });
}

#[test]
fn the_file_carries_the_banner() {
    let bytes = std::fs::read(library_file()).expect("the library's file");
    let found = bytes.windows(family::BANNER.len()).filter(|window| *window == family::BANNER.as_bytes());
    assert_eq!(found.count(), 1);
}

#[test]
fn it_has_the_vendors_functions_and_one_of_its_own() {
    let names = [
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
        "rkllm_get_kv_cache_size",
        "rkllm_set_chat_template",
        "rkllm_set_function_tools",
        "rkllm_set_cross_attn_params",
        "rkllmjs_standin_version",
    ];
    for name in names {
        // SAFETY: the symbol is only looked up.
        let found = unsafe { library().get::<*const ()>(name.as_bytes()) };
        assert!(found.is_ok(), "{name}");
    }
}

#[test]
fn its_version_names_the_release_it_stands_in_for() {
    let version: unsafe extern "C" fn() -> *const std::ffi::c_char = function("rkllmjs_standin_version");
    // SAFETY: it takes nothing.
    let version = unsafe { version() };
    // SAFETY: it returns a static text that ends in NUL.
    let version = unsafe { std::ffi::CStr::from_ptr(version) }.to_str().expect("text");
    let (_, release) = family::BANNER.split_once("version: ").expect("a version");
    assert!(version.ends_with(&release[..5]), "{version}");
}
