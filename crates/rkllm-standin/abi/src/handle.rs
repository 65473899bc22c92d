//! Handles: numbers that a table knows, so that a wrong one is found out instead of followed.

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rkllmjs_rkllm_standin::{Config, Runtime, Traps};
use rkllmjs_rkllm_sys::rkllm_handle;

use crate::{OK, Receiver};

/// A loaded model and where its results go.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) receiver: Receiver,
}

static HANDLES: Mutex<BTreeMap<usize, Arc<Handle>>> = Mutex::new(BTreeMap::new());

fn handles() -> std::sync::MutexGuard<'static, BTreeMap<usize, Arc<Handle>>> {
    HANDLES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Loads a model and writes its handle to `handle`, which stays as it is on failure.
///
/// # Safety
///
/// `handle` points to a writable handle.
pub unsafe fn init(handle: *mut rkllm_handle, config: Config, receiver: Receiver) -> Option<c_int> {
    // Spaced like addresses, and odd, so that following one would fault.
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let runtime = Arc::new(Runtime::init(config, Traps::from_environment()).ok()?);
    let number = NEXT.fetch_add(16, Ordering::Relaxed);
    handles().insert(number, Arc::new(Handle { runtime, receiver }));
    // SAFETY: the caller's promise.
    unsafe { handle.write(std::ptr::without_provenance_mut(number)) };
    Some(OK)
}

/// What a handle stands for; none if it is null. The vendor's library would follow one that it never
/// made or has destroyed; here that ends the process, so that it is noticed.
pub(crate) fn find(handle: rkllm_handle) -> Option<Arc<Handle>> {
    if handle.is_null() {
        return None;
    }
    match handles().get(&handle.addr()) {
        Some(found) => Some(Arc::clone(found)),
        None => misused("a handle that was never made, or destroyed before, was used"),
    }
}

/// The model of a handle; none if it is null.
pub fn runtime_of(handle: rkllm_handle) -> Option<Arc<Runtime>> {
    find(handle).map(|handle| Arc::clone(&handle.runtime))
}

pub(crate) fn destroy(handle: rkllm_handle) -> Option<c_int> {
    let found = find(handle)?;
    if found.runtime.is_running() {
        misused("rkllm_destroy was called during a run");
    }
    handles().remove(&handle.addr());
    Some(OK)
}

fn misused(what: &str) -> ! {
    let _ = writeln!(std::io::stderr(), "stand-in: {what}");
    std::process::abort()
}
