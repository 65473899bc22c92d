//! The program that makes model files.

use std::process::Command;

#[test]
fn it_wraps_a_file_and_says_what_is_wrong() {
    let folder = std::env::temp_dir();
    let name = |ending| folder.join(format!("standin-model-{}.{ending}", std::process::id()));
    let (from, to) = (name("gguf"), name("rkllm"));
    std::fs::write(&from, b"GGUF and so on").expect("a file");
    let run = |arguments: &[&std::path::Path]| {
        let output = Command::new(env!("CARGO_BIN_EXE_standin-model")).args(arguments).output();
        output.expect("it runs").status.code()
    };
    assert_eq!(run(&[&from, &to]), Some(0));
    let bytes = std::fs::read(&to).expect("the model file");
    assert!(bytes.starts_with(&rkllmjs_rkllm_standin::model_file::MAGIC));
    assert_eq!(bytes.get(4096..4110), Some(&b"GGUF and so on"[..]));
    assert!(bytes.ends_with(b"rkllm-toolkit version: 1.2.1"));
    std::fs::remove_file(&from).expect("the file goes");
    assert_eq!(run(&[&from, &to]), Some(1));
    assert_eq!(run(&[]), Some(2));
    std::fs::remove_file(&to).expect("the file goes");
}
