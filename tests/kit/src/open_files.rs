//! The limit on open files of the test's own process: a test with thousands of connections holds their other ends.

/// Raises the limit to at least `wanted`.
///
/// # Panics
/// With what to do, when the system does not allow it.
#[allow(
    unsafe_code,
    reason = "getrlimit(2) and setrlimit(2) have no safe form in the standard library"
)]
pub fn allow(wanted: u64) {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a live value of the type that the call fills.
    let read = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    assert_eq!(read, 0, "the limit on open files can't be read");
    if limit.rlim_cur >= wanted {
        return;
    }
    limit.rlim_max = limit.rlim_max.max(wanted);
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the pointer is to a live value of the type that the call reads.
    let written = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    assert_eq!(
        written, 0,
        "this test needs {wanted} open files: raise the hard limit (ulimit -Hn {wanted})"
    );
}
