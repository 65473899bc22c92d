//! The vendor's names, each of which goes on to the function of its family in `librkllmrt_standin.so`. That library lies
//! beside the one that this is compiled into, and is opened when it is.

use std::ffi::{CStr, CString, OsStr, c_int, c_void};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Exports functions by their names. The first argument is what their names begin with in the other library.
///
/// They hand on all registers as they are, so that nothing here knows their arguments.
macro_rules! exports {
    ($family:literal: $($name:ident,)*) => {
        #[expect(non_upper_case_globals, reason = "named as what lies there")]
        mod places {
            use std::sync::atomic::AtomicPtr;
            $(pub(super) static $name: AtomicPtr<std::ffi::c_void> = AtomicPtr::new(std::ptr::null_mut());)*
        }

        mod names {
            $(
                #[unsafe(no_mangle)]
                #[unsafe(naked)]
                extern "C" fn $name() {
                    #[cfg(target_arch = "x86_64")]
                    std::arch::naked_asm!("jmp qword ptr [rip + {place}]", place = sym super::places::$name);
                    #[cfg(target_arch = "aarch64")]
                    std::arch::naked_asm!(
                        "adrp x16, {place}",
                        "ldr x16, [x16, :lo12:{place}]",
                        "br x16",
                        place = sym super::places::$name
                    );
                }
            )*
        }

        extern "C" fn fill_places() {
            $crate::face::fill(&[$((concat!($family, stringify!($name)), &places::$name)),*]);
        }

        // Run when the library is opened.
        #[used]
        #[unsafe(link_section = ".init_array")]
        static FILL_PLACES: extern "C" fn() = fill_places;
    };
}
pub(crate) use exports;

const LIBRARY: &str = "librkllmrt_standin.so";

/// Puts the functions where they are looked for; one that fails where there is none.
pub(crate) fn fill(places: &[(&str, &AtomicPtr<c_void>)]) {
    let library = open();
    for (name, place) in places {
        place.store(function(library, name).unwrap_or(fail as *mut c_void), Ordering::Relaxed);
    }
}

extern "C" fn fail() -> c_int {
    -1
}

/// The library beside this one; null if it cannot be opened, which standard error says.
fn open() -> *mut c_void {
    let Some(path) = library_beside().and_then(|path| CString::new(path).ok()) else {
        return std::ptr::null_mut();
    };
    // SAFETY: the path ends in NUL; the library runs nothing of its own when it is opened, and is never closed.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if library.is_null() {
        // SAFETY: a plain function.
        let why = unsafe { libc::dlerror() };
        if !why.is_null() {
            // SAFETY: it returns a text that ends in NUL.
            let why = unsafe { CStr::from_ptr(why) };
            let line = format!("E rkllm: the stand-in lacks its other library: {}\n", why.to_string_lossy());
            // SAFETY: the bytes are those of the line.
            let _ = unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
        }
    }
    library
}

/// The path of the library beside this one.
fn library_beside() -> Option<Vec<u8>> {
    let mut info = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    // SAFETY: the address is one of this library, and the place for the answer is valid.
    let found = unsafe { libc::dladdr(fail as *const c_void, &raw mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: it ends in NUL and stays while the library does.
    let own = unsafe { CStr::from_ptr(info.dli_fname) };
    let folder = Path::new(OsStr::from_bytes(own.to_bytes())).parent()?;
    Some(folder.join(LIBRARY).into_os_string().into_vec())
}

fn function(library: *mut c_void, name: &str) -> Option<*mut c_void> {
    if library.is_null() {
        return None;
    }
    let name = CString::new(name).ok()?;
    // SAFETY: the library is open, and the name ends in NUL.
    let address = unsafe { libc::dlsym(library, name.as_ptr()) };
    (!address.is_null()).then_some(address)
}
