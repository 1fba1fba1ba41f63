//! Gives memory back that a burst of work has left behind: the database's page caches, what the allocators keep, and the
//! pages of code that were run.

use std::time::{Duration, Instant};

use trawl_core::limits::host as limits;
use trawl_sqlite::Database;

/// Looks from time to time how much was done, and gives memory back when a busy time is followed by a quiet one. Never while
/// there is work: what is given back then would be asked for again at once.
pub(crate) async fn give_back_when_quiet(database: Database) {
    let mut burst = Burst::default();
    let mut once_more: Option<Instant> = None;
    // Of the start, which may have compiled all components.
    let _ = tokio::task::spawn_blocking(trim).await;
    loop {
        tokio::time::sleep(Duration::from_millis(limits::QUIET_LOOK_MS)).await;
        let stats = database.stats();
        let done = stats.statements + stats.reads;
        if burst.is_over(done) {
            once_more = Some(Instant::now() + Duration::from_millis(limits::QUIET_AGAIN_MS));
        } else if once_more.is_some_and(|at| at <= Instant::now()) && burst.is_still_over() {
            once_more = None;
        } else if burst.trickles() {
            give_back(&database, trim).await;
            continue;
        } else {
            continue;
        }
        let all = || {
            trim();
            code::give_back();
        };
        give_back(&database, all).await;
    }
}

/// Empties the database's page caches, and gives back then what is free in the process.
async fn give_back(database: &Database, of_process: impl FnOnce() + Send + 'static) {
    database.release_memory();
    // Its threads do it with their next statement, which comes with the clock.
    tokio::time::sleep(Duration::from_millis(2 * limits::TICK_MS)).await;
    // It may take a while: what is given back may be a lot, and the mappings are many.
    let _ = tokio::task::spawn_blocking(of_process).await;
}

/// Statements that were done, as a sign of how busy the application is.
#[derive(Debug, Default)]
struct Burst {
    done: u64,
    /// As of the last time that memory was given back after a busy time.
    given_back_at: u64,
    /// As of the last time that page caches were emptied.
    emptied_at: u64,
    /// The most between two looks since then.
    busiest: u64,
    /// What was done between the last two looks.
    lately: u64,
    /// As much of it was quiet enough when memory was given back.
    quiet_max: u64,
}

impl Burst {
    /// Whether much was done since memory was given back, but since the last look little beside it: what is left of a queue
    /// may go on for hours, and is no burst.
    fn is_over(&mut self, done: u64) -> bool {
        self.lately = done.saturating_sub(self.done);
        self.done = done;
        self.busiest = self.busiest.max(self.lately);
        let quiet_max = limits::QUIET_STATEMENTS_MAX.max(self.busiest / limits::QUIET_PART);
        let is_over = self.lately <= quiet_max
            && done.saturating_sub(self.given_back_at) >= limits::BURST_STATEMENTS_MIN;
        if is_over {
            (self.given_back_at, self.busiest, self.quiet_max) = (done, 0, quiet_max);
            self.emptied_at = done;
        }
        is_over
    }

    /// Whether what a busy time left of its queue has filled the page caches again. It touches each page once, here and there in a table
    /// that is long since the burst, so they save it little.
    fn trickles(&mut self) -> bool {
        let trickles = self.is_still_over()
            && self.done.saturating_sub(self.emptied_at) >= limits::TRICKLE_STATEMENTS_MIN;
        if trickles {
            self.emptied_at = self.done;
        }
        trickles
    }

    /// Whether the time is as quiet as it was when memory was given back.
    fn is_still_over(&self) -> bool {
        self.lately <= self.quiet_max
    }
}

/// Gives back what the allocators keep of what was freed, for ever if need be: the program's own, and the C library's, which SQLite has
/// (where it is another than GNU's, it gives back by itself).
#[expect(unsafe_code, reason = "both are declared as functions of C")]
fn trim() {
    // SAFETY: neither takes pointers, and both may be called at any time and from any thread.
    unsafe {
        libmimalloc_sys::mi_collect(true);
        #[cfg(target_env = "gnu")]
        libc::malloc_trim(0);
    }
}

/// Code that was run stays mapped until somebody else needs the room: this program's, that of its libraries, and that of
/// the components. Most of it is run in a burst only.
#[cfg(target_os = "linux")]
mod code {
    use std::ops::Range;

    /// Lets the system have the pages of all code. They stay in its cache of files as long as it likes, from where those that
    /// are run again come back without being read.
    pub(super) fn give_back() {
        match std::fs::read_to_string("/proc/self/smaps") {
            Ok(mappings) => unchanged(&mappings).into_iter().for_each(unmap),
            Err(error) => tracing::debug!("code stays mapped: {error}"),
        }
    }

    /// The addresses of code as it stands in its file: mapped to be run, not writable, and without a page of its own, as
    /// there is where a debugger has set a breakpoint. `mappings` as in proc_pid_smaps(5).
    pub(super) fn unchanged(mappings: &str) -> Vec<Range<usize>> {
        let mut unchanged = Vec::new();
        let mut code = None;
        for line in mappings.lines() {
            if let Some(begin) = as_begin(line) {
                code = begin;
            } else if let Some(size) = line.strip_prefix("Anonymous:") {
                unchanged.extend(code.take().filter(|_| size.trim() == "0 kB"));
            }
        }
        unchanged
    }

    /// The line that a mapping begins with, and its addresses if it is a file's code.
    fn as_begin(line: &str) -> Option<Option<Range<usize>>> {
        let mut fields = line.split_ascii_whitespace();
        let (from, to) = fields.next()?.split_once('-')?;
        let address = |digits| usize::from_str_radix(digits, 16).ok();
        let addresses = address(from)?..address(to)?;
        let (mode, inode) = (fields.next()?, fields.nth(2)?);
        Some((mode == "r-xp" && inode != "0").then_some(addresses))
    }

