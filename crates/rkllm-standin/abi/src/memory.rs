//! Reading what a caller points to.

use std::ffi::{CStr, c_char};

/// Most numbers of one array; a larger count is taken for garbage.
const COUNT_MAX: usize = 1 << 28;

/// The text at `text`; none if it is null or no UTF-8.
///
/// # Safety
///
/// `text` is null or ends in NUL.
pub unsafe fn text(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().ok().map(str::to_owned)
}

/// The text at `text`; empty if it is null, none if it is no UTF-8.
///
/// # Safety
///
/// `text` is null or ends in NUL.
pub unsafe fn text_or_empty(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return Some(String::new());
    }
    // SAFETY: the caller's promise.
    unsafe { self::text(text) }
}

/// A copy of `count` numbers; none if there can be none.
///
/// # Safety
///
/// `numbers` is null or points to `count` floats.
pub unsafe fn floats(numbers: *const f32, count: usize) -> Option<Vec<f32>> {
    // SAFETY: the caller's promise.
    unsafe { copied(numbers, count) }
}

/// A copy of `count` numbers; none if there can be none.
///
/// # Safety
///
/// `numbers` is null or points to `count` integers.
pub unsafe fn integers(numbers: *const i32, count: usize) -> Option<Vec<i32>> {
    // SAFETY: the caller's promise.
    unsafe { copied(numbers, count) }
}

unsafe fn copied<T: Copy>(values: *const T, count: usize) -> Option<Vec<T>> {
    if values.is_null() || count > COUNT_MAX {
        return None;
    }
    // SAFETY: the caller's promise.
    let values = unsafe { std::slice::from_raw_parts(values, count) };
    Some(values.to_vec())
}
