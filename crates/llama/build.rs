//! Compiles the shim over llama.h, whose headers the sys crate does not export, and what is computed in place of
//! ggml's own, for the same processor as ggml.

use std::path::{Path, PathBuf};

/// What llama.cpp was built with, from its CMake cache.
struct Llama {
    source: PathBuf,
    cache: String,
}

/// Options of llama.cpp's build and what they tell the compiler, as far as arithmetic goes.
const PROCESSOR: [(&str, &[&str]); 6] = [
    ("GGML_NATIVE", &["-march=native"]),
    ("GGML_AVX2", &["-mavx2"]),
    ("GGML_FMA", &["-mfma"]),
    ("GGML_F16C", &["-mf16c"]),
    ("GGML_AVX512", &["-mavx512f", "-mavx512cd", "-mavx512vl", "-mavx512dq", "-mavx512bw"]),
    ("GGML_AVX512_VNNI", &["-mavx512vnni"]),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=cpp");
    let llama = Llama::find()?;
    let source = &llama.source;
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").file("cpp/llama_shim.cpp").file("cpp/projector_shim.cpp").warnings(false);
    for folder in ["include", "ggml/include", "src", "tools/mtmd"] {
        build.include(source.join(folder));
    }
    build.cpp_link_stdlib(None).compile("rkllmjs_llama_shim");
    compile_operations(&llama);
    Ok(())
}

fn compile_operations(llama: &Llama) {
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").opt_level(3).warnings(false);
    for file in ["attention", "attention_tiles", "attention_tokens", "operations", "product"] {
        build.file(format!("cpp/{file}.cpp"));
    }
    for folder in ["ggml/include", "ggml/src", "ggml/src/ggml-cpu"] {
        build.include(llama.source.join(folder));
    }
    for (option, flags) in PROCESSOR {
        if llama.is_on(option) {
            build.flags(flags);
        }
    }
    println!("cargo:rustc-check-cfg=cfg(own_products)");
    if llama.is_on("GGML_AVX512_VNNI") {
        println!("cargo:rustc-cfg=own_products");
    }
    if let Some(arch) = llama.option("GGML_CPU_ARM_ARCH").filter(|arch| !arch.is_empty()) {
        build.flag(format!("-march={arch}"));
    }
    build.cpp_link_stdlib(None).compile("rkllmjs_llama_operations");
}

impl Llama {
    /// Where the sys crate keeps llama.cpp: its `cargo:ggml_cmake_dir` points into its build output, and that
    /// output's CMake cache names the source.
    fn find() -> Result<Self, Box<dyn std::error::Error>> {
        let cmake_dir = PathBuf::from(std::env::var("DEP_LLAMA_GGML_CMAKE_DIR")?);
        let caches = cmake_dir.ancestors().map(|folder| folder.join("build/CMakeCache.txt"));
        let cache = caches.filter(|file| Path::exists(file)).map(std::fs::read_to_string).next();
        let cache = cache.ok_or("no CMake cache above DEP_LLAMA_GGML_CMAKE_DIR")??;
        let mut llama = Self { source: PathBuf::new(), cache };
        let home = llama.option("CMAKE_HOME_DIRECTORY");
        llama.source = home.ok_or("the CMake cache of llama.cpp names no source folder")?.into();
        Ok(llama)
    }

    /// Whether a switch in the cache is on.
    fn is_on(&self, name: &str) -> bool {
        self.option(name).is_some_and(|value| matches!(value, "ON" | "true" | "1"))
    }

    /// The value of a variable in the cache, whatever its type.
    fn option(&self, name: &str) -> Option<&str> {
        self.cache.lines().find_map(|line| {
            let (_, value) = line.strip_prefix(name)?.strip_prefix(':')?.split_once('=')?;
            Some(value)
        })
    }
}
