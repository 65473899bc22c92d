use std::path::Path;

use super::reading::{Reading, Tree, odd};

/// Which driver the kernel has for the NPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Driver {
    /// The vendor's, which the runtime needs.
    Rknpu,
    /// The mainline kernel's, with which the runtime cannot work.
    Rocket,
}

/// What the system tells about the NPU. Reading it changes nothing and wakes nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct NpuStatus {
    /// The kernel's driver.
    pub driver: Reading<Driver>,
    /// The driver's version, such as `0.9.8`.
    pub driver_version: Reading<String>,
    /// Whether the runtime can work with that driver, and why not.
    pub usable: Reading<()>,
    /// Percent of the last second that each core was busy.
    pub load_percent: Reading<Vec<u8>>,
    /// Whether it is powered.
    pub powered: Reading<bool>,
    /// Clock now.
    pub frequency_hz: Reading<u64>,
    /// Highest clock it may take.
    pub frequency_max_hz: Reading<u64>,
    /// Who decides on the clock.
    pub governor: Reading<String>,
    /// Temperature of the NPU's sensor.
    pub temperature_celsius: Reading<f64>,
    /// Clock of the memory, which bounds how fast tokens come.
    pub memory_frequency_hz: Reading<u64>,
    /// Who decides on the memory's clock.
    pub memory_governor: Reading<String>,
    /// Percent of the memory's bandwidth in use.
    pub memory_load_percent: Reading<u8>,
}

/// What the system tells about the NPU of this machine.
pub fn npu_status() -> NpuStatus {
    npu_status_under(Path::new("/"))
}

/// The same, of the machine whose files lie under `root`.
pub fn npu_status_under(root: &Path) -> NpuStatus {
    let tree = Tree(root);
    let npu = devfreq(tree, ".npu");
    let at = |name: &str| npu.clone().map(|folder| format!("{folder}/{name}"));
    let driver = driver(tree);
    NpuStatus {
        usable: usable(&driver),
        driver_version: driver_version(tree, &driver),
        driver,
        load_percent: driver_file(tree, "load").and_then(|text| load(&text)),
        powered: driver_file(tree, "power").and_then(|text| power(&text)),
        // Under debugfs the clock could be read too, but reading it there powers the NPU up.
        frequency_hz: read(at("cur_freq"), |path| tree.number(path)),
        frequency_max_hz: read(at("max_freq"), |path| tree.number(path)),
        governor: read(at("governor"), |path| tree.text(path)),
        temperature_celsius: temperature(tree),
        memory_frequency_hz: tree.number("/sys/class/devfreq/dmc/cur_freq"),
        memory_governor: tree.text("/sys/class/devfreq/dmc/governor"),
        memory_load_percent: tree.text("/sys/class/devfreq/dmc/load").and_then(|text| memory_load(&text)),
    }
}

fn read<T>(path: Result<String, String>, read: impl FnOnce(&str) -> Reading<T>) -> Reading<T> {
    path.map_or_else(Reading::none, |path| read(&path))
}

/// The folder of the clock of the device whose name ends in `suffix`.
pub(super) fn devfreq(tree: Tree<'_>, suffix: &str) -> Result<String, String> {
    const FOLDER: &str = "/sys/class/devfreq";
    let name = tree.names(FOLDER).into_iter().find(|name| name.ends_with(suffix));
    name.map(|name| format!("{FOLDER}/{name}")).ok_or_else(|| format!("{FOLDER} has no entry *{suffix}"))
}

fn driver(tree: Tree<'_>) -> Reading<Driver> {
    let accelerators = tree.names("/sys/class/accel");
    let mut drivers = accelerators
        .iter()
        .filter_map(|name| tree.link_name(&format!("/sys/class/accel/{name}/device/driver")));
    if tree.exists("/sys/module/rknpu") || tree.exists("/proc/rknpu") {
        Reading::of(Driver::Rknpu)
    } else if drivers.any(|driver| driver == "rocket") || tree.exists("/sys/module/rocket") {
        Reading::of(Driver::Rocket)
    } else if devfreq(tree, ".npu").is_ok() {
        // The vendor's driver may be built in, without a folder of its own.
        Reading::of(Driver::Rknpu)
    } else {
        Reading::none(
            "the kernel has no driver for an NPU: there is no rknpu under /sys/module and no *.npu under \
             /sys/class/devfreq",
        )
    }
}

