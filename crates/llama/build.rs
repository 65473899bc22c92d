//! Compiles the shim over llama.h, whose headers the sys crate does not export, and the flavours: ggml's CPU part with
//! what is computed in place of its own, once for each level of CPU.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// llama.cpp as the sys crate builds it.
struct Llama {
    source: PathBuf,
    build: PathBuf,
}

/// A level of CPU that what computes is compiled for.
struct Flavour {
    name: String,
    needs: String,
    options: Vec<String>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=cpp");
    println!("cargo:rerun-if-changed=flavours");
    println!("cargo:rerun-if-env-changed=RKLLMJS_FLAVOURS");
    let llama = Llama::find()?;
    let source = &llama.source;
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .file("cpp/llama_shim.cpp")
        .file("cpp/projector_shim.cpp")
        .file("cpp/sound_shim.cpp")
        .warnings(false);
    for folder in ["include", "ggml/include", "src", "tools/mtmd", "vendor"] {
        build.include(source.join(folder));
    }
    build.cpp_link_stdlib(None).compile("rkllmjs_llama_shim");
    compile_flavours(&llama)
}

/// All flavours and the list of them, as one library.
fn compile_flavours(llama: &Llama) -> Result<(), Box<dyn std::error::Error>> {
    let flavours = Flavour::wanted()?;
    let each: String = flavours.iter().map(|flavour| format!("EACH({}) ", flavour.name)).collect();
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").warnings(false);
    build.include(llama.source.join("ggml/include"));
    build.define("RKLLMJS_FLAVOURS(EACH)", each.trim_end()).file("cpp/flavours.cpp");
    for flavour in &flavours {
        build.object(compile_flavour(llama, flavour)?);
    }
    build.cpp_link_stdlib(None).compile("rkllmjs_llama_flavours");
    Ok(())
}

/// ggml's CPU part and our operations for one level of CPU, as one object that shows one symbol.
fn compile_flavour(llama: &Llama, flavour: &Flavour) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::var("OUT_DIR")?).join(&flavour.name);
    std::fs::create_dir_all(&folder)?;
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").opt_level(3).warnings(false).flags(&flavour.options).out_dir(&folder);
    // As in scripts/build/llama.cmake; clang does not know it and does not need it.
    build.flag_if_supported("-fno-gnu-unique");
    build.define("RKLLMJS_FLAVOUR", flavour.name.as_str());
    build.define("RKLLMJS_NEEDS", format!("\"{}\"", flavour.needs).as_str());
    for file in ["attention", "attention_tiles", "attention_tokens", "flavour", "operations", "product"] {
        build.file(format!("cpp/{file}.cpp"));
    }
    for include in ["ggml/include", "ggml/src", "ggml/src/ggml-cpu"] {
        build.include(llama.source.join(include));
    }
    let ours = build.try_compile_intermediates()?;
    let theirs = llama.build.join(format!("flavours/libggml-cpu-{}.a", flavour.name));
    println!("cargo:rerun-if-changed={}", theirs.display());
    let object = folder.join("flavour.o");
    // Functions that several sources have are in groups, of which the linker would keep one for all flavours.
    run(build
        .try_get_compiler()?
        .to_command()
        .args(["-r", "-nostdlib", "-Wl,--force-group-allocation", "-Wl,--whole-archive"])
        .arg(&theirs)
        .arg("-Wl,--no-whole-archive")
        .args(ours)
        .arg("-o")
        .arg(&object))?;
    let archiver = build.try_get_archiver()?;
    let archiver = archiver.get_program().to_string_lossy().into_owned();
    let objcopy = format!("{}objcopy", archiver.strip_suffix("ar").unwrap_or_default());
    run(Command::new(objcopy)
        .arg(format!("--keep-global-symbol=rkllmjs_flavour_{}", flavour.name))
        .arg(&object))?;
    Ok(object)
}

fn run(command: &mut Command) -> Result<(), Box<dyn std::error::Error>> {
    let status = command.status().map_err(|e| format!("{command:?} does not start: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed: {status}").into()) }
}

impl Flavour {
    /// Those that `RKLLMJS_FLAVOURS` names, in the order of the table of this architecture: best first.
    fn wanted() -> Result<Vec<Self>, Box<dyn std::error::Error>> {
        let wanted = std::env::var("RKLLMJS_FLAVOURS").map_err(
            |_| "RKLLMJS_FLAVOURS is not set: please build by `npm run build` or `npm run cargo -- …`",
        )?;
        let architecture = std::env::var("CARGO_CFG_TARGET_ARCH")?;
        let table = std::fs::read_to_string(format!("flavours/{architecture}.json"))?;
        let table: Vec<Value> = serde_json::from_str(&table)?;
        let field = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let is_wanted = |row: &&Value| wanted.split(' ').any(|name| row["name"] == name);
        let least =
            if std::env::var_os("CARGO_FEATURE_LEAST_FLAVOUR").is_some() { table.len() - 1 } else { 0 };
        let flavours: Vec<Self> = table
            .iter()
            .skip(least)
            .filter(is_wanted)
            .map(|row| Self {
                name: field(row, "name"),
                needs: field(row, "needs"),
                options: field(row, "options").split(' ').map(str::to_owned).collect(),
            })
            .collect();
        if flavours.is_empty() {
            Err(format!("no flavour of {architecture} in {wanted:?}").into())
        } else {
            Ok(flavours)
        }
    }
}

impl Llama {
    /// Where the sys crate keeps llama.cpp: its `cargo:ggml_cmake_dir` points into its build output, and that
    /// output's CMake cache names the source.
    fn find() -> Result<Self, Box<dyn std::error::Error>> {
        let cmake_dir = PathBuf::from(std::env::var("DEP_LLAMA_GGML_CMAKE_DIR")?);
        let mut builds = cmake_dir.ancestors().map(|folder| folder.join("build"));
        let build = builds.find(|folder| Path::exists(&folder.join("CMakeCache.txt")));
        let build = build.ok_or("no CMake cache above DEP_LLAMA_GGML_CMAKE_DIR")?;
        let cache = std::fs::read_to_string(build.join("CMakeCache.txt"))?;
        let source = cache.lines().find_map(|line| line.strip_prefix("CMAKE_HOME_DIRECTORY:INTERNAL="));
        let source = source.ok_or("the CMake cache of llama.cpp names no source folder")?.into();
        Ok(Self { source, build })
    }
}
