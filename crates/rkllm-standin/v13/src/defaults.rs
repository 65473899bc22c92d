//! `rkllm_createDefaultParam`, which writes the fields it has defaults for and no other byte.
//!
//! A struct this large is returned through memory of the caller's. Rust would write all of it, so the
//! function is written as the machine sees it: one that takes the address and writes fields.

use std::mem::offset_of;

use rkllmjs_rkllm_standin::Traps;
use rkllmjs_rkllm_sys::{rkllm12_extend_param, rkllm13_param};

/// What the trap `reserved-garbage` leaves in bytes that need not be written.
const GARBAGE: u8 = 0xA5;

/// Writes the defaults to the caller's memory.
///
/// # Safety
///
/// `param` is where a caller that declares a struct for the result wants it.
#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rkllm_createDefaultParam(param: *mut rkllm13_param) -> *mut rkllm13_param {
    // The address comes as the first argument and goes back as the result, as for any large struct.
    // SAFETY: the caller's promise: its memory for a struct of this type.
    unsafe { write_defaults(param) };
    param
}

/// Writes the defaults to the caller's memory, whose address comes in x8.
///
/// # Safety
///
/// The caller declares a struct for the result.
#[cfg(target_arch = "aarch64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn rkllm_createDefaultParam() {
    std::arch::naked_asm!("mov x0, x8", "b {write}", write = sym write_defaults)
}

unsafe extern "C" fn write_defaults(param: *mut rkllm13_param) {
    macro_rules! set {
        ($($field:ident = $value:expr;)*) => {$(
            // SAFETY: the caller's memory has this field.
            let field = unsafe { &raw mut (*param).$field };
            // SAFETY: as above.
            unsafe { field.write($value) };
        )*};
    }
    set! {
        model_path = std::ptr::null();
        max_context_len = 512;
        max_new_tokens = -1;
        top_k = 40;
        n_keep = -1;
        top_p = 0.9;
        temperature = 0.8;
        repeat_penalty = 1.1;
        frequency_penalty = 0.0;
        presence_penalty = 0.0;
        mirostat = 0;
        mirostat_tau = 5.0;
        mirostat_eta = 0.1;
        skip_special_token = 1;
        ignore_eos_token = 0;
        is_async = 0;
    }
    // SAFETY: the caller's memory has this field.
    let extend = unsafe { &raw mut (*param).extend_param };
    // SAFETY: as above.
    unsafe { write_extend_defaults(extend) };
}

unsafe fn write_extend_defaults(extend: *mut rkllm12_extend_param) {
    macro_rules! set {
        ($($field:ident = $value:expr;)*) => {$(
            // SAFETY: the caller's memory has this field.
            let field = unsafe { &raw mut (*extend).$field };
            // SAFETY: as above.
            unsafe { field.write($value) };
        )*};
    }
    set! {
        base_domain_id = 0;
        embed_flash = 1;
        enabled_cpus_num = 4;
    }
    if std::panic::catch_unwind(|| Traps::from_environment().reserved_garbage).unwrap_or(false) {
        set! {
            enabled_cpus_mask = u32::from_ne_bytes([GARBAGE; 4]);
            n_batch = GARBAGE;
            use_cross_attn = GARBAGE.cast_signed();
            reserved = [GARBAGE; RESERVED];
        }
        return;
    }
    set! {
        enabled_cpus_mask = default_mask();
        n_batch = 1;
        use_cross_attn = 0;
    }
}

/// Bytes of the reserved field.
const RESERVED: usize = 104;
const _: () =
    assert!(offset_of!(rkllm12_extend_param, reserved) + RESERVED <= size_of::<rkllm12_extend_param>());

/// The big cores of a chip with eight processors; all of one with four. The vendor's library writes
/// none on other machines; there the stand-in takes the first four, of which it uses what there is.
fn default_mask() -> u32 {
    match std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
        8 => 0xF0,
        _ => 0x0F,
    }
}
