use std::fmt;
use std::path::Path;

use super::reading::{Reading, Tree};

const COMPATIBLE: &str = "/proc/device-tree/compatible";

/// The chips that RKLLM models are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Platform {
    /// RK3588 and RK3588S.
    Rk3588,
    /// RK3576.
    Rk3576,
    /// RK3562.
    Rk3562,
    /// RV1126B.
    Rv1126b,
}

impl Platform {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Rk3588, Self::Rk3576, Self::Rk3562, Self::Rv1126b];

    /// The name that models and device trees use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rk3588 => "rk3588",
            Self::Rk3576 => "rk3576",
            Self::Rk3562 => "rk3562",
            Self::Rv1126b => "rv1126b",
        }
    }

    /// The cores of its NPU.
    pub const fn npu_cores(self) -> u32 {
        match self {
            Self::Rk3588 => 3,
            Self::Rk3576 => 2,
            Self::Rk3562 | Self::Rv1126b => 1,
        }
    }

    /// The platform of a chip, whose name may have a letter more: `rk3588s2`.
    fn of_chip(chip: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|platform| {
            let rest = chip.strip_prefix(platform.as_str());
            rest.is_some_and(|rest| !rest.starts_with(|first: char| first.is_ascii_digit()))
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The chip of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Soc {
    /// As the device tree has it, such as `rk3588s`.
    pub name: String,
    /// What models for it are made for; `None` for chips without an RKLLM runtime.
    pub platform: Option<Platform>,
}

/// The chip of this machine, where it is one of Rockchip's.
pub fn soc() -> Reading<Soc> {
    soc_under(Path::new("/"))
}

/// The same, of the machine whose files lie under `root`.
pub fn soc_under(root: &Path) -> Reading<Soc> {
    Tree(root).bytes(COMPATIBLE).and_then(|bytes| {
        let names = bytes.split(|&byte| byte == 0).filter_map(|name| std::str::from_utf8(name).ok());
        // The board comes first, the chip last; a board's name may begin like a chip's.
        let chip =
            names.rev().find_map(|name| name.strip_prefix("rockchip,")).filter(|chip| !chip.is_empty());
        let chip = chip.ok_or_else(|| format!("{COMPATIBLE} names no chip of Rockchip"))?;
        Ok(Soc { name: chip.to_owned(), platform: Platform::of_chip(chip) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    fn soc_of(compatible: &str) -> Reading<Soc> {
        let folder = Folder::new("soc");
        folder.file(COMPATIBLE, compatible);
        soc_under(folder.path())
    }

    #[test]
    fn the_chip_is_the_last_name_and_its_variants_share_a_platform() {
        let cases = [
            ("radxa,rock-5b\0rockchip,rk3588\0", "rk3588", Some(Platform::Rk3588)),
            ("xunlong,orangepi-5\0rockchip,rk3588s\0", "rk3588s", Some(Platform::Rk3588)),
            ("rockchip,rk3576-evb1-v10\0rockchip,rk3576\0", "rk3576", Some(Platform::Rk3576)),
            ("rockchip,rk3562\0", "rk3562", Some(Platform::Rk3562)),
            ("rockchip,rv1126b\0", "rv1126b", Some(Platform::Rv1126b)),
            ("rockchip,rv1126\0", "rv1126", None),
            ("pine64,rock64\0rockchip,rk3328\0", "rk3328", None),
        ];
        for (compatible, name, platform) in cases {
            let soc = soc_of(compatible).value.unwrap();
            assert_eq!((soc.name.as_str(), soc.platform), (name, platform));
        }
    }

    #[test]
    fn another_machine_has_none_and_says_why() {
        assert!(
            soc_of("raspberrypi,5-model-b\0brcm,bcm2712\0").reason.unwrap().contains("no chip of Rockchip")
        );
        assert!(soc_of("\0\0\u{ff}\0rockchip,\0").value.is_none());
        let folder = Folder::new("no-soc");
        assert!(soc_under(folder.path()).reason.unwrap().contains("does not exist"));
    }
}
