//! Turns our header of the vendor's interface into Rust types.

use std::path::PathBuf;

const HEADER: &str = "abi/rkllm_abi.h";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=abi");
    let bindings = bindgen::Builder::default()
        .header(HEADER)
        // The compiler's own <stddef.h> and <stdint.h> are enough, so that no C library of the target is needed.
        .clang_arg("-ffreestanding")
        .allowlist_item("(rkllm|RKLLM).*")
        .prepend_enum_name(false)
        .derive_default(true)
        .derive_debug(true)
        .impl_debug(true)
        .layout_tests(true)
        .generate()?;
    let file = PathBuf::from(std::env::var("OUT_DIR")?).join("bindings.rs");
    bindings.write_to_file(file)?;
    Ok(())
}
