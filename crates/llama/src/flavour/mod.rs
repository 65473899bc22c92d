//! The copies of ggml's CPU part in this addon, one for each level of CPU: the flavours.
//!
//! All are compiled from the same sources, with other options (`flavours/*.json`, `build.rs`). The best that this CPU
//! runs is taken, once for the life of the process.

mod choice;

use std::ffi::{CStr, c_char, c_void};
use std::sync::OnceLock;

use llama_cpp_sys_2 as sys;
use rkllmjs_core::{Error, ErrorCode};

use choice::{Level, choose, features};

/// The variable of the environment that names a flavour to take in place of the best.
const VARIABLE: &str = "RKLLMJS_FLAVOUR";

/// `rkllmjs_flavour` of `cpp/flavour.h`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Flavour {
    name: *const c_char,
    needs: *const c_char,
    own_products: bool,
    registry: unsafe extern "C" fn() -> sys::ggml_backend_reg_t,
    register_operations: unsafe extern "C" fn(),
    new_pool: unsafe extern "C" fn(*mut sys::ggml_threadpool_params) -> *mut sys::ggml_threadpool,
    free_pool: unsafe extern "C" fn(*mut sys::ggml_threadpool),
}

// SAFETY: it is constant, and so is the text that it points to.
unsafe impl Sync for Flavour {}

unsafe extern "C" {
    /// Best first, up to a null.
    static rkllmjs_flavours: [*const Flavour; 0];
}

impl Flavour {
    /// What it is called, such as `avx2`.
    pub(crate) fn name(&self) -> &'static str {
        text(self.name)
    }

    /// Whether products of tokens with weights in eight bits are ours in it, and not ggml's.
    #[cfg(test)]
    pub(crate) fn owns_products(&self) -> bool {
        self.own_products
    }

    fn level(&self) -> Level<'static> {
        Level { name: self.name(), needs: text(self.needs) }
    }

    /// The CPU as a device of ggml.
    pub(crate) fn device(&self) -> sys::ggml_backend_dev_t {
        // SAFETY: a plain function that returns something constant.
        let registry = unsafe { (self.registry)() };
        // SAFETY: the CPU's registry has one device.
        unsafe { sys::ggml_backend_reg_dev_get(registry, 0) }
    }

    /// A function of it that has no place in ggml's headers; null if there is none.
    pub(crate) fn function(&self, name: &CStr) -> *mut c_void {
        // SAFETY: a plain function that returns something constant.
        let registry = unsafe { (self.registry)() };
        // SAFETY: the registry is constant, and the name ends in NUL.
        unsafe { sys::ggml_backend_reg_get_proc_address(registry, name.as_ptr()) }
    }

    /// Starts threads; null if they cannot be started.
    pub(crate) fn new_pool(&self, params: &mut sys::ggml_threadpool_params) -> *mut sys::ggml_threadpool {
        // SAFETY: the parameters are valid and only read.
        unsafe { (self.new_pool)(params) }
    }

    /// Ends threads that this flavour started.
    ///
    /// # Safety
    ///
    /// The pool is from `new_pool` of this flavour, is not freed yet, and nothing computes with it any more.
    pub(crate) unsafe fn free_pool(&self, pool: *mut sys::ggml_threadpool) {
        // SAFETY: as the caller promises.
        unsafe { (self.free_pool)(pool) }
    }

    /// Makes it ready to compute. To be called once, before anything is computed with it.
    fn prepare(&self) {
        self.make_statics();
        // SAFETY: nothing is computed yet, which would read the list that this adds to.
        unsafe { (self.register_operations)() };
    }

    /// Makes ggml construct the statics that every computation reads, so that what is registered for the
    /// end of the process after this runs before their destructors.
    fn make_statics(&self) {
        let function = self.function(c"ggml_backend_dev_get_extra_bufts");
        if function.is_null() {
            return;
        }
        // SAFETY: the function of this name has this type, `ggml_backend_dev_get_extra_bufts_t`.
        let extra_buffers = unsafe {
            std::mem::transmute::<
                *mut c_void,
                unsafe extern "C" fn(sys::ggml_backend_dev_t) -> *mut sys::ggml_backend_buffer_type_t,
            >(function)
        };
        // SAFETY: it takes the device it was looked up for.
        let _ = unsafe { extra_buffers(self.device()) };
    }
}

/// The flavour of this process, made known to ggml as its CPU.
///
/// # Errors
///
/// `unsupported` if this CPU runs none, or not the one that the environment names.
pub(crate) fn flavour() -> Result<&'static Flavour, Error> {
    static CHOSEN: OnceLock<Result<&'static Flavour, Error>> = OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| {
        let flavours = all();
        let levels: Vec<Level<'_>> = flavours.iter().map(|flavour| flavour.level()).collect();
        let wanted = std::env::var_os(VARIABLE);
        let wanted = wanted.as_ref().map(|name| name.to_string_lossy());
        let index = choose(&levels, features().as_ref(), wanted.as_deref())
            .map_err(|why| Error::new(ErrorCode::Unsupported, why))?;
        let chosen = flavours[index];
        // SAFETY: a plain function that returns something constant.
        let registry = unsafe { (chosen.registry)() };
        // SAFETY: ggml may be given registries at any time before it computes.
        unsafe { sys::ggml_backend_register(registry) };
        chosen.prepare();
        Ok(chosen)
    });
    chosen.clone()
}

/// All of this addon, best first.
fn all() -> Vec<&'static Flavour> {
    let first = (&raw const rkllmjs_flavours).cast::<*const Flavour>();
    let flavour_at = |index| {
        // SAFETY: the list ends in a null, after which nothing asks on.
        let place = unsafe { first.add(index) };
        // SAFETY: as above.
        unsafe { *place }
    };
    // SAFETY: each is the address of a constant, or null.
    (0..).map_while(|index| unsafe { flavour_at(index).as_ref() }).collect()
}

fn text(constant: *const c_char) -> &'static str {
    // SAFETY: a literal of `cpp/flavour.cpp`.
    let text = unsafe { CStr::from_ptr(constant) };
    text.to_str().unwrap_or_default()
}

/// All that this CPU runs, ready to compute.
#[cfg(test)]
pub(crate) fn runnable() -> &'static [&'static Flavour] {
    static READY: OnceLock<Vec<&'static Flavour>> = OnceLock::new();
    READY.get_or_init(|| {
        let chosen = flavour().expect("a flavour");
        let features = features();
        let runs = |flavour: &&Flavour| choose(&[flavour.level()], features.as_ref(), None).is_ok();
        let ready: Vec<_> = all().into_iter().filter(runs).collect();
        ready.iter().filter(|flavour| !std::ptr::eq(**flavour, chosen)).for_each(|flavour| flavour.prepare());
        ready
    })
}
