//! The corpus of malformed files.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use rkllmjs_synthetic::{BadFile, Draft, Expect, Kind, Options, WeightType, corpus, draft};

fn micro() -> io::Result<Vec<u8>> {
    let options = Options { weight_type: WeightType::Q8_0, ..Options::default() };
    draft(Kind::Micro, &options)?.to_bytes()
}

fn bundled() -> io::Result<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read(root.join("models/tiny/rkllmjs-tiny-q8_0.gguf"))
}

/// Checks what must hold for every file and counts them.
fn check(base: &[u8]) -> io::Result<usize> {
    let mut names = HashSet::new();
    for BadFile { name, bytes, why, expect } in corpus(base)? {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        assert!(name.bytes().all(plain), "{name}");
        assert!(!why.is_empty(), "{name}");
        assert!(bytes != base, "{name} does not differ from the base");
        if name.starts_with("cut-") || name.starts_with("first-") || name.starts_with("magic-") {
            assert_eq!(expect, Expect::Refused, "{name}");
            assert!(Draft::parse(&bytes).is_err(), "{name} reads as a good file");
        }
        assert!(names.insert(name.clone()), "{name} is there twice");
    }
    Ok(names.len())
}

#[test]
fn the_corpus_of_the_micro_model_is_large_and_each_file_differs_from_the_base() {
    let count = check(&micro().unwrap()).unwrap();
    assert!(count >= 250, "{count}");
}

#[test]
fn the_corpus_of_the_bundled_model_leaves_out_only_what_does_not_apply() {
    let count = check(&bundled().unwrap()).unwrap();
    assert!(count >= 240, "{count}");
}

#[test]
fn the_corpus_is_the_same_every_time() {
    let base = micro().unwrap();
    assert!(corpus(&base).unwrap().eq(corpus(&base).unwrap()));
}

#[test]
fn a_bad_base_is_an_error() {
    for base in [&b""[..], b"GGUF", &micro().unwrap()[..1000]] {
        assert!(corpus(base).is_err());
    }
}

#[test]
fn a_file_with_one_edit_still_reads_as_a_file() {
    let base = micro().unwrap();
    for name in ["block-count-0", "template-2-mib", "alignment-64", "nan-scales-q4_0", "trailing-byte"] {
        let file = corpus(&base).unwrap().find(|file| file.name == name).unwrap();
        assert!(Draft::parse(&file.bytes).is_ok(), "{name}");
    }
}