fn usable(driver: &Reading<Driver>) -> Reading<()> {
    match driver.value {
        Some(Driver::Rknpu) => Reading::of(()),
        Some(Driver::Rocket) => Reading::none(
            "the kernel drives the NPU with its own rocket driver; RKLLM needs the vendor's rknpu driver, which \
             comes with the vendor's kernel",
        ),
        None => Reading { value: None, reason: driver.reason.clone() },
    }
}

fn driver_version(tree: Tree<'_>, driver: &Reading<Driver>) -> Reading<String> {
    if driver.value != Some(Driver::Rknpu) {
        return Reading::none("there is no rknpu driver");
    }
    let named = || {
        driver_file(tree, "version").and_then(|text| {
            let version = text.rsplit_once('v').map(|(_, version)| version.to_owned());
            version.ok_or_else(|| odd("rknpu/version", &text))
        })
    };
    tree.text("/sys/module/rknpu/version").or_else(named)
}

/// A file of the driver: for everybody under `/proc` in some kernels, for root under debugfs in all.
fn driver_file(tree: Tree<'_>, name: &str) -> Reading<String> {
    tree.text(&format!("/proc/rknpu/{name}"))
        .or_else(|| tree.text(&format!("/sys/kernel/debug/rknpu/{name}")))
}

/// `NPU load:  Core0: 45%, Core1:  0%,` of several cores, or `NPU load: 12%` of one.
fn load(text: &str) -> Result<Vec<u8>, String> {
    let percents =
        text.split('%').filter_map(|before| before.rsplit([' ', ':']).find(|word| !word.is_empty()));
    let cores: Vec<u8> =
        percents.filter_map(|word| word.parse().ok()).filter(|&percent| percent <= 100).collect();
    let expected = text.matches('%').count();
    if cores.is_empty() || cores.len() != expected { Err(odd("rknpu/load", text)) } else { Ok(cores) }
}

fn power(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(odd("rknpu/power", text)),
    }
}

/// `7@528000000Hz`
fn memory_load(text: &str) -> Result<u8, String> {
    let percent = text.split_once('@').and_then(|(percent, _)| percent.parse().ok());
    percent.filter(|&percent| percent <= 100).ok_or_else(|| odd("dmc/load", text))
}

fn temperature(tree: Tree<'_>) -> Reading<f64> {
    const FOLDER: &str = "/sys/class/thermal";
    let zones = tree.names(FOLDER).into_iter().filter(|name| name.starts_with("thermal_zone"));
    let mut paths = zones.map(|zone| format!("{FOLDER}/{zone}"));
    let Some(path) = paths.find(|path| is_npu_sensor(tree, path)) else {
        return Reading::none(format!("{FOLDER} has no sensor of an NPU"));
    };
    let path = format!("{path}/temp");
    tree.text(&path).and_then(|text| {
        let thousandths: i32 = text.parse().map_err(|_| odd(&path, &text))?;
        Ok(f64::from(thousandths) / 1000.0)
    })
}

