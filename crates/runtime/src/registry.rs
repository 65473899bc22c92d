use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use rkllmjs_core::ModelHandle;

/// How long the end of the process waits for engines to stop; a step stops within milliseconds.
const SHUTDOWN_MOST: Duration = Duration::from_secs(5);

/// Everything of this process that runs native code on its own: an engine that computes while the
/// process destroys its statics would crash it.
#[derive(Default)]
struct Registry {
    models: Vec<ModelHandle>,
    loads: Vec<Arc<AtomicBool>>,
    ending: bool,
}

static REGISTRY: Mutex<Registry> =
    Mutex::new(Registry { models: Vec::new(), loads: Vec::new(), ending: false });
static LOAD_ENDED: Condvar = Condvar::new();

fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A load under way; forgotten when dropped.
pub(crate) struct LoadGuard(Arc<AtomicBool>);

impl LoadGuard {
    /// `cancelled` will be set when the process ends.
    pub(crate) fn new(cancelled: Arc<AtomicBool>) -> Self {
        static AT_EXIT: Once = Once::new();
        AT_EXIT.call_once(|| {
            // Its statics first, so that they are destroyed last. A failure shows at the load.
            let _ = rkllmjs_llama::start();
            rkllmjs_llama::at_exit(end_of_process);
        });
        let mut registry = registry();
        if registry.ending {
            cancelled.store(true, Ordering::SeqCst);
        }
        registry.loads.push(Arc::clone(&cancelled));
        Self(cancelled)
    }
}

impl Drop for LoadGuard {
    fn drop(&mut self) {
        registry().loads.retain(|other| !Arc::ptr_eq(other, &self.0));
        LOAD_ENDED.notify_all();
    }
}

/// How many loads look for statics that were made since the last look.
const LOOKS_MAX: usize = 16;

/// Moves the end of the process before the destructors of statics that a load or a first step made.
pub(crate) fn renew_at_exit() {
    static LOOKS: AtomicUsize = AtomicUsize::new(0);
    if LOOKS.fetch_add(1, Ordering::Relaxed) < LOOKS_MAX {
        rkllmjs_llama::at_exit(end_of_process);
    }
}

pub(crate) fn add(model: &ModelHandle) {
    let mut registry = registry();
    if registry.ending {
        model.close();
    }
    registry.models.push(model.clone());
}

pub(crate) fn remove(model: &ModelHandle) {
    registry().models.retain(|other| !other.is_same(model));
}

extern "C" fn end_of_process() {
    shutdown();
}

/// Waits until these loads, which were told to stop, have ended; at most some seconds.
pub fn wait_for_loads(loads: &[Arc<AtomicBool>]) {
    let under_way = |registry: &mut Registry| {
        registry.loads.iter().any(|other| loads.iter().any(|load| Arc::ptr_eq(load, other)))
    };
    drop(LOAD_ENDED.wait_timeout_while(registry(), SHUTDOWN_MOST, under_way));
}

/// Stops every load and every model of this process and waits for their threads, at most some
/// seconds. For the end of the process: nothing can be loaded afterwards.
pub fn shutdown() {
    let deadline = Instant::now() + SHUTDOWN_MOST;
    let models = {
        let mut registry = registry();
        registry.ending = true;
        for cancelled in &registry.loads {
            cancelled.store(true, Ordering::SeqCst);
        }
        let waited =
            LOAD_ENDED.wait_timeout_while(registry, SHUTDOWN_MOST, |registry| !registry.loads.is_empty());
        std::mem::take(&mut waited.unwrap_or_else(PoisonError::into_inner).0.models)
    };
    for model in &models {
        model.close();
    }
    for model in &models {
        model.wait_closed(deadline.saturating_duration_since(Instant::now()));
    }
}
