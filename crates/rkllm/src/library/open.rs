//! Opens a library once for the process, and never closes it.

use std::ffi::CStr;
use std::fs;
use std::mem::ManuallyDrop;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use libloading::os::unix::{Library as Handle, RTLD_LOCAL, RTLD_NOW};

use super::decide::{Claim, DetectedBy, decide, expect};
use super::probe;
use super::refusal::Refusal;
use super::symbols::{Functions12, Functions13, Symbols};
use super::version::{Abi, SUPPORTED, Version};
use super::{Library, banner, elf};

/// Nobody has as many runtimes; without a bound a loop over paths would fill the memory for good.
const LIBRARIES_MAX: usize = 64;

/// What is open already. Never closed: the runtime's threads and destructors live until the process ends.
static OPEN: Mutex<Vec<&'static Library>> = Mutex::new(Vec::new());

/// The library in the file `path`, opened unless it is already.
pub(super) fn open(path: &Path, claim: Option<Claim>) -> Result<&'static Library, Refusal> {
    let mut file = elf::open(path)?;
    let banner = banner::find(&mut file).map_err(|error| Refusal::new(format!("cannot be read: {error}")))?;
    let version = banner.as_ref().map(|banner| banner.version);
    let expected = expect(version, claim)?;
    let path = fs::canonicalize(path).map_err(|error| Refusal::new(format!("cannot be found: {error}")))?;

    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(library) = open.iter().find(|library| library.path == path) {
        return agree(library, claim);
    }
    if open.len() >= LIBRARIES_MAX {
        return Err(Refusal::new(format!(
            "is one more than the {LIBRARIES_MAX} libraries a process may open"
        )));
    }
    let handle = load(&path)?;
    let refuse = |refusal: Refusal| refusal.of(version);
    let create = check_symbols(&handle).map_err(refuse)?;
    // SAFETY: every version of the runtime has this function in this form, with a struct of 208 bytes at most.
    let evidence = unsafe { probe::probe(create) };
    let (abi, detected_by) = decide(expected, &evidence).map_err(refuse)?;
    let symbols = resolve(&handle, abi).map_err(refuse)?;
    let claimed = claim.filter(|_| detected_by == DetectedBy::Override).map(|claim| claim.version);
    let target = banner.and_then(|banner| banner.target).unwrap_or_default();
    let library: &'static Library = Box::leak(Box::new(Library {
        path,
        version: version.or(claimed),
        abi,
        detected_by,
        stand_in: target.contains("stand-in") || has(&handle, "rkllmjs_standin_version"),
        symbols,
        _handle: handle,
    }));
    open.push(library);
    Ok(library)
}

/// An open library is what it was found to be; a claim that says otherwise is refused.
fn agree(library: &'static Library, claim: Option<Claim>) -> Result<&'static Library, Refusal> {
    match claim {
        Some(claim) if claim.abi != library.abi => Err(Refusal::new(format!(
            "is open with the interface of {}, but runtime_version says {}",
            library.abi, claim.version
        ))
        .of(library.version)),
        _ => Ok(library),
    }
}

/// Maps a library. What its constructors do is the vendor's; they run once for the process.
fn load(path: &Path) -> Result<ManuallyDrop<Handle>, Refusal> {
    // SAFETY: the caller chose this library to be run; local symbols keep its llama.cpp apart from ours.
    let handle = unsafe { Handle::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
    let handle = handle.map_err(|error| Refusal::new(format!("cannot be loaded: {}", why(&error))))?;
    Ok(ManuallyDrop::new(handle))
}

fn why(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// The address of the function that makes default settings, of a library that is new enough.
fn check_symbols(handle: &Handle) -> Result<*const (), Refusal> {
    let Some(create) = address(handle, "rkllm_createDefaultParam").filter(|_| has(handle, "rkllm_init"))
    else {
        return Err(Refusal::new(
            "is not the RKLLM runtime: it lacks rkllm_init or rkllm_createDefaultParam",
        ));
    };
    let too_old = |versions| Refusal::new(format!("is of {versions}, too old; supported are {SUPPORTED}"));
    if !has(handle, "rkllm_set_chat_template") {
        return Err(too_old("1.1 or older"));
    }
    if !has(handle, "rkllm_get_kv_cache_size") {
        return Err(too_old("1.2.0 or a beta of 1.2.1"));
    }
    Ok(create)
}

fn has(handle: &Handle, symbol: &str) -> bool {
    address(handle, symbol).is_some()
}

fn address(handle: &Handle, symbol: &str) -> Option<*const ()> {
    // SAFETY: an address of whatever kind may be looked at as a pointer; nothing is read through it.
    let found = unsafe { handle.get::<*const ()>(symbol) };
    found.ok().map(|symbol| *symbol).filter(|address| !address.is_null())
}

fn resolve(handle: &Handle, abi: Abi) -> Result<Symbols, Refusal> {
    let symbols = match abi {
        // SAFETY: the version and the defaults of the library say that it has this interface.
        Abi::V12 => unsafe { Functions12::resolve(handle) }.map(Symbols::V12),
        // SAFETY: as above.
        Abi::V13 => unsafe { Functions13::resolve(handle) }.map(Symbols::V13),
    };
    symbols.map_err(|missing| Refusal::new(missing.to_string()))
}

/// Where the system's loader finds a library by its plain name. It is opened for that, which is why files at
/// known places are looked at first.
pub(super) fn find_by_name(name: &str) -> Result<PathBuf, Refusal> {
    let handle = load(Path::new(name)).map_err(|refusal| {
        // The loader's text for a library that is nowhere names no reason beyond that.
        if refusal.reason.contains("No such file") { Refusal::missing() } else { refusal }
    })?;
    let not_ours = || Refusal::new("is not the RKLLM runtime: it lacks rkllm_init");
    let init = address(&handle, "rkllm_init").ok_or_else(not_ours)?;
    // SAFETY: zeros are a valid value of this plain struct.
    let mut facts: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: the address lies in a library that stays open; `facts` is writable.
    let status = unsafe { libc::dladdr(init.cast(), &raw mut facts) };
    if status == 0 || facts.dli_fname.is_null() {
        return Err(Refusal::new("is loaded from an unknown place; give its path"));
    }
    // SAFETY: a string of the loader, which lives as long as the library.
    let path = unsafe { CStr::from_ptr(facts.dli_fname) };
    Ok(PathBuf::from(std::ffi::OsStr::from_bytes(path.to_bytes())))
}

/// A version for a caller's claim, which must be one that is known.
pub(super) fn claim(text: &str) -> Option<Claim> {
    let version = Version::parse(text)?;
    match version.support() {
        super::version::Support::Known(abi) => Some(Claim { version, abi }),
        _ => None,
    }
}
