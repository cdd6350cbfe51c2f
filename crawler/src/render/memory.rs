//! What a group of processes has in memory, as `/proc` says (proc_pid_stat(5),
//! proc_pid_status(5)).
//!
//! Counted is what goes away with them: anonymous and shared memory. The
//! program's own pages are one file for all and are left out.

use std::fs;

/// Bytes of all processes of a group, and how many they are. Takes a
/// millisecond or two; for a thread that may wait.
pub(super) fn of_group(group: u32) -> (u64, usize) {
    let Ok(processes) = fs::read_dir("/proc") else {
        return (0, 0);
    };
    let (mut bytes, mut count) = (0, 0);
    for process in processes.flatten() {
        let name = process.file_name();
        let is_process = name
            .to_str()
            .is_some_and(|name| name.parse::<u32>().is_ok());
        if !is_process {
            continue;
        }
        // Any may end while it is looked at.
        let Ok(stat) = fs::read_to_string(process.path().join("stat")) else {
            continue;
        };
        if group_of(&stat) == Some(group) {
            let status = fs::read_to_string(process.path().join("status"));
            bytes += status.map_or(0, |status| own_bytes(&status));
            count += 1;
        }
    }
    (bytes, count)
}

/// The third field after the name, which is in brackets and may hold anything.
fn group_of(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(2)?.parse().ok()
}

fn own_bytes(status: &str) -> u64 {
    let kib = status.lines().filter_map(|line| {
        let (key, value) = line.split_once(':')?;
        let is_own = matches!(key, "RssAnon" | "RssShmem");
        let kib = value.trim().strip_suffix(" kB")?;
        is_own.then(|| kib.parse::<u64>().ok()).flatten()
    });
    kib.sum::<u64>() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_and_the_memory_are_read_as_the_kernel_writes_them() {
        assert_eq!(group_of("12 (a) b (c) S 1 77 77 0 -1"), Some(77));
        assert_eq!(group_of("12 (a"), None);
        let status = "Name:\tx\nVmRSS:\t  900 kB\nRssAnon:\t     100 kB\nRssFile:\t 700 kB\nRssShmem:\t 20 kB\n";
        assert_eq!(own_bytes(status), 120 * 1024);
    }
}
