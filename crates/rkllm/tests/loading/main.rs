//! Libraries found, told apart and opened, as a caller sees it.

#![expect(clippy::expect_used, reason = "what a test builds upon may fail as loudly as the test")]

mod fake;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use fake::{Fake, defaults_12, defaults_13};
use rkllmjs_core::{Detail, Error, ErrorCode};
use rkllmjs_rkllm::library::{Abi, DetectedBy, Library, Search, Symbols};

/// A folder of its own for each test. The libraries in it stay mapped when it goes.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("rkllmjs-loading-{}-{count}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn find(path: &Path, runtime_version: &str) -> Result<&'static Library, Error> {
    let runtime_version = Some(runtime_version).filter(|version| !version.is_empty());
    Library::find(&Search { library_path: Some(path), runtime_version, ..Search::default() })
}

fn open(fake: &Fake, runtime_version: &str) -> Result<&'static Library, Error> {
    let folder = Folder::new();
    find(&fake.write(&folder.0, "librkllmrt.so"), runtime_version)
}

fn refusal(fake: &Fake, runtime_version: &str) -> String {
    let error = open(fake, runtime_version).expect_err("it is refused");
    assert_eq!(error.code, ErrorCode::LibraryUnavailable, "{error}");
    error.message
}

#[test]
fn a_library_is_driven_as_its_banner_says() {
    let library = open(&Fake::new("1.2.3 | target: Linux", defaults_12()), "").unwrap();
    assert_eq!((library.abi, library.detected_by), (Abi::V12, DetectedBy::Banner));
    assert_eq!(library.version.map(|version| version.to_string()), Some("1.2.3".into()));
    assert!(!library.stand_in && matches!(library.symbols, Symbols::V12(_)));

    let library = open(&Fake::new("1.3.0 | target: Linux", defaults_13()), "1.3.1").unwrap();
    assert_eq!((library.abi, library.detected_by), (Abi::V13, DetectedBy::Banner));
    let Symbols::V13(functions) = library.symbols else { panic!("{library:?}") };
    // SAFETY: the function takes a handle, of which null is one, and returns a number.
    assert_eq!(unsafe { (functions.abort)(std::ptr::null_mut()) }, -1);
}

#[test]
fn without_a_banner_the_defaults_tell() {
    let library = open(&Fake::new("", defaults_12()), "").unwrap();
    assert_eq!((library.abi, library.detected_by, library.version), (Abi::V12, DetectedBy::Probe, None));
    let library = open(&Fake::new("", defaults_13()), "").unwrap();
    assert_eq!((library.abi, library.detected_by, library.version), (Abi::V13, DetectedBy::Probe, None));
}

#[test]
fn a_library_is_never_driven_by_the_other_interface_whoever_lies() {
    for (banner, claim, defaults) in [
        ("1.3.1 | target: Linux", "", defaults_12()),
        ("1.2.3 | target: Linux", "", defaults_13()),
        ("1.3.1 | target: Linux", "1.3.1", defaults_12()),
        ("1.3.1 | target: Linux", "1.2.3", defaults_12()),
        ("1.4.0 | target: Linux", "1.2.3", defaults_13()),
        ("1.4.0 | target: Linux", "1.3.1", defaults_12()),
        ("", "1.3.1", defaults_12()),
        ("", "1.2.3", defaults_13()),
        // Nothing is recognised in these but how far they go.
        ("", "1.3.1", vec![0; 208]),
        ("", "1.2.3", vec![0; 184]),
        ("1.4.0 | target: Linux", "1.2.3", vec![0; 184]),
    ] {
        let message = refusal(&Fake::new(banner, defaults), claim);
        let tells = ["contradicts itself", "cannot have", "runtime_version says"];
        assert!(tells.iter().any(|words| message.contains(words)), "{banner} {claim}: {message}");
    }
}

#[test]
fn a_newer_library_needs_the_callers_word_and_gets_no_larger_struct_than_ours() {
    let newer = Fake::new("1.4.0 | target: Linux", defaults_13());
    assert!(refusal(&newer, "").contains("1.4.0"));
    let library = open(&newer, "1.3.1").unwrap();
    assert_eq!((library.abi, library.detected_by), (Abi::V13, DetectedBy::Override));
    assert_eq!(library.version.map(|version| version.to_string()), Some("1.4.0".into()));

    let mut larger = defaults_13();
    larger.resize(240, 0);
    assert!(refusal(&Fake::new("1.4.0 | target: Linux", larger), "1.3.1").contains("contradicts itself"));
}

