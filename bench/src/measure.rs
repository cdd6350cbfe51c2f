//! CPU time, wall time and memory of this process, and the core it runs on.
//!
//! CPU time is what a figure "a core" means: on a machine that others use the
//! clock on the wall says little. Memory is read from Linux' `/proc` and is
//! absent elsewhere.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// CPU time of all threads of this process so far.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// Binds this thread, and those and the processes it will start, to one of
/// the cores that the process may use: the last, since the first serves most
/// interrupts.
pub(crate) fn pin_to_one_core() {
    pin(|allowed| allowed.last().copied());
}

/// Binds to another core than [`pin_to_one_core`] does, where there are two.
pub(crate) fn pin_to_other_core() {
    pin(|allowed| allowed.first().copied());
}

#[cfg(target_os = "linux")]
fn pin(choose: impl FnOnce(&[usize]) -> Option<usize>) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let Ok(set) = sched_getaffinity(None) else {
        return;
    };
    let allowed: Vec<usize> = (0..CpuSet::MAX_CPU)
        .filter(|&core| set.is_set(core))
        .collect();
    if let Some(core) = choose(&allowed) {
        let mut one = CpuSet::new();
        one.set(core);
        // Where binding is forbidden, CPU time is still counted over all
        // threads, and figures a core hold.
        let _ = sched_setaffinity(None, &one);
    }
}

#[cfg(not(target_os = "linux"))]
fn pin(_: impl FnOnce(&[usize]) -> Option<usize>) {}

/// What a piece of work took, in seconds.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Took {
    pub(crate) cpu_s: f64,
    pub(crate) wall_s: f64,
}

impl std::ops::AddAssign for Took {
    fn add_assign(&mut self, other: Self) {
        self.cpu_s += other.cpu_s;
        self.wall_s += other.wall_s;
    }
}

/// A running stop-watch for both clocks.
pub(crate) struct Watch {
    cpu: Duration,
    wall: Instant,
}

impl Watch {
    pub(crate) fn start() -> Self {
        Self {
            cpu: cpu_time(),
            wall: Instant::now(),
        }
    }

    pub(crate) fn took(&self) -> Took {
        Took {
            cpu_s: (cpu_time() - self.cpu).as_secs_f64(),
            wall_s: self.wall.elapsed().as_secs_f64(),
        }
    }
}

/// The run that took least CPU time: what the work costs where nothing else
/// slows the machine down.
pub(crate) fn fastest(took: &[Took]) -> Took {
    let least = took.iter().min_by(|a, b| a.cpu_s.total_cmp(&b.cpu_s));
    least.copied().unwrap_or_default()
}

/// The median of each clock; of an even number the upper one.
pub(crate) fn median(took: &[Took]) -> Took {
    let middle = |clock: fn(&Took) -> f64| {
        let mut times: Vec<f64> = took.iter().map(clock).collect();
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or(0.0)
    };
    Took {
        cpu_s: middle(|took| took.cpu_s),
        wall_s: middle(|took| took.wall_s),
    }
}

/// Most memory in use at a time, counted from what the process had before.
pub(crate) struct Memory {
    baseline_bytes: Option<u64>,
}

impl Memory {
    pub(crate) fn start() -> Self {
        let memory = Self {
            baseline_bytes: status_bytes("VmRSS:"),
        };
        memory.forget_peak();
        memory
    }

    /// Lets the peak begin anew, at what is in use now.
    pub(crate) fn forget_peak(&self) {
        // Where it is forbidden the peak is that of all that came before: too
        // much rather than too little.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
    }

    /// Bytes above the baseline.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        Some(status_bytes("VmHWM:")?.saturating_sub(self.baseline_bytes?))
    }
}

/// The most memory that this process had in use.
pub(crate) fn peak_bytes() -> Option<u64> {
    status_bytes("VmHWM:")
}

/// A line of `/proc/self/status` that counts kibibytes, in bytes.
fn status_bytes(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_taken_of_each_clock() {
        let took = |cpu_s, wall_s| Took { cpu_s, wall_s };
        let found = median(&[took(3.0, 1.0), took(1.0, 9.0), took(2.0, 5.0)]);
        assert_eq!((found.cpu_s, found.wall_s), (2.0, 5.0));
        assert_eq!(median(&[]).cpu_s, 0.0);
        assert_eq!(fastest(&[took(3.0, 1.0), took(1.0, 9.0)]).wall_s, 9.0);
    }

    #[test]
    fn work_takes_cpu_time_and_memory() {
        let (memory, watch) = (Memory::start(), Watch::start());
        let bytes: Vec<u8> = (0..16 << 20).map(|n: u32| (n % 251) as u8).collect();
        let sum: u64 = bytes.iter().map(|&byte| u64::from(byte)).sum();
        assert!(sum > 0 && watch.took().cpu_s > 0.0);
        if let Some(peak) = memory.peak_bytes() {
            assert!(peak >= 15 << 20, "{peak}");
        }
    }
}
