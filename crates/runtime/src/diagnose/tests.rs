use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A machine's files, and models and libraries beside them; removed with this value.
struct Board(PathBuf);

impl Board {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("rkllmjs-diagnose-{}-{number}", std::process::id())))
    }

    /// A board with the vendor's driver, built as a graphics device, and every clock where the vendor has it.
    fn with_chip(compatible: &str, npu: &str, gpu: &str) -> Self {
        let board = Self::new();
        board.file("proc/device-tree/compatible", compatible);
        board.file("proc/device-tree/model", "Some Board\0");
        board.file("sys/module/rknpu/version", "0.9.8\n");
        for (clock, hertz) in [(npu, 1_000_000_000_u64), (gpu, 1_000_000_000), ("dmc", 2_112_000_000)] {
            board.clock(clock, "userspace", hertz);
        }
        for policy in [0, 4, 6] {
            let folder = format!("sys/devices/system/cpu/cpufreq/policy{policy}");
            board.file(&format!("{folder}/scaling_governor"), "performance\n");
            for name in ["scaling_cur_freq", "scaling_max_freq"] {
                board.file(&format!("{folder}/{name}"), "2352000\n");
            }
        }
        let driver = board.file("sys/bus/platform/drivers/RKNPU/bind", "");
        board.file("sys/class/drm/renderD129/device/uevent", "");
        symlink(driver.parent().expect("a folder"), board.0.join("sys/class/drm/renderD129/device/driver"))
            .expect("a link");
        board.file("dev/dri/renderD129", "");
        board
    }

    fn rk3588() -> Self {
        Self::with_chip("radxa,rock-5b\0rockchip,rk3588\0", "fdab0000.npu", "fb000000.gpu")
    }

    fn rk3576() -> Self {
        Self::with_chip("rockchip,rk3576-evb1-v10\0rockchip,rk3576\0", "27700000.npu", "27800000.gpu")
    }

    fn clock(&self, name: &str, governor: &str, hertz: u64) {
        self.file(&format!("sys/class/devfreq/{name}/governor"), governor);
        for file in ["cur_freq", "max_freq"] {
            self.file(&format!("sys/class/devfreq/{name}/{file}"), format!("{hertz}\n"));
        }
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        fs::write(&path, bytes).expect("a file");
        path
    }

    /// The shortest model for an NPU, with the version of the toolkit behind it.
    fn model(&self, name: &str) -> PathBuf {
        let mut bytes = b"\xda\xee\xb3\x36\x03\0\0\0".to_vec();
        bytes.extend_from_slice(&[0; 16]);
        bytes.extend_from_slice(b"rkllm-toolkit version: 1.2.3");
        self.file(name, bytes)
    }

    /// A file that this process could load, whose bytes claim to be a runtime of that version and target.
    fn library(&self, version: &str, target: &str) -> PathBuf {
        let machine: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
        let mut bytes = vec![0; 64 + 56];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[16] = 3;
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        (bytes[32], bytes[54], bytes[56]) = (64, 56, 1);
        bytes.extend_from_slice(format!("RKLLM SDK (version: {version} | target: {target})\0").as_bytes());
        self.file("librkllmrt.so", bytes)
    }

    fn diagnose(&self, models: &[PathBuf]) -> Value {
        // Named, so that what is installed on the machine of the test has no part in it.
        let library_path = Some(self.0.join("librkllmrt.so"));
        diagnose_under(&self.0, &Question { models: models.to_vec(), library_path, addon_folder: None })
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn tiny_model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tiny/rkllmjs-tiny-q8_0.gguf")
}

/// The texts of a list, one after the other.
fn texts(list: &Value) -> String {
    list.as_array().expect("a list").iter().map(|text| text.as_str().unwrap_or_default()).collect()
}

/// `severity: message` of every problem.
fn problems(report: &Value) -> Vec<String> {
    let text = |problem: &Value, name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    let problems = report["problems"].as_array().expect("a list");
    problems.iter().map(|problem| text(problem, "severity") + ": " + &text(problem, "message")).collect()
}

