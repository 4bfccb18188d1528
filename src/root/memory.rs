//! How much memory a work tree may take.

use std::path::Path;

/// Memory that can be had without swapping, in bytes: of the host (`proc(5)`, `MemAvailable`), and of the control groups of this process, as containers and
/// service managers limit them. None where the kernel does not say.
pub(super) fn available() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let of_host = of_host(&read("/proc/meminfo"));
    of_groups(&read("/proc/self/cgroup"), Path::new("/sys/fs/cgroup")).map_or(of_host, |of_groups| of_groups.min(of_host))
}

fn of_host(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().map_or(0, |kib| kib.saturating_mul(1024))
}

/// The names of a group's files in one version of control groups.
struct Names {
    limit: &'static str,
    used: &'static str,
    /// Of `memory.stat`: the pages of files, which are given back when they are needed.
    files: [&'static str; 2],
}

const VERSION_1: Names = Names { limit: "memory.limit_in_bytes", used: "memory.usage_in_bytes", files: ["total_inactive_file", "total_active_file"] };
const VERSION_2: Names = Names { limit: "memory.max", used: "memory.current", files: ["inactive_file", "active_file"] };

/// What the groups of this process and those above them have left (`cgroups(7)`); none where no limit is known. `own` is `/proc/self/cgroup`.
fn of_groups(own: &str, mounted: &Path) -> Option<u64> {
    let mut least = None;
    for line in own.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (top, names) = match controllers {
            "" => (mounted.to_owned(), VERSION_2),
            _ if controllers.split(',').any(|controller| controller == "memory") => (mounted.join("memory"), VERSION_1),
            _ => continue,
        };
        // Where a container sees its own groups alone, the path can be one that is not there: the limit is at the top then.
        let group = top.join(path.trim_start_matches('/'));
        for group in group.ancestors().take_while(|group| group.starts_with(&top)) {
            least = [least, left(group, &names)].into_iter().flatten().min();
        }
    }
    least
}

/// What one group has left; none where it has no limit.
fn left(group: &Path, names: &Names) -> Option<u64> {
    let read = |name: &str| std::fs::read_to_string(group.join(name)).ok();
    let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
    let limit = number(names.limit)?;
    let stat = read("memory.stat").unwrap_or_default();
    let of_files = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        names.files.contains(&name).then(|| value.parse::<u64>().ok())?
    };
    let files: u64 = stat.lines().filter_map(of_files).fold(0, u64::saturating_add);
    Some(limit.saturating_sub(number(names.used)?.saturating_sub(files)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(at: &Path, files: &[(&str, &str)]) {
        std::fs::create_dir_all(at).unwrap();
        for (name, text) in files {
            std::fs::write(at.join(name), text).unwrap();
        }
    }

    #[test]
    fn the_host_says_what_it_has() {
        assert_eq!(of_host("MemTotal: 9 kB\nMemAvailable:    2048 kB\n"), 2 << 20);
        assert_eq!((of_host(""), of_host("MemAvailable: many kB\n")), (0, 0));
    }

    #[test]
    fn the_least_of_all_groups_counts() {
        let dir = tempfile::tempdir().unwrap();
        let stat = "anon 7\ninactive_file 30\nactive_file 20\nshmem 9\n";
        group(dir.path(), &[("memory.stat", stat)]);
        group(&dir.path().join("a"), &[("memory.max", "1000\n"), ("memory.current", "300\n"), ("memory.stat", stat)]);
        group(&dir.path().join("a/b"), &[("memory.max", "max\n"), ("memory.current", "300\n"), ("memory.stat", stat)]);
        assert_eq!(of_groups("0::/a/b\n", dir.path()), Some(750));
        group(&dir.path().join("a/b"), &[("memory.max", "400\n")]);
        assert_eq!(of_groups("0::/a/b\n", dir.path()), Some(150));
        assert_eq!((of_groups("0::/\n", dir.path()), of_groups("0::/none\n", dir.path()), of_groups("", dir.path())), (None, None, None));
        // A container's own limit is at the top.
        group(dir.path(), &[("memory.max", "100"), ("memory.current", "200")]);
        assert_eq!(of_groups("0::/../../somewhere\n", dir.path()), Some(0));
    }

    #[test]
    fn the_first_version_has_other_names() {
        let dir = tempfile::tempdir().unwrap();
        let stat = "inactive_file 1\ntotal_inactive_file 5\n";
        group(&dir.path().join("memory/x"), &[("memory.limit_in_bytes", "50"), ("memory.usage_in_bytes", "20"), ("memory.stat", stat)]);
        assert_eq!(of_groups("3:cpu,cpuacct:/x\n2:memory:/x\n", dir.path()), Some(35));
        assert_eq!(of_groups("3:cpu,cpuacct:/x\n", dir.path()), None);
    }
}