fn is_npu_sensor(tree: Tree<'_>, path: &str) -> bool {
    let kind = tree.text(&format!("{path}/type"));
    kind.value.is_some_and(|kind| matches!(kind.as_str(), "npu-thermal" | "npu_thermal"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::testing::{Folder, Random};

    fn rk3588() -> Folder {
        let folder = Folder::new("rk3588");
        for (path, text) in [
            ("/sys/module/rknpu/version", "0.9.8\n"),
            ("/proc/rknpu/load", "NPU load:  Core0: 45%, Core1:  0%, Core2: 100%,\n"),
            ("/proc/rknpu/power", "on\n"),
            ("/sys/class/devfreq/dmc/cur_freq", "528000000\n"),
            ("/sys/class/devfreq/dmc/governor", "dmc_ondemand\n"),
            ("/sys/class/devfreq/dmc/load", "7@528000000Hz\n"),
            ("/sys/class/devfreq/fb000000.gpu/cur_freq", "300000000\n"),
            ("/sys/class/devfreq/fdab0000.npu/cur_freq", "1000000000\n"),
            ("/sys/class/devfreq/fdab0000.npu/max_freq", "1000000000\n"),
            ("/sys/class/devfreq/fdab0000.npu/governor", "rknpu_ondemand\n"),
            ("/sys/class/thermal/thermal_zone0/type", "soc-thermal\n"),
            ("/sys/class/thermal/thermal_zone6/type", "npu-thermal\n"),
            ("/sys/class/thermal/thermal_zone6/temp", "41615\n"),
        ] {
            folder.file(path, text);
        }
        folder
    }

    #[test]
    fn everything_is_read_on_an_rk3588() {
        let folder = rk3588();
        let status = npu_status_under(folder.path());
        assert_eq!(status.driver, Reading::of(Driver::Rknpu));
        assert_eq!(status.driver_version, Reading::of("0.9.8".into()));
        assert_eq!(status.usable, Reading::of(()));
        assert_eq!(status.load_percent, Reading::of(vec![45, 0, 100]));
        assert_eq!(status.powered, Reading::of(true));
        assert_eq!(status.frequency_hz, Reading::of(1_000_000_000));
        assert_eq!(status.frequency_max_hz, Reading::of(1_000_000_000));
        assert_eq!(status.governor, Reading::of("rknpu_ondemand".into()));
        assert_eq!(status.temperature_celsius, Reading::of(41.615));
        assert_eq!(status.memory_frequency_hz, Reading::of(528_000_000));
        assert_eq!(status.memory_governor, Reading::of("dmc_ondemand".into()));
        assert_eq!(status.memory_load_percent, Reading::of(7));
    }

    #[test]
    fn an_rk3576_has_other_paths_and_debugfs_gives_its_version() {
        let folder = Folder::new("rk3576");
        folder.file("/sys/class/devfreq/27700000.npu/cur_freq", "950000000\n");
        folder.file("/sys/kernel/debug/rknpu/version", "RKNPU driver: v0.9.8\n");
        folder.file("/sys/kernel/debug/rknpu/load", "NPU load:  Core0:  3%, Core1:  0%,\n");
        let status = npu_status_under(folder.path());
        assert_eq!(status.driver_version, Reading::of("0.9.8".into()));
        assert_eq!(status.load_percent, Reading::of(vec![3, 0]));
        assert_eq!(status.frequency_hz, Reading::of(950_000_000));
        assert!(status.temperature_celsius.reason.unwrap().contains("no sensor"));
    }

    #[test]
    fn the_mainline_driver_is_named_and_said_to_be_unusable() {
        let folder = Folder::new("rocket");
        let driver = folder.file("/sys/bus/platform/drivers/rocket/bind", "");
        folder.file("/sys/class/accel/accel0/device/uevent", "");
        let link = folder.path().join("sys/class/accel/accel0/device/driver");
        symlink(driver.parent().unwrap(), link).unwrap();
        let status = npu_status_under(folder.path());
        assert_eq!(status.driver, Reading::of(Driver::Rocket));
        assert!(status.usable.value.is_none());
        assert!(status.usable.reason.unwrap().contains("rocket driver"));
    }

    #[test]
    fn a_machine_without_an_npu_gives_a_reason_for_each_value() {
        let folder = Folder::new("nothing");
        let status = npu_status_under(folder.path());
        let reasons = [
            status.driver.reason,
            status.driver_version.reason,
            status.usable.reason,
            status.load_percent.reason,
            status.powered.reason,
            status.frequency_hz.reason,
            status.frequency_max_hz.reason,
            status.governor.reason,
            status.temperature_celsius.reason,
            status.memory_frequency_hz.reason,
            status.memory_governor.reason,
            status.memory_load_percent.reason,
        ];
        assert!(reasons.iter().all(|reason| reason.as_ref().is_some_and(|reason| !reason.is_empty())));
    }

    #[test]
    fn loads_of_one_core_and_of_several_are_read() {
        assert_eq!(load("NPU load: 12%"), Ok(vec![12]));
        assert_eq!(load("NPU load:  Core0: 45%, Core1:  0%, Core2:  0%,"), Ok(vec![45, 0, 0]));
        for text in ["", "NPU load:", "NPU load: x%", "NPU load: 101%", "Core0: 1%, Core1: y%"] {
            assert!(load(text).is_err(), "{text}");
        }
    }

    #[test]
    fn files_with_anything_in_them_never_panic() {
        let folder = rk3588();
        let mut random = Random::new(3);
        for _ in 0..100 {
            let bytes: Vec<u8> = (0..random.below(80)).map(|_| random.byte()).collect();
            for path in ["proc/rknpu/load", "proc/rknpu/power", "sys/class/devfreq/dmc/load"] {
                folder.file(path, &bytes);
            }
            let _ = npu_status_under(folder.path());
        }
    }
}
