//! Compiles the shim over llama.cpp's `common`, whose headers the sys crate does not export.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=cpp");
    let source = llama_source()?;
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").file("cpp/chat_shim.cpp").file("cpp/limits.cpp").warnings(false);
    for folder in ["common", "include", "ggml/include", "vendor"] {
        build.include(source.join(folder));
    }
    build.cpp_link_stdlib(None).compile("rkllmjs_chat_shim");
    Ok(())
}

/// Where the sys crate keeps llama.cpp: its `cargo:ggml_cmake_dir` points into its build output, and
/// that output's CMake cache names the source.
fn llama_source() -> Result<PathBuf, Box<dyn std::error::Error>> {
    let cmake_dir = PathBuf::from(std::env::var("DEP_LLAMA_GGML_CMAKE_DIR")?);
    for folder in cmake_dir.ancestors() {
        let Ok(cache) = std::fs::read_to_string(folder.join("build/CMakeCache.txt")) else { continue };
        let home = cache.lines().find_map(|line| line.strip_prefix("CMAKE_HOME_DIRECTORY:INTERNAL="));
        return Ok(home.ok_or("the CMake cache of llama.cpp names no source folder")?.into());
    }
    Err("no CMake cache above DEP_LLAMA_GGML_CMAKE_DIR".into())
}
