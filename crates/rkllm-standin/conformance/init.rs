//! What `rkllm_init` and `rkllm_destroy` refuse.

use std::ffi::CString;

use rkllmjs_rkllm_standin::model_file::{self, Header, Kind, Platform};
use rkllmjs_rkllm_sys::*;

use super::driver::{TempFile, function, init, library, param, scripted_model, tiny_file, tiny_model};
use crate::family::{self, Param};

fn refuses(file: &TempFile, set: impl FnOnce(&mut Param)) {
    let path = file.c_path();
    let mut param = param(&path);
    set(&mut param);
    assert_eq!(init(&mut param), Err(-1));
}

#[test]
fn files_that_are_no_models_are_refused() {
    let missing = CString::new("/nowhere/at/all.rkllm").expect("a path");
    assert_eq!(init(&mut param(&missing)), Err(-1));
    for contents in [&b""[..], b"GGUF", b"\xDA\xEE\xB3\x36", &[0; 200], &[0xDA; 5000]] {
        let file = TempFile::new("bad.rkllm");
        std::fs::write(&file.0, contents).expect("a file");
        refuses(&file, |_| ());
    }
}

#[test]
fn a_gguf_without_its_header_is_refused() {
    let path = CString::new(tiny_file("rkllmjs-tiny-q8_0.gguf").to_str().expect("a path")).expect("a path");
    assert_eq!(init(&mut param(&path)), Err(-1));
}

#[test]
fn a_file_cut_short_is_refused() {
    let whole = tiny_model();
    let bytes = std::fs::read(&whole.0).expect("the model");
    let cut = TempFile::new("cut.rkllm");
    std::fs::write(&cut.0, &bytes[..bytes.len() / 2]).expect("a file");
    refuses(&cut, |_| ());
}

#[test]
fn parameters_that_make_no_sense_are_refused() {
    let file = scripted_model("");
    refuses(&file, |param| param.model_path = std::ptr::null());
    refuses(&file, |param| param.max_context_len = 4097);
    refuses(&file, |param| param.max_context_len = 0);
    refuses(&file, |param| param.n_keep = 512);
    refuses(&file, |param| param.mirostat = 3);
    refuses(&file, |param| param.extend_param.enabled_cpus_num = 3);
    refuses(&file, |param| param.extend_param.enabled_cpus_mask = 0x1F);
    refuses(&file, |param| param.extend_param.n_batch = 0);
    refuses(&file, |param| {
        param.extend_param.enabled_cpus_num = 0;
        param.extend_param.enabled_cpus_mask = 0;
    });
}

#[test]
fn the_context_limit_of_the_model_itself_holds() {
    refuses(&tiny_model(), |param| param.max_context_len = 1 << 20);
}

#[test]
fn headers_that_do_not_fit_this_machine_are_refused() {
    let headers = [
        Header { platform: Platform::Rk3576, ..Header::new(Kind::Gguf) },
        Header { toolkit: (1, 4, 0), ..Header::new(Kind::Gguf) },
        Header { npu_cores: 2, ..Header::new(Kind::Gguf) },
        Header { max_context: 256, ..Header::new(Kind::Gguf) },
    ];
    for header in headers {
        let file = TempFile::new("foreign.rkllm");
        model_file::wrap_with(header, &tiny_file("rkllmjs-tiny-q8_0.gguf"), &file.0).expect("a file");
        refuses(&file, |_| ());
    }
}

#[test]
fn missing_arguments_are_refused() {
    let file = scripted_model("");
    let path = file.c_path();
    let mut handle: rkllm_handle = std::ptr::null_mut();
    let null = std::ptr::null_mut();
    assert_eq!(family::init(library(), &raw mut handle, &mut param(&path), None), -1);
    assert_eq!(family::init(library(), &raw mut handle, null, None), -1);
    assert!(handle.is_null());
}

#[test]
fn every_function_refuses_a_null_handle() {
    for name in ["rkllm_destroy", "rkllm_abort", "rkllm_is_running", "rkllm_release_prompt_cache"] {
        let call: rkllm12_abort_fn = function(name);
        // SAFETY: the named functions have this type.
        assert_eq!(unsafe { call.expect("a function")(std::ptr::null_mut()) }, -1, "{name}");
    }
    let run: family::Run = function("rkllm_run");
    let null = std::ptr::null_mut();
    // SAFETY: nothing is followed with a null handle.
    assert_eq!(unsafe { run.expect("a function")(null, null.cast(), null.cast(), null) }, -1);
}