#[test]
fn a_board_with_everything_in_order_has_no_problem() {
    for (board, name, chip) in [
        (Board::rk3588(), "m-rk3588-w8a8.rkllm", "rk3588"),
        (Board::rk3576(), "m-rk3576-w4a16.rkllm", "rk3576"),
    ] {
        let library = board.library("1.3.1", "Linux");
        let model = board.model(name);
        for companion in ["tokenizer.json", "tokenizer_config.json"] {
            let tiny = tiny_model().with_file_name(companion);
            fs::copy(tiny, model.with_file_name(companion)).expect("a companion");
        }
        let report = board.diagnose(&[model]);
        assert_eq!(problems(&report), [""; 0], "{report:#}");
        assert_eq!(report["soc"]["value"]["platform"], chip);
        assert_eq!(report["system"]["board"], "Some Board");
        assert_eq!(report["npu"]["nodes"][0]["usable"], true);
        assert_eq!(report["devices"][1]["usable"], true);
        assert_eq!(
            report["runtime"]["path"],
            fs::canonicalize(library).expect("a path").display().to_string()
        );
        assert_eq!(
            (&report["runtime"]["abi"], &report["runtime"]["version"]),
            (&"1.3".into(), &"1.3.1".into())
        );
        let file = &report["files"][0];
        assert_eq!((&file["engine"], &file["runs"]), (&"rkllm".into(), &true.into()), "{file:#}");
        assert_eq!(
            (&file["npu"]["platform"], &file["npu"]["toolkitVersion"]),
            (&chip.into(), &"1.2.3".into())
        );
    }
}

#[test]
fn a_model_for_another_chip_does_not_run_and_both_chips_are_named() {
    for (board, name, other) in
        [(Board::rk3588(), "a-rk3576.rkllm", "rk3588"), (Board::rk3576(), "a-rk3588.rkllm", "rk3576")]
    {
        board.library("1.3.1", "Linux");
        let report = board.diagnose(&[board.model(name)]);
        let missing = texts(&report["files"][0]["missing"]);
        assert!(missing.contains("is made for") && missing.contains(other), "{missing}");
        assert_eq!(report["files"][0]["runs"], false);
        assert!(problems(&report)[0].starts_with("error: "));
    }
}

#[test]
fn without_a_runtime_the_model_says_so_and_a_fix_is_given() {
    let board = Board::rk3588();
    let report = board.diagnose(&[board.model("a-rk3588.rkllm")]);
    assert!(texts(&report["files"][0]["missing"]).contains("no NPU runtime"));
    assert!(report["problems"][0]["fix"].as_str().expect("a fix").contains("RKLLMJS_RKLLM_LIBRARY"));
    assert_eq!(report["runtime"]["tried"][0]["reason"], "does not exist");
    assert_eq!(report["devices"][1]["usable"], false);
}

#[test]
fn a_library_that_is_too_old_is_told_with_its_version() {
    let board = Board::rk3588();
    board.library("1.1.4", "Linux");
    let report = board.diagnose(&[]);
    assert_eq!(report["runtime"]["tried"][0]["version"], "1.1.4");
    assert!(problems(&report)[0].contains("too old"), "{report:#}");
}

#[test]
fn a_runtime_older_than_the_toolkit_cannot_read_its_models() {
    let board = Board::rk3588();
    board.library("1.2.1", "Linux");
    let report = board.diagnose(&[board.model("a-rk3588.rkllm")]);
    let missing = texts(&report["files"][0]["missing"]);
    assert!(missing.contains("1.2.3") && missing.contains("1.2.1"), "{missing}");
}

#[test]
fn the_mainline_driver_keeps_models_from_the_npu() {
    let board = Board::new();
    board.file("proc/device-tree/compatible", "xunlong,orangepi-5\0rockchip,rk3588s\0");
    board.file("sys/module/rocket/uevent", "");
    board.library("1.3.1", "Linux");
    let report = board.diagnose(&[board.model("a-rk3588.rkllm")]);
    assert_eq!(report["npu"]["driver"]["value"], "rocket");
    assert!(texts(&report["files"][0]["missing"]).contains("rocket driver"));
    assert!(report["problems"][0]["fix"].as_str().expect("a fix").contains("vendor's kernel"));
}

#[test]
fn an_old_driver_and_an_absent_node_are_told() {
    let board = Board::rk3588();
    board.library("1.3.1", "Linux");
    board.file("sys/module/rknpu/version", "0.9.6\n");
    fs::remove_file(board.0.join("dev/dri/renderD129")).expect("removed");
    let found = problems(&board.diagnose(&[]));
    assert!(found[0].starts_with("error: /dev/dri/renderD129 does not exist"), "{found:?}");
    assert!(found[1].contains("0.9.6") && found[1].contains("0.9.8"), "{found:?}");
    fs::remove_dir_all(board.0.join("sys/class/drm")).expect("removed");
    assert!(problems(&board.diagnose(&[]))[0].contains("no device file"));
}

