//! The clocks that decide how fast a model runs, against those the vendor measures with.

use std::path::Path;

use super::reading::{Reading, Tree, odd};
use super::soc::Platform;
use super::status::devfreq;

/// A clock, what it is, and what it is when a board is at its fastest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    /// What it drives: `npu`, `memory`, `gpu`, `cpu0` for the processors of policy 0.
    pub name: &'static str,
    /// What it is now. An idle device may be slow without harm, if its governor raises it under load.
    pub frequency_hz: Reading<u64>,
    /// The highest it may become.
    pub frequency_max_hz: Reading<u64>,
    /// Who decides.
    pub governor: Reading<String>,
    /// What the vendor's figures are measured with.
    pub recommended_hz: u64,
    /// What sets it so until the next start, each to be typed by a person; none where there is no such clock.
    pub commands: Vec<String>,
}

/// Who decides on every clock while the vendor measures: nobody but the person who has set it.
pub const RECOMMENDED_GOVERNOR: &str = "userspace";

impl Clock {
    /// Whether it is known that the clock cannot become what is recommended.
    pub fn is_held_down(&self) -> bool {
        let most = match self.governor.value.as_deref() {
            Some("powersave") => self.frequency_hz.value,
            // A clock set by hand stays where it is.
            Some("userspace") => self.frequency_hz.value.or(self.frequency_max_hz.value),
            _ => self.frequency_max_hz.value,
        };
        most.is_some_and(|most| !self.is_near(most))
    }

    /// Whether it is held at what is recommended, not only raised to it under load; `None` if that is not told.
    pub fn is_held_up(&self) -> Option<bool> {
        let holds = matches!(self.governor.value.as_deref()?, "userspace" | "performance");
        Some(holds && self.is_near(self.frequency_hz.value?))
    }

    /// Boards round: 2.256 GHz for 2.304 is the chip's best, not a wrong setting.
    const fn is_near(&self, frequency_hz: u64) -> bool {
        frequency_hz >= self.recommended_hz / 20 * 19
    }
}

