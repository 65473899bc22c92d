use std::fs;
use std::path::Path;

/// What this process may use of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Processors it may run on.
    pub processors: u32,
    /// Processors worth giving compute threads to: the fast ones, within the container's quota.
    pub threads: u32,
    /// Bytes of memory it can take without pushing others out; `None` where nothing tells.
    pub memory_available: Option<u64>,
}

/// Looks at affinity, container limits, core types and free memory as they are now.
pub fn machine() -> Machine {
    let processors = allowed_processors();
    let fast = fast_processors(Path::new("/sys/devices/system/cpu"), &processors);
    // Respects the scheduler's affinity mask and the cgroup's quota.
    let quota =
        std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX));
    let count = u32::try_from(processors.len()).unwrap_or(u32::MAX).max(1);
    Machine {
        processors: count.max(quota),
        threads: fast.min(quota).max(1),
        memory_available: memory_available(),
    }
}

/// The processors worth computing on, as a bit each; those beyond the eighth have none.
pub(crate) fn fast_processor_mask() -> u32 {
    let processors = allowed_processors();
    let mask = fast_processor_numbers(Path::new("/sys/devices/system/cpu"), &processors)
        .into_iter()
        .filter(|&number| number < 8)
        .fold(0, |mask, number| mask | 1 << number);
    if mask == 0 { 1 } else { mask }
}

/// The numbers of the processors the scheduler may put this process on.
fn allowed_processors() -> Vec<u32> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.map(|list| parse_list(list.trim())).unwrap_or_default()
}

/// `0-3,8` as numbers.
fn parse_list(list: &str) -> Vec<u32> {
    let mut numbers = Vec::new();
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) {
            numbers.extend(first..=last.min(first.saturating_add(4095)));
        }
    }
    numbers
}

/// How many of `processors` are as fast as the fastest.
fn fast_processors(root: &Path, processors: &[u32]) -> u32 {
    u32::try_from(fast_processor_numbers(root, processors).len()).unwrap_or(u32::MAX).max(1)
}

/// Those of `processors` that are as fast as the fastest: on big.LITTLE chips the slow ones hold the others
/// up, because every thread of a step waits for the last. All, where the kernel gives no `cpu_capacity`.
fn fast_processor_numbers(root: &Path, processors: &[u32]) -> Vec<u32> {
    let capacity = |number: u32| -> Option<u32> {
        fs::read_to_string(root.join(format!("cpu{number}/cpu_capacity"))).ok()?.trim().parse().ok()
    };
    let known: Vec<(u32, u32)> =
        processors.iter().filter_map(|&number| Some((number, capacity(number)?))).collect();
    let fastest = known.iter().map(|&(_, capacity)| capacity).max().unwrap_or(0);
    let is_fast = |capacity: u32| capacity.saturating_mul(5) >= fastest.saturating_mul(4);
    if known.is_empty() {
        return processors.to_vec();
    }
    known.into_iter().filter(|&(_, capacity)| is_fast(capacity)).map(|(number, _)| number).collect()
}

fn memory_available() -> Option<u64> {
    let free = meminfo_available(&fs::read_to_string("/proc/meminfo").ok()?)?;
    Some(cgroup_available(Path::new("/sys/fs/cgroup")).map_or(free, |limit| limit.min(free)))
}

fn meminfo_available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// What a container's limit leaves; page cache counts as free because the kernel gives it back.
fn cgroup_available(root: &Path) -> Option<u64> {
    let number =
        |name: &str| -> Option<u64> { fs::read_to_string(root.join(name)).ok()?.trim().parse().ok() };
    let limit = number("memory.max")?;
    let used = number("memory.current")?;
    let stat = fs::read_to_string(root.join("memory.stat")).unwrap_or_default();
    let cache = stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.trim().parse::<u64>().ok());
    Some(limit.saturating_sub(used.saturating_sub(cache.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::{cgroup_available, fast_processors, machine, meminfo_available, parse_list};
    use std::fs;

    #[test]
    fn lists_of_processors_are_read_as_the_kernel_writes_them() {
        assert_eq!(parse_list("0-3,8"), [0, 1, 2, 3, 8]);
        assert_eq!(parse_list("5"), [5]);
        assert_eq!(parse_list(""), [0; 0]);
    }

    #[test]
    fn an_rk3588_gives_its_four_fast_cores() {
        let root = std::env::temp_dir().join(format!("rkllmjs-cpus-{}", std::process::id()));
        for (cpu, capacity) in [530, 530, 530, 530, 1024, 1024, 1024, 1024].iter().enumerate() {
            let folder = root.join(format!("cpu{cpu}"));
            fs::create_dir_all(&folder).expect("folder");
            fs::write(folder.join("cpu_capacity"), format!("{capacity}\n")).expect("file");
        }
        assert_eq!(fast_processors(&root, &[0, 1, 2, 3, 4, 5, 6, 7]), 4);
        assert_eq!(fast_processors(&root, &[0, 1]), 2);
        fs::remove_dir_all(&root).expect("clean");
        assert_eq!(fast_processors(&root, &[0, 1, 2]), 3);
    }

    #[test]
    fn memory_is_the_less_of_what_is_free_and_what_the_container_may_have() {
        assert_eq!(meminfo_available("MemTotal: 9 kB\nMemAvailable:   2048 kB\n"), Some(2_097_152));
        let root = std::env::temp_dir().join(format!("rkllmjs-cgroup-{}", std::process::id()));
        fs::create_dir_all(&root).expect("folder");
        fs::write(root.join("memory.max"), "1000\n").expect("max");
        fs::write(root.join("memory.current"), "700\n").expect("current");
        fs::write(root.join("memory.stat"), "anon 1\ninactive_file 200\n").expect("stat");
        assert_eq!(cgroup_available(&root), Some(500));
        fs::write(root.join("memory.max"), "max\n").expect("max");
        assert_eq!(cgroup_available(&root), None);
        fs::remove_dir_all(&root).expect("clean");
    }

    #[test]
    fn this_machine_never_gets_more_threads_than_processors() {
        let machine = machine();
        assert!(machine.threads >= 1 && machine.threads <= machine.processors, "{machine:?}");
    }
}
