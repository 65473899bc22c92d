use std::ffi::CString;
use std::fs::{self, File, Metadata};
use std::io::{Error, ErrorKind, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::reading::{Reading, Tree};

/// Systems with a directory service have long ones; what is beyond goes without a name.
const GROUPS_BYTES_MAX: u64 = 256 << 10;

/// A device file that the runtime works through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it is, such as `/dev/dri/renderD129`.
    pub path: String,
    /// Whether this process may open it to read and write, and why not.
    pub access: Reading<()>,
    /// The group whose members may, where being one of them would help.
    pub group: Option<String>,
}

/// The device files of the vendor's driver on this machine. They are looked at and never opened.
pub fn nodes() -> Vec<Node> {
    nodes_under(Path::new("/"))
}

/// The same, of the machine whose files lie under `root`.
pub fn nodes_under(root: &Path) -> Vec<Node> {
    let tree = Tree(root);
    paths(tree).into_iter().map(|path| look(tree, path)).collect()
}

/// The driver is built as a graphics device or around `/dev/rknpu`, which takes memory from DMA heaps.
fn paths(tree: Tree<'_>) -> Vec<String> {
    const GRAPHICS: &str = "/sys/class/drm";
    let is_node = |name: &String| {
        let number = name.strip_prefix("card").or_else(|| name.strip_prefix("renderD"));
        number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let is_npu = |name: &String| {
        let driver = tree.link_name(&format!("{GRAPHICS}/{name}/device/driver"));
        driver.is_some_and(|driver| driver.eq_ignore_ascii_case("rknpu"))
    };
    let names = tree.names(GRAPHICS).into_iter().filter(is_node).filter(is_npu);
    let mut paths: Vec<String> = names.map(|name| format!("/dev/dri/{name}")).collect();
    if tree.exists("/dev/rknpu") {
        paths.push("/dev/rknpu".to_owned());
        paths.extend(tree.names("/dev/dma_heap").iter().map(|name| format!("/dev/dma_heap/{name}")));
    }
    paths
}

fn look(tree: Tree<'_>, path: String) -> Node {
    let file = tree.path(&path);
    let facts = match fs::metadata(&file) {
        Ok(facts) => facts,
        Err(error) => {
            let reason = match error.kind() {
                ErrorKind::NotFound => format!("{path} does not exist, though the kernel has the device"),
                _ => format!("{path} cannot be looked at: {error}"),
            };
            return Node { path, access: Reading::none(reason), group: None };
        }
    };
    match may_open(&file) {
        Ok(()) => Node { path, access: Reading::of(()), group: None },
        Err(error) => {
            let group = group_name(tree, facts.gid());
            let reason = refusal(&path, &facts, &group, &error);
            let helps = facts.mode() & 0o060 == 0o060 && facts.gid() != 0;
            Node { path, access: Reading::none(reason), group: helps.then_some(group) }
        }
    }
}

/// Asks the kernel, which knows of groups, capabilities and access lists; nothing is opened.
fn may_open(path: &Path) -> Result<(), Error> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path ends in NUL and lives through the call.
    let status = unsafe { libc::access(path.as_ptr(), libc::R_OK | libc::W_OK) };
    if status == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}

fn refusal(path: &str, facts: &Metadata, group: &str, error: &Error) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied => format!(
            "{path} may not be opened by this user; it is of the group {group}, with mode {:03o}",
            facts.mode() & 0o777
        ),
        _ => format!("{path} cannot be opened: {error}"),
    }
}

/// The name of a group, or its number as `chown` takes it.
fn group_name(tree: Tree<'_>, id: u32) -> String {
    let mut groups = Vec::new();
    if let Ok(file) = File::open(tree.path("/etc/group")) {
        // What was read until a failure is as good as the rest.
        let _ = file.take(GROUPS_BYTES_MAX).read_to_end(&mut groups);
    }
    let groups = String::from_utf8_lossy(&groups);
    let name = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(id)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| id.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::testing::Folder;

    /// A graphics device with a driver, and its file under `/dev` if there is to be one.
    fn graphics(folder: &Folder, name: &str, driver: &str, has_file: bool) {
        let bound = folder.file(&format!("/sys/bus/platform/drivers/{driver}/bind"), "");
        folder.file(&format!("/sys/class/drm/{name}/device/uevent"), "");
        let link = folder.path().join(format!("sys/class/drm/{name}/device/driver"));
        symlink(bound.parent().unwrap(), link).unwrap();
        if has_file {
            folder.file(&format!("/dev/dri/{name}"), "");
        }
    }

    #[test]
    fn the_graphics_nodes_of_the_npu_are_told_from_those_of_the_screen() {
        let folder = Folder::new("nodes-drm");
        graphics(&folder, "card0", "rockchip-drm", true);
        graphics(&folder, "card1", "RKNPU", true);
        graphics(&folder, "card1-HDMI-A-1", "RKNPU", true);
        graphics(&folder, "renderD128", "panfrost", true);
        graphics(&folder, "renderD129", "RKNPU", false);
        let nodes = nodes_under(folder.path());
        let paths: Vec<&str> = nodes.iter().map(|node| node.path.as_str()).collect();
        assert_eq!(paths, ["/dev/dri/card1", "/dev/dri/renderD129"]);
        assert_eq!(nodes[0].access, Reading::of(()));
        assert!(nodes[1].access.reason.as_ref().unwrap().contains("does not exist"));
    }

    #[test]
    fn a_driver_around_its_own_node_needs_the_heaps_too() {
        let folder = Folder::new("nodes-heap");
        folder.file("/dev/dma_heap/system", "");
        assert_eq!(nodes_under(folder.path()), []);
        folder.file("/dev/rknpu", "");
        let paths: Vec<String> = nodes_under(folder.path()).into_iter().map(|node| node.path).collect();
        assert_eq!(paths, ["/dev/rknpu", "/dev/dma_heap/system"]);
    }

    #[test]
    fn a_refusal_names_the_group_that_helps() {
        let folder = Folder::new("nodes-group");
        folder.file("/etc/group", "root:x:0:\nvideo:x:44:me\nodd\nrender:x:109:\n");
        let tree = Tree(folder.path());
        assert_eq!(group_name(tree, 109), "render");
        assert_eq!(group_name(tree, 7), "7");
        let node = folder.file("/dev/rknpu", "");
        let denied = Error::from(ErrorKind::PermissionDenied);
        let reason = refusal("/dev/rknpu", &fs::metadata(node).unwrap(), "render", &denied);
        assert!(reason.contains("group render") && reason.contains("mode 6"), "{reason}");
    }
}
