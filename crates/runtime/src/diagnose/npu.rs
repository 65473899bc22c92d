use std::path::Path;

use rkllmjs_rkllm::library::Version;
use rkllmjs_rkllm::npu::{
    Clock, Driver, Node, NpuStatus, Platform, RECOMMENDED_GOVERNOR, Reading, Soc, clocks_under, nodes_under,
    npu_status_under, soc_under,
};
use serde_json::{Value, json};

use super::problem::Problem;
use crate::npu_status::{describe as describe_status, reading};

/// The vendor's documents ask for this driver; older ones are not known to work with today's runtimes.
const DRIVER_LEAST: Version = Version { major: 0, minor: 9, patch: 8, beta: None };

/// What the system tells about the chip and its NPU.
pub(super) struct Npu {
    pub(super) soc: Reading<Soc>,
    status: NpuStatus,
    nodes: Vec<Node>,
    clocks: Vec<Clock>,
}

impl Npu {
    pub(super) fn look(root: &Path) -> Self {
        let soc = soc_under(root);
        let platform = soc.value.as_ref().and_then(|soc| soc.platform);
        Self {
            clocks: platform.map_or_else(Vec::new, |platform| clocks_under(root, platform)),
            status: npu_status_under(root),
            nodes: nodes_under(root),
            soc,
        }
    }

    /// The chip's, if models are made for it.
    pub(super) fn platform(&self) -> Option<Platform> {
        self.soc.value.as_ref()?.platform
    }

    pub(super) fn has_platform(&self) -> bool {
        self.platform().is_some()
    }

    /// What people call it; `None` where there is none.
    pub(super) fn name(&self) -> Option<String> {
        let soc = self.soc.value.as_ref().filter(|soc| soc.platform.is_some());
        match (soc, self.status.driver.value) {
            (Some(soc), _) => Some(format!("{} NPU", soc.name.to_uppercase())),
            (None, Some(_)) => Some("NPU".to_owned()),
            (None, None) => None,
        }
    }

    pub(super) fn describe_soc(&self) -> Value {
        let soc = self.soc.value.as_ref().map(|soc| {
            json!({
                "name": soc.name,
                "platform": soc.platform.map(Platform::as_str),
                "npuCores": soc.platform.map(Platform::npu_cores),
            })
        });
        json!({ "value": soc, "reason": self.soc.reason })
    }

    /// The status and the device files.
    pub(super) fn describe(&self) -> Value {
        let mut status = describe_status(&self.status);
        let nodes: Vec<Value> = self
            .nodes
            .iter()
            .map(|node| {
                json!({ "path": node.path, "usable": node.access.value.is_some(), "reason": node.access.reason })
            })
            .collect();
        if let Some(fields) = status.as_object_mut() {
            fields.insert("nodes".to_owned(), Value::Array(nodes));
        }
        status
    }

    pub(super) fn describe_clocks(&self) -> Vec<Value> {
        let described = self.clocks.iter().map(|clock| {
            json!({
                "name": clock.name,
                "frequencyHz": reading(&clock.frequency_hz),
                "frequencyMaxHz": reading(&clock.frequency_max_hz),
                "governor": reading(&clock.governor),
                "recommended": { "governor": RECOMMENDED_GOVERNOR, "frequencyHz": clock.recommended_hz },
                "asRecommended": clock.is_held_up(),
                "heldDown": clock.is_held_down(),
                "commands": clock.commands,
            })
        });
        described.collect()
    }

    /// What keeps a runtime from working with the NPU.
    pub(super) fn obstacles(&self) -> Vec<Problem> {
        match self.status.driver.value {
            Some(Driver::Rknpu) => {
                let mut problems = self.node_problems();
                problems.extend(self.old_driver());
                problems
            }
            Some(Driver::Rocket) | None => {
                let reason = self.status.usable.reason.clone().unwrap_or_default();
                vec![Problem::error(reason).fixed_by(format!(
                    "start a system with the vendor's kernel, whose rknpu driver is {DRIVER_LEAST} or newer"
                ))]
            }
        }
    }

    fn old_driver(&self) -> Option<Problem> {
        let version = Version::parse(self.status.driver_version.value.as_deref()?)?;
        (version < DRIVER_LEAST).then(|| {
            let message =
                format!("the rknpu driver is {version}; the vendor asks for {DRIVER_LEAST} or newer");
            Problem::warning(message).fixed_by("update the system's kernel")
        })
    }

    fn node_problems(&self) -> Vec<Problem> {
        if self.nodes.is_empty() {
            let message = "the kernel has the rknpu driver, but no device file of it is to be seen";
            let fix = "in a container, pass it in: docker run --device /dev/dri, or --device /dev/rknpu and \
                       --device /dev/dma_heap";
            return vec![Problem::warning(message).fixed_by(fix)];
        }
        let is_any_usable = self.nodes.iter().any(|node| node.access.value.is_some());
        let refused = self.nodes.iter().filter_map(|node| {
            let reason = node.access.reason.clone()?;
            // Which of several the runtime opens is not published.
            let problem = if is_any_usable { Problem::warning(reason) } else { Problem::error(reason) };
            Some(problem.fixed_by(way_in(node)))
        });
        refused.collect()
    }

    /// Clocks that make answers slow. That of the GPU has no part in it.
    pub(super) fn slow_clocks(&self) -> Vec<Problem> {
        let clocks = || self.clocks.iter().filter(|clock| clock.name != "gpu");
        let held: Vec<&Clock> = clocks().filter(|clock| clock.is_held_down()).collect();
        let mut problems: Vec<Problem> = held
            .iter()
            .map(|clock| {
                let message = format!(
                    "the clock of {} is held below the {} MHz that the vendor measures with",
                    clock.name,
                    clock.recommended_hz / 1_000_000
                );
                Problem::warning(message).fixed_by(clock.commands.join(" && "))
            })
            .collect();
        let rising: Vec<&str> = clocks()
            .filter(|clock| clock.is_held_up() == Some(false) && !clock.is_held_down())
            .map(|clock| clock.name)
            .collect();
        if !rising.is_empty() {
            let message = format!(
                "these clocks rise under load only, and the vendor measures with fixed ones: {}",
                rising.join(", ")
            );
            problems.push(Problem::note(message).fixed_by("run the `commands` of these `clocks`"));
        }
        problems
    }
}

/// How a person gets to open a device file.
fn way_in(node: &Node) -> String {
    match &node.group {
        Some(group) => format!("sudo usermod -aG {group} \"$USER\", then sign in again"),
        None => format!(
            "give a group access by a rule of udev, such as KERNEL==\"{}\", GROUP=\"render\", MODE=\"0660\"",
            node.path.rsplit('/').next().unwrap_or_default()
        ),
    }
}