#[test]
fn a_clock_held_down_is_a_warning_with_the_commands_that_help() {
    let board = Board::rk3588();
    board.library("1.3.1", "Linux");
    board.clock("dmc", "simple_ondemand", 528_000_000);
    board.clock("fb000000.gpu", "powersave", 1);
    board.clock("fdab0000.npu", "rknpu_ondemand", 1_000_000_000);
    let report = board.diagnose(&[]);
    let found = problems(&report);
    assert!(found[0].starts_with("warning: the clock of memory is held below the 2112 MHz"), "{found:?}");
    let fix = report["problems"][0]["fix"].as_str().expect("a fix");
    assert!(fix.contains("echo 2112000000 | sudo tee /sys/class/devfreq/dmc/userspace/set_freq"), "{fix}");
    assert!(found[1].starts_with("note: ") && found[1].ends_with("fixed ones: npu"), "{found:?}");
    assert_eq!(report["clocks"][1]["asRecommended"], false);
}

#[test]
fn a_machine_without_an_npu_runs_gguf_models_and_has_no_problem() {
    let board = Board::new();
    board.file("proc/cpuinfo", "processor\t: 0\nmodel name\t: Some CPU\n");
    let report = board.diagnose(&[tiny_model()]);
    assert_eq!(problems(&report), [""; 0]);
    let file = &report["files"][0];
    assert_eq!((&file["engine"], &file["runs"]), (&"llama.cpp".into(), &true.into()), "{file:#}");
    assert!(
        file["memory"]["neededBytes"].as_u64().expect("bytes") > file["sizeBytes"].as_u64().expect("bytes")
    );
    assert_eq!(report["devices"].as_array().expect("a list").len(), 1);
    assert_eq!(report["devices"][0]["name"], "Some CPU");
    assert!(report["soc"]["value"].is_null() && report["soc"]["reason"].is_string());
    assert_eq!(report["clocks"], json!([]));
}

#[test]
fn files_that_are_no_models_are_facts_of_the_report() {
    let board = Board::new();
    let files = [
        (board.0.join("absent.gguf"), Value::Null, "absent.gguf"),
        (board.0.join("absent.rkllm"), Value::Null, "absent.rkllm"),
        (board.file("text.gguf", "some text"), Value::Null, "text.gguf"),
        (board.file("lfs.rkllm", "version https://git-lfs.github.com/spec/v1"), "rkllm".into(), "Git LFS"),
        (board.file("short.gguf", b"GGUF\x03\0\0\0"), "llama.cpp".into(), "short.gguf"),
        (board.0.clone(), Value::Null, "rkllmjs-diagnose"),
        (PathBuf::from("/dev/zero"), Value::Null, "/dev/zero"),
    ];
    let paths: Vec<PathBuf> = files.iter().map(|(path, _, _)| path.clone()).collect();
    let report = board.diagnose(&paths);
    for (at, (path, engine, words)) in files.iter().enumerate() {
        let file = &report["files"][at];
        assert_eq!(&file["engine"], engine, "{}", path.display());
        assert_eq!(file["runs"], false);
        assert!(texts(&file["missing"]).contains(words), "{file:#}");
    }
}

#[test]
fn the_stand_in_needs_no_npu_and_is_never_taken_for_one() {
    let board = Board::new();
    board.library("1.2.3", "stand-in");
    let report = board.diagnose(&[board.model("m.rkllm")]);
    assert_eq!((&report["runtime"]["standIn"], &report["files"][0]["runs"]), (&true.into(), &true.into()));
    assert!(problems(&report).iter().any(|problem| problem.contains("stand-in")), "{report:#}");
    let board = Board::rk3588();
    board.library("1.2.3", "stand-in");
    assert_eq!(board.diagnose(&[])["devices"][1]["usable"], false);
}

#[test]
fn whatever_the_system_files_hold_there_is_a_report() {
    let board = Board::rk3588();
    for name in ["proc/cpuinfo", "proc/meminfo", "etc/os-release", "etc/group", "proc/device-tree/model"] {
        board.file(name, b"\xff\0:=\n\xfe".repeat(9999));
    }
    for name in ["sys/class/devfreq/dmc/cur_freq", "sys/module/rknpu/version"] {
        fs::remove_file(board.0.join(name)).expect("removed");
        fs::create_dir_all(board.0.join(name)).expect("a folder in place of a file");
    }
    let report = board.diagnose(&[]);
    assert!(report["npu"]["driverVersion"]["reason"].is_string());
    assert!(
        report["clocks"][1]["frequencyHz"]["reason"].as_str().expect("a reason").contains("cannot be read")
    );
}

#[test]
fn more_files_than_anybody_has_are_refused() {
    let question = Question { models: vec![PathBuf::new(); MODELS_MAX + 1], ..Question::default() };
    assert_eq!(diagnose(&question).expect_err("too many").option, Some("models"));
}
