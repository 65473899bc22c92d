//! Compiles the shim over llama.cpp's `common`, whose headers the sys crate does not export.

use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=cpp");
    let source = llama_source()?;
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").file("cpp/chat_shim.cpp").file("cpp/limits.cpp").warnings(false);
    build.file(guarded_values(&source)?).include("cpp");
    // Not for `<string.h>`, of which jinja has one of its own.
    build.flag("-iquote").flag(source.join("common/jinja"));
    for folder in ["common", "include", "ggml/include", "vendor"] {
        build.include(source.join(folder));
    }
    build.cpp_link_stdlib(None).compile("rkllmjs_chat_shim");
    Ok(())
}

/// Functions over values of templates that call themselves without taking memory, where limits are looked at.
const RECURSIVE: [&str; 3] = [
    "void value_t::stats_t::mark_used(value & val, bool deep) {",
    "std::string value_to_string_repr(const value & val) {",
    "static void value_to_json_internal(std::ostringstream & oss, const value & val, int curr_lvl, int indent, \
     const std::string_view item_sep, const std::string_view key_sep) {",
];

/// How `replace` goes through a text: in place, so that each replacement moves all that follows. Seconds may pass
/// without an allocation, and so without a limit.
const REPLACE_IN_PLACE: &str = "
                    while ((pos = str.find(old_str, pos)) != std::string::npos) {
                        str.replace(pos, old_str.length(), new_str);
                        pos += new_str.length();
                    }
";

/// The same into a new text, looking at the clock.
const REPLACE_ANEW: &str = "
                    std::string replaced;
                    size_t      from = 0;
                    while ((pos = str.find(old_str, from)) != std::string::npos) {
                        rkllmjs::check_time();
                        replaced.append(str, from, pos - from);
                        replaced += new_str;
                        from = pos + old_str.length();
                    }
                    str = replaced.append(str, from);
";

/// A copy of llama.cpp's `value.cpp` whose recursive functions look at the stack, as a list may hold itself, and whose
/// `replace` looks at the clock. The linker takes it in place of the original, since the shim asks for a symbol that
/// only the copy has.
fn guarded_values(source: &Path) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let mut text = std::fs::read_to_string(source.join("common/jinja/value.cpp"))?;
    for function in RECURSIVE {
        text = replaced_once(&text, function, &format!("{function} rkllmjs::check_stack();"))?;
    }
    text = replaced_once(&text, REPLACE_IN_PLACE, REPLACE_ANEW)?;
    let copy = PathBuf::from(std::env::var("OUT_DIR")?).join("guarded_values.cpp");
    let marker = "extern \"C\" int rkllmjs_values_are_guarded() { return 1; }";
    std::fs::write(&copy, format!("#include \"limits.h\"\n{text}\n{marker}\n"))?;
    Ok(copy)
}

fn replaced_once(text: &str, from: &str, to: &str) -> Result<String, String> {
    if text.matches(from).count() != 1 {
        return Err(format!("llama.cpp's value.cpp has no {from:?}: guard what took its place"));
    }
    Ok(text.replace(from, to))
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