#[test]
fn a_library_that_tells_nothing_is_opened_on_the_callers_word_alone() {
    let silent = Fake::new("", vec![0; 208]);
    assert!(refusal(&silent, "").contains("runtime_version"));
    let library = open(&silent, "1.2.2").unwrap();
    assert_eq!((library.abi, library.detected_by), (Abi::V12, DetectedBy::Override));
}

#[test]
fn old_libraries_are_refused_with_what_was_found() {
    let error = open(&Fake::new("1.1.4 | target: Linux", defaults_12()), "1.2.3").unwrap_err();
    assert!(error.message.contains("1.1.4") && error.message.contains("too old"), "{error}");
    assert_eq!(error.details.last(), Some(&("found", Detail::Text("1.1.4".into()))));
    for (without, words) in [("rkllm_set_chat_template", "1.1"), ("rkllm_get_kv_cache_size", "1.2.0")] {
        let mut fake = Fake::new("", defaults_12());
        fake.exports.retain(|export| *export != without);
        let message = refusal(&fake, "1.2.3");
        assert!(message.contains(words) && message.contains("too old"), "{message}");
    }
}

#[test]
fn a_library_that_lacks_a_function_is_refused_naming_it() {
    let mut fake = Fake::new("1.2.3 | target: Linux", defaults_12());
    fake.exports.retain(|export| *export != "rkllm_abort");
    assert!(refusal(&fake, "").contains("lacks the function rkllm_abort"));
    fake.exports.retain(|export| *export != "rkllm_init");
    assert!(refusal(&fake, "").contains("is not the RKLLM runtime"));
}

#[test]
fn a_stand_in_is_known_by_its_banner_or_its_symbol() {
    let library = open(&Fake::new("1.2.3 | target: stand-in", defaults_12()), "").unwrap();
    assert!(library.stand_in);
    let mut fake = Fake::new("1.3.1 | target: Linux", defaults_13());
    fake.exports.push("rkllmjs_standin_version");
    assert!(open(&fake, "").unwrap().stand_in);
}

#[test]
fn the_same_file_is_opened_once_by_whatever_path() {
    let folder = Folder::new();
    let path = Fake::new("1.4.0 | target: Linux", defaults_13()).write(&folder.0, "real.so");
    let link = folder.0.join("link.so");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let library = find(&path, "1.3.1").unwrap();
    assert!(std::ptr::eq(library, find(&link, "1.3.0").unwrap()));
    assert!(find(&link, "1.2.3").unwrap_err().message.contains("is open with the interface of 1.3"));
}

#[test]
fn the_addons_folder_is_looked_at_and_what_is_unfit_there_is_told() {
    let folder = Folder::new();
    let search = Search { addon_folder: Some(&folder.0), ..Search::default() };
    if std::env::var_os("RKLLMJS_RKLLM_LIBRARY").is_some() {
        eprintln!("skipped: RKLLMJS_RKLLM_LIBRARY names the library, so that no folder is looked at");
        return;
    }
    fs::create_dir_all(&folder.0).unwrap();
    fs::write(folder.0.join("librkllmrt.so"), "version https://git-lfs.github.com/spec/v1\n").unwrap();
    // On a board the system's own library may be found instead, which is right too.
    if let Err(error) = Library::find(&search) {
        assert!(error.message.contains("Git LFS pointer"), "{error}");
        let Some((_, Detail::List(tried))) = error.details.first() else { panic!("{error:?}") };
        assert!(tried.len() > 5 && tried.last().unwrap().starts_with("librkllmrt.so: "), "{tried:?}");
    }
    Fake::new("1.2.1 | target: Linux", defaults_12()).write(&folder.0, "librkllmrt.so");
    assert_eq!(Library::find(&search).unwrap().abi, Abi::V12);
}

#[test]
fn a_runtime_version_that_is_not_known_is_the_callers_mistake() {
    for version in ["1.4.0", "1.1.4", "newest", "", "1.2.3b1"] {
        let search = Search { runtime_version: Some(version), ..Search::default() };
        let error = Library::find(&search).unwrap_err();
        assert_eq!(
            (error.code, error.option),
            (ErrorCode::InvalidRequest, Some("runtime_version")),
            "{version}"
        );
    }
}

#[test]
fn damaged_libraries_are_refused_before_they_are_opened() {
    let folder = Folder::new();
    let path = Fake::new("1.2.3 | target: Linux", defaults_12()).write(&folder.0, "whole.so");
    let bytes = fs::read(path).unwrap();
    for length in [0, 4, 63, 64, 200, 4096, bytes.len() - 1] {
        let path = folder.0.join(format!("{length}.so"));
        fs::write(&path, &bytes[..length]).unwrap();
        assert_eq!(find(&path, "").unwrap_err().code, ErrorCode::LibraryUnavailable, "{length}");
    }
}
