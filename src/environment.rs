use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use napi::Env;
use napi_derive::napi;
use rkllmjs_runtime::Model;

/// What one JavaScript thread has started and must not leave running when it ends.
#[derive(Default)]
struct Started {
    models: Vec<(u32, Model)>,
    loads: Vec<Arc<AtomicBool>>,
    next: u32,
}

type Shared = Arc<Mutex<Started>>;

thread_local! {
    static STARTED: RefCell<Option<Shared>> = const { RefCell::new(None) };
}

/// This thread's list. The first call of a thread makes its end stop what is on it.
pub(crate) fn started(env: &Env) -> napi::Result<Environment> {
    let known = STARTED.with_borrow(Clone::clone);
    if let Some(shared) = known {
        return Ok(Environment(shared));
    }
    let shared = Shared::default();
    env.add_env_cleanup_hook(Arc::clone(&shared), |shared| stop(&shared))?;
    STARTED.set(Some(Arc::clone(&shared)));
    Ok(Environment(shared))
}

/// A JavaScript thread's list of what it started.
#[derive(Clone)]
pub(crate) struct Environment(Shared);

impl Environment {
    /// Adds a model; the number removes it again.
    pub(crate) fn add_model(&self, model: &Model) -> u32 {
        let mut started = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        started.next += 1;
        let number = started.next;
        started.models.push((number, model.clone()));
        number
    }

    pub(crate) fn remove_model(&self, number: u32) {
        let mut started = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        started.models.retain(|(other, _)| *other != number);
    }

    pub(crate) fn add_load(&self, cancelled: &Arc<AtomicBool>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).loads.push(Arc::clone(cancelled));
    }

    pub(crate) fn remove_load(&self, cancelled: &Arc<AtomicBool>) {
        let mut started = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        started.loads.retain(|other| !Arc::ptr_eq(other, cancelled));
    }
}

fn stop(shared: &Shared) {
    let started = std::mem::take(&mut *shared.lock().unwrap_or_else(PoisonError::into_inner));
    for cancelled in &started.loads {
        cancelled.store(true, Ordering::SeqCst);
    }
    // A load that still runs would go on while the process takes its statics away.
    rkllmjs_runtime::wait_for_loads(&started.loads);
    for (_, model) in &started.models {
        model.close();
    }
    for (_, model) in &started.models {
        model.wait_closed();
    }
}

/// Stops every engine thread that this JavaScript thread started, and waits for them. For its end:
/// an engine that computes while the process destroys its statics would crash it.
#[napi(catch_unwind)]
pub fn shutdown() {
    if let Some(shared) = STARTED.with_borrow(Clone::clone) {
        stop(&shared);
    }
}