/// Where a clock's files are, and how they are named.
enum Source {
    /// The entry of devfreq that ends so; hertz.
    Device(&'static str),
    /// The policy of cpufreq with that number; kilohertz.
    Processors(u32),
}

type Row = (&'static str, Source, u64);

const RK3588: [Row; 6] = [
    ("npu", Source::Device(".npu"), 1_000_000_000),
    ("memory", Source::Device("dmc"), 2_112_000_000),
    ("gpu", Source::Device(".gpu"), 1_000_000_000),
    ("cpu0", Source::Processors(0), 1_800_000_000),
    ("cpu4", Source::Processors(4), 2_352_000_000),
    ("cpu6", Source::Processors(6), 2_352_000_000),
];

const RK3576: [Row; 5] = [
    ("npu", Source::Device(".npu"), 1_000_000_000),
    ("memory", Source::Device("dmc"), 2_112_000_000),
    ("gpu", Source::Device(".gpu"), 950_000_000),
    ("cpu0", Source::Processors(0), 2_208_000_000),
    ("cpu4", Source::Processors(4), 2_304_000_000),
];

/// The clocks of this machine; none for platforms of which the vendor recommends nothing. Nothing is changed.
pub fn clocks(platform: Platform) -> Vec<Clock> {
    clocks_under(Path::new("/"), platform)
}

/// The same, of the machine whose files lie under `root`.
pub fn clocks_under(root: &Path, platform: Platform) -> Vec<Clock> {
    let rows: &[Row] = match platform {
        Platform::Rk3588 => &RK3588,
        Platform::Rk3576 => &RK3576,
        Platform::Rk3562 | Platform::Rv1126b => &[],
    };
    rows.iter()
        .map(|(name, source, recommended_hz)| read(Tree(root), name, source, *recommended_hz))
        .collect()
}

fn read(tree: Tree<'_>, name: &'static str, source: &Source, recommended_hz: u64) -> Clock {
    match source {
        Source::Device(suffix) => match devfreq(tree, suffix) {
            Ok(folder) => Clock {
                name,
                frequency_hz: tree.number(&format!("{folder}/cur_freq")),
                frequency_max_hz: tree.number(&format!("{folder}/max_freq")),
                governor: tree.text(&format!("{folder}/governor")),
                recommended_hz,
                commands: commands(
                    &format!("{folder}/governor"),
                    &format!("{folder}/userspace/set_freq"),
                    recommended_hz,
                ),
            },
            Err(reason) => Clock {
                name,
                frequency_hz: Reading::none(&*reason),
                frequency_max_hz: Reading::none(&*reason),
                governor: Reading::none(reason),
                recommended_hz,
                commands: Vec::new(),
            },
        },
        Source::Processors(policy) => {
            let folder = format!("/sys/devices/system/cpu/cpufreq/policy{policy}");
            Clock {
                name,
                frequency_hz: kilohertz(tree, &format!("{folder}/scaling_cur_freq")),
                frequency_max_hz: kilohertz(tree, &format!("{folder}/scaling_max_freq")),
                governor: tree.text(&format!("{folder}/scaling_governor")),
                recommended_hz,
                commands: if tree.exists(&folder) {
                    let (governor, speed) = ("scaling_governor", "scaling_setspeed");
                    commands(
                        &format!("{folder}/{governor}"),
                        &format!("{folder}/{speed}"),
                        recommended_hz / 1000,
                    )
                } else {
                    Vec::new()
                },
            }
        }
    }
}

/// The speed's file is there once the governor is set.
fn commands(governor: &str, speed: &str, value: u64) -> Vec<String> {
    vec![
        format!("echo {RECOMMENDED_GOVERNOR} | sudo tee {governor}"),
        format!("echo {value} | sudo tee {speed}"),
    ]
}

fn kilohertz(tree: Tree<'_>, path: &str) -> Reading<u64> {
    tree.number(path).and_then(|khz| khz.checked_mul(1000).ok_or_else(|| odd(path, &khz.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    #[test]
    fn a_memory_clock_that_is_held_down_is_told() {
        let folder = Folder::new("clocks");
        for (path, text) in [
            ("/sys/class/devfreq/dmc/cur_freq", "528000000"),
            ("/sys/class/devfreq/dmc/max_freq", "528000000"),
            ("/sys/class/devfreq/dmc/governor", "simple_ondemand"),
            ("/sys/class/devfreq/fdab0000.npu/cur_freq", "300000000"),
            ("/sys/class/devfreq/fdab0000.npu/max_freq", "1000000000"),
            ("/sys/class/devfreq/fdab0000.npu/governor", "rknpu_ondemand"),
            ("/sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq", "408000"),
            ("/sys/devices/system/cpu/cpufreq/policy4/scaling_max_freq", "2256000"),
            ("/sys/devices/system/cpu/cpufreq/policy4/scaling_governor", "powersave"),
            ("/sys/devices/system/cpu/cpufreq/policy6/scaling_max_freq", "2256000"),
        ] {
            folder.file(path, text);
        }
        let clocks = clocks_under(folder.path(), Platform::Rk3588);
        let held: Vec<&str> =
            clocks.iter().filter(|clock| clock.is_held_down()).map(|clock| clock.name).collect();
        assert_eq!(held, ["memory", "cpu4"]);
        let cpu4 = clocks.iter().find(|clock| clock.name == "cpu4").unwrap();
        assert_eq!(cpu4.frequency_max_hz, Reading::of(2_256_000_000));
        let gpu = clocks.iter().find(|clock| clock.name == "gpu").unwrap();
        assert!(gpu.frequency_hz.reason.as_ref().unwrap().contains("*.gpu"));
        assert!(gpu.commands.is_empty());
        assert_eq!(
            cpu4.commands,
            [
                "echo userspace | sudo tee /sys/devices/system/cpu/cpufreq/policy4/scaling_governor",
                "echo 2352000 | sudo tee /sys/devices/system/cpu/cpufreq/policy4/scaling_setspeed",
            ]
        );
    }

    #[test]
    fn a_clock_set_by_hand_counts_as_it_is() {
        let folder = Folder::new("userspace");
        for (name, text) in [("cur_freq", "600000000"), ("max_freq", "1000000000"), ("governor", "userspace")]
        {
            folder.file(&format!("/sys/class/devfreq/27700000.npu/{name}"), text);
        }
        let clocks = clocks_under(folder.path(), Platform::Rk3576);
        assert!(clocks[0].is_held_down());
        assert_eq!(clocks[0].is_held_up(), Some(false));
        assert_eq!(clocks[1].is_held_up(), None);
        assert_eq!(
            clocks[0].commands[1],
            "echo 1000000000 | sudo tee /sys/class/devfreq/27700000.npu/userspace/set_freq"
        );
        folder.file("/sys/class/devfreq/27700000.npu/cur_freq", "950000000\n");
        assert_eq!(clocks_under(folder.path(), Platform::Rk3576)[0].is_held_up(), Some(true));
        assert_eq!(clocks.len(), 5);
        assert!(clocks_under(folder.path(), Platform::Rk3562).is_empty());
    }
}
