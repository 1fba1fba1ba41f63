//! What the system tells of this process, by the names that every program has for it. On Linux alone; elsewhere it is left out.

use std::fs::{read_dir, read_to_string};

use trawl_balance::exposition::{Exposition, Kind, number};
use trawl_core::limits::host::USER_HZ;

use crate::open_files;

/// The figures of the process for `GET /metrics`; what can't be read is left out.
pub(super) fn prometheus(out: &mut Exposition) {
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    let own = read_to_string("/proc/self/stat").unwrap_or_default();
    let system = read_to_string("/proc/stat").unwrap_or_default();
    // The handle of the folder itself is one of them.
    let open = read_dir("/proc/self/fd").map(|files| files.count().saturating_sub(1));
    let figures = [
        (
            "cpu_seconds_total",
            Kind::Counter,
            "Processor time spent, in the process and in the system for it.",
            cpu_seconds(&own),
        ),
        (
            "resident_memory_bytes",
            Kind::Gauge,
            "Memory that is in use now, files that are mapped among it.",
            resident_bytes(&status),
        ),
        (
            "open_fds",
            Kind::Gauge,
            "Files and connections that are open now.",
            open.ok().map(|count| number(count as u64)),
        ),
        (
            "max_fds",
            Kind::Gauge,
            "As many files and connections may be open.",
            open_files::limit().map(number),
        ),
        (
            "start_time_seconds",
            Kind::Gauge,
            "When the process was started, in seconds since 1970.",
            started_at(&own, &system),
        ),
    ];
    for (name, kind, help, value) in figures {
        if let Some(value) = value {
            out.process(name, kind, help).sample(&[], value);
        }
    }
}

/// A number of `/proc/self/stat` by its place in proc(5), beyond the name, which may hold blanks and brackets.
fn field(stat: &str, place: usize) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    // The third follows the name.
    let word = rest.split_ascii_whitespace().nth(place.checked_sub(3)?)?;
    word.parse().ok().map(number)
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((field(stat, 14)? + field(stat, 15)?) / USER_HZ)
}

fn resident_bytes(status: &str) -> Option<f64> {
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(number(kibibytes) * 1024.0)
}

fn started_at(stat: &str, system: &str) -> Option<f64> {
    let mut lines = system.lines();
    let booted = lines.find_map(|line| line.strip_prefix("btime "))?;
    Some(number(booted.trim().parse().ok()?) + field(stat, 22)? / USER_HZ)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "12 (a) b) S 1 12 12 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 9 0 6000 1 2";

    #[test]
    fn fields_are_counted_from_behind_the_name() {
        assert_eq!(cpu_seconds(STAT), Some(3.0));
        let system = "cpu 1 2\nbtime 1000\nprocesses 5\n";
        assert_eq!(started_at(STAT, system), Some(1_060.0));
        assert_eq!(
            resident_bytes("Name:\ta\nVmRSS:\t  2048 kB\nThreads: 3\n"),
            Some(2_097_152.0)
        );
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        for stat in ["", "12 (a) S 1", "12 (a) S x"] {
            assert_eq!(cpu_seconds(stat), None);
            assert_eq!(started_at(stat, "btime 1"), None);
        }
        assert_eq!(resident_bytes("VmRSS:\t2048 MB\n"), None);
        assert_eq!(started_at(STAT, ""), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_all_of_them() {
        let mut out = Exposition::default();
        prometheus(&mut out);
        let text = out.into_text();
        let samples: Vec<(&str, f64)> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once(' '))
            .map(|(name, value)| (name, value.parse().unwrap()))
            .collect();
        assert_eq!(samples.len(), 5, "{text}");
        let zero = samples.iter().find(|(_, value)| *value <= 0.0);
        assert!(
            zero.is_none_or(|(name, _)| *name == "process_cpu_seconds_total"),
            "{text}"
        );
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        let started = samples.last().unwrap().1;
        assert!((now - 3_600.0..=now + 1.0).contains(&started), "{started}");
    }
}
