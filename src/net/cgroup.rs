//! How much memory this process's cgroup may have: the smallest limit on the way from its group up to the root that can be seen. Both
//! versions are looked at, since a kernel may have both. What cannot be read is no limit.

use std::path::{Path, PathBuf};

/// From here on a number of version 1 is none: unlimited is written as the largest number of whole pages, or of 64 bits.
const UNLIMITED: u64 = 1 << 62;

/// Where version 2 has a group's limit.
const LIMIT_FILE: &str = "memory.max";

/// Where version 1 has it.
const OLD_LIMIT_FILE: &str = "memory.limit_in_bytes";

/// Where version 1 says in a line of this name what the groups above have too, those that a container does not see.
const OLD_STATISTICS: (&str, &str) = ("memory.stat", "hierarchical_memory_limit ");

/// The limit in bytes; `None`: there is none, or it cannot be seen.
pub(crate) fn memory_limit() -> Option<u64> {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let (groups, mounts) = (read(Path::new("/proc/self/cgroup"))?, read(Path::new("/proc/self/mountinfo"))?);
    smallest(&groups, &mounts, read)
}

/// The smallest limit, by the text of `/proc/self/cgroup`, of `/proc/self/mountinfo`, and of what is read in the folders that they name.
fn smallest(groups: &str, mounts: &str, read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let mounts: Vec<Mount> = mounts.lines().filter_map(Mount::parse).collect();
    let folders = groups.lines().filter_map(group).flat_map(|(version, path)| {
        mounts.iter().filter(move |mount| mount.version == version).filter_map(move |mount| mount.folder(path))
    });
    let within_mount = |(top, folder): (&Path, PathBuf)| {
        let (top, folders) = (top.to_owned(), folder.ancestors().map(Path::to_owned).collect::<Vec<_>>());
        folders.into_iter().take_while(move |folder| folder.starts_with(&top))
    };
    let limits = folders.flat_map(within_mount).flat_map(|folder| {
        let number = |name: &str| read(&folder.join(name)).and_then(|text| text.trim().parse().ok());
        let (name, line) = OLD_STATISTICS;
        let of_all_above = read(&folder.join(name)).and_then(|text| {
            let number = text.lines().find_map(|known| known.strip_prefix(line))?;
            number.trim().parse().ok()
        });
        [number(LIMIT_FILE), number(OLD_LIMIT_FILE), of_all_above]
    });
    limits.flatten().filter(|limit: &u64| *limit < UNLIMITED).min()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hierarchy {
    One,
    Two,
}

/// The group that a line of `/proc/self/cgroup` names, if it is one for memory: `hierarchy:controllers:path`.
fn group(line: &str) -> Option<(Hierarchy, &str)> {
    let mut parts = line.splitn(3, ':');
    let (hierarchy, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    match controllers {
        "" if hierarchy == "0" => Some((Hierarchy::Two, path)),
        _ if controllers.split(',').any(|name| name == "memory") => Some((Hierarchy::One, path)),
        _ => None,
    }
}

/// A hierarchy for memory that is mounted.
struct Mount {
    version: Hierarchy,
    /// The group that is at its top.
    root: PathBuf,
    place: PathBuf,
}

impl Mount {
    /// Reads a line of `/proc/self/mountinfo`: `id parent device root place options [tags] - kind source options`.
    fn parse(line: &str) -> Option<Self> {
        let (mount, system) = line.split_once(" - ")?;
        let mut system = system.split(' ');
        let version = match system.next()? {
            "cgroup2" => Hierarchy::Two,
            "cgroup" if system.nth(1)?.split(',').any(|option| option == "memory") => Hierarchy::One,
            _ => return None,
        };
        let mut mount = mount.split(' ').skip(3);
        Some(Self { version, root: unescaped(mount.next()?), place: unescaped(mount.next()?) })
    }

    /// Where it begins, and the folder of a group; `None`: that group is elsewhere.
    fn folder(&self, group: &str) -> Option<(&Path, PathBuf)> {
        let is_up = |path: &Path| path.components().any(|part| part.as_os_str() == "..");
        let folder = match Path::new(group).strip_prefix(&self.root) {
            Ok(below) if !is_up(below) => self.place.join(below),
            // Seen from within a namespace, its top is above all that the process knows by name.
            Ok(_) => self.place.clone(),
            Err(_) if is_up(&self.root) => self.place.clone(),
            Err(_) => return None,
        };
        Some((&self.place, folder))
    }
}

/// A path of `mountinfo`, in which white space and backslashes are octal numbers.
fn unescaped(path: &str) -> PathBuf {
    let letters = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    letters.iter().fold(path.to_owned(), |path, (number, letter)| path.replace(number, letter)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = "29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
    const V1: &str = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";

    /// The limit where these are all files that can be read.
    fn limit(groups: &str, mounts: &str, files: &[(&str, &str)]) -> Option<u64> {
        let file = |path: &Path| files.iter().find(|(known, _)| Path::new(known) == path);
        smallest(groups, mounts, |path| file(path).map(|(_, text)| (*text).to_owned()))
    }

    #[test]
    fn of_version_2_the_smallest_up_to_the_root_counts() {
        let groups = "0::/system.slice/app.slice/headsnip.service\n";
        let service = "/sys/fs/cgroup/system.slice/app.slice/headsnip.service/memory.max";
        let slice = "/sys/fs/cgroup/system.slice/memory.max";
        assert_eq!(limit(groups, V2, &[(service, "134217728\n"), (slice, "max\n")]), Some(134_217_728));
        assert_eq!(limit(groups, V2, &[(service, "134217728\n"), (slice, "1048576\n")]), Some(1_048_576));
        assert_eq!(limit(groups, V2, &[(service, "max\n"), (slice, "1048576\n")]), Some(1_048_576));
        assert_eq!(limit(groups, V2, &[(service, "max\n"), (slice, "max\n")]), None);
        assert_eq!(limit(groups, V2, &[(service, "a word\n")]), None);
        // Another's.
        assert_eq!(limit(groups, V2, &[("/sys/fs/cgroup/user.slice/memory.max", "1\n"), ("/memory.max", "1")]), None);
    }

    #[test]
    fn of_version_1_a_huge_number_is_none_and_the_statistics_know_what_is_above() {
        let groups = "5:cpu,cpuacct:/a\n4:memory:/a/b:c\n1:name=systemd:/a\n";
        let (own, above) = ("/sys/fs/cgroup/memory/a/b:c/memory.limit_in_bytes", "/sys/fs/cgroup/memory/a");
        let above = format!("{above}/memory.limit_in_bytes");
        for huge in ["9223372036854771712\n", "9223372036854710272\n", "18446744073709551615\n"] {
            assert_eq!(limit(groups, V1, &[(own, huge)]), None);
            assert_eq!(limit(groups, V1, &[(own, huge), (&above, "4096\n")]), Some(4096));
        }
        // Other hierarchies are not looked at.
        let others = "5:cpu,cpuacct:/b\n4:memory:/a/b:c\n";
        let of_other = ("/sys/fs/cgroup/memory/b/memory.limit_in_bytes", "1\n");
        assert_eq!(limit(others, V1, &[(own, "4096\n"), of_other]), Some(4096));
        let mount = V1.replace("/memory rw", "/cpu rw").replace("rw,memory", "rw,cpu");
        assert_eq!(limit(groups, &mount, &[("/sys/fs/cgroup/cpu/a/b:c/memory.limit_in_bytes", "1\n")]), None);
        // As in a container whose task or pod alone has a limit.
        let statistics = "/sys/fs/cgroup/memory/a/b:c/memory.stat";
        let text = "cache 0\nhierarchical_memory_limit 536870912\nhierarchical_memsw_limit 1\ntotal_cache 0\n";
        assert_eq!(limit(groups, V1, &[(own, "9223372036854771712"), (statistics, text)]), Some(536_870_912));
    }

    #[test]
    fn with_both_versions_the_one_that_has_memory_tells() {
        let groups = "4:memory:/app\n0::/app\n";
        let mounts = format!("41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n{V1}\n");
        assert_eq!(limit(groups, &mounts, &[("/sys/fs/cgroup/memory/app/memory.limit_in_bytes", "7\n")]), Some(7));
        assert_eq!(limit(groups, &mounts, &[("/sys/fs/cgroup/unified/app/memory.max", "8\n")]), Some(8));
    }

    #[test]
    fn in_a_container_the_top_of_the_mount_is_its_group() {
        let top = [("/sys/fs/cgroup/memory.max", "9\n"), ("/sys/fs/cgroup/a/memory.max", "5\n")];
        // With a namespace of its own.
        assert_eq!(limit("0::/\n", V2, &top), Some(9));
        assert_eq!(limit("0::/a\n", V2, &top), Some(5));
        // Without, the mount is of its group alone, or of one above.
        let mount = |root: &str| V2.replacen(" / ", &format!(" {root} "), 1);
        assert_eq!(limit("0::/docker/1f\n", &mount("/docker/1f"), &top), Some(9));
        assert_eq!(limit("0::/docker/1f/a\n", &mount("/docker/1f"), &top), Some(5));
        // Mounted from outside the namespace.
        assert_eq!(limit("0::/\n", &mount("/../.."), &top), Some(9));
        let outside = [top[0], ("/sys/fs/cgroup/../a/memory.max", "3\n")];
        assert_eq!(limit("0::/../a\n", V2, &outside), Some(9));
        // The mount of another's.
        assert_eq!(limit("0::/docker/1f\n", &mount("/docker/2e"), &top), None);
        assert_eq!(limit("0::/docker/1f\n", &mount("/docker/1"), &top), None);
    }

    #[test]
    fn what_cannot_be_read_is_no_limit() {
        for (groups, mounts) in [("", ""), ("0::/\n", ""), ("", V2), ("0:\n\n4:memory\n", "1 2 3\n - \n")] {
            assert_eq!(limit(groups, mounts, &[("/sys/fs/cgroup/memory.max", "9\n")]), None);
        }
        let spaced = V2.replace("/sys/fs/cgroup", "/my\\040groups");
        assert_eq!(limit("0::/\n", &spaced, &[("/my groups/memory.max", "9\n")]), Some(9));
        // Whatever this machine has, it is read without harm.
        assert_ne!(memory_limit(), Some(0));
    }
}