    #[expect(
        unsafe_code,
        reason = "madvise(2) has no safe form in the standard library"
    )]
    pub(super) fn unmap(code: Range<usize>) {
        let start = std::ptr::with_exposed_provenance_mut(code.start);
        // SAFETY: what lies there equals its file and can't be written to, so the next access reads the same from the file.
        // Nothing else can have come to lie there since it was looked up: the program, its libraries and the components stay
        // where they are until the process ends.
        unsafe { libc::madvise(start, code.len(), libc::MADV_DONTNEED) };
    }
}

/// Other systems are left to find out by themselves.
#[cfg(not(target_os = "linux"))]
mod code {
    pub(super) fn give_back() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn only_code_that_equals_its_file_is_unmapped() {
        let mapping = |first: &str, anonymous: u32| {
            format!("{first}\nRss:    8 kB\nAnonymous:    {anonymous} kB\nVmFlags: rd mr mw me\n")
        };
        let mappings = [
            mapping("1000-3000 r-xp 00000000 fe:00 77  /usr/bin/trawl", 0),
            mapping("3000-4000 r-xp 00002000 fe:00 77  /usr/bin/trawl", 4),
            mapping("4000-5000 r--p 00003000 fe:00 77  /usr/bin/trawl", 0),
            mapping("5000-6000 rw-p 00004000 fe:00 77  /usr/bin/trawl", 0),
            mapping("6000-7000 rwxp 00005000 fe:00 77  /usr/bin/trawl", 0),
            mapping("7000-8000 r-xs 00006000 fe:00 77  /usr/bin/trawl", 0),
            mapping("8000-9000 r-xp 00000000 00:00 0 ", 0),
            mapping("9000-a000 r-xp 00000000 00:00 0  [vdso]", 0),
            mapping(
                "7f0000000000-7f0000002000 r-xp 0 fe:00 78  /cache/a b.cwasm",
                0,
            ),
        ];
        assert_eq!(
            code::unchanged(&mappings.concat()),
            [0x1000..0x3000, 0x7f00_0000_0000..0x7f00_0000_2000]
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_program_runs_on_after_its_code_was_given_back() {
        use std::os::unix::fs::FileExt as _;

        let mappings = || std::fs::read_to_string("/proc/self/smaps").expect("Linux shows them");
        let here = this_program_runs_on_after_its_code_was_given_back as fn() as usize;
        let is_own = |code: &std::ops::Range<usize>| code.contains(&here);
        let own = code::unchanged(&mappings()).into_iter().find(is_own);
        let own = own.expect("a program's code is mapped");
        let resident_kb = || {
            let mappings = mappings();
            let from = mappings.find(&format!("{:x}-", own.start));
            let rss = mappings[from.expect("it stays")..]
                .lines()
                .find_map(|line| line.strip_prefix("Rss:"));
            let kb = rss.and_then(|rss| rss.trim().strip_suffix(" kB"));
            kb.and_then(|kb| kb.parse::<u64>().ok()).expect("a number")
        };
        let mut all = vec![0; own.len()];
        let memory = std::fs::File::open("/proc/self/mem").expect("a process may read itself");
        memory.read_exact_at(&mut all, own.start as u64).unwrap();
        let before = resident_kb();
        // Its own alone: other tests map and unmap components meanwhile.
        code::unmap(own.clone());
        assert!(resident_kb() < before);
    }

    #[test]
    fn memory_is_given_back_once_after_each_burst() {
        let (quiet, much) = (limits::QUIET_STATEMENTS_MAX, limits::BURST_STATEMENTS_MIN);
        let mut burst = Burst::default();
        assert!(!burst.is_over(quiet), "nothing was done yet");
        assert!(!burst.is_over(quiet + much), "it goes on");
        assert!(burst.is_over(2 * quiet + much));
        assert!(!burst.is_over(2 * quiet + much), "it was given back");
        let later = 2 * quiet + 2 * much;
        assert!(!burst.is_over(later));
        assert!(burst.is_over(later + 1));
    }

    #[test]
    fn the_rest_of_a_queue_is_given_back_for_as_it_goes() {
        let (much, some) = (limits::BURST_STATEMENTS_MIN, limits::TRICKLE_STATEMENTS_MIN);
        let mut burst = Burst::default();
        assert!(!burst.is_over(some));
        assert!(!burst.trickles(), "no busy time was before");
        let mut done = some + limits::QUIET_PART * much;
        assert!(!burst.is_over(done));
        assert!(burst.is_over(done));
        for _ in 0..2 {
            assert!(!burst.is_over(done + some - 1));
            assert!(!burst.trickles(), "too few");
            done += some;
            assert!(!burst.is_over(done));
            assert!(burst.trickles());
        }
        assert!(!burst.is_over(done + 2 * much));
        assert!(!burst.trickles(), "it is a busy time again");
    }

    #[test]
    fn what_goes_on_slowly_is_no_burst() {
        let much =
            limits::QUIET_PART * (limits::BURST_STATEMENTS_MIN + limits::QUIET_STATEMENTS_MAX);
        let mut burst = Burst::default();
        assert!(!burst.is_over(much));
        let slow = much / limits::QUIET_PART;
        assert!(burst.is_over(much + slow));
        assert!(
            !burst.is_over(much + 2 * slow),
            "the same pace is a busy time now"
        );
        assert!(burst.is_still_over(), "but no busier than it was");
        assert!(!burst.is_over(much + 4 * slow));
        assert!(!burst.is_still_over());
    }
}
