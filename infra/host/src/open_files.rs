//! How many files this process may have open: each connection is one, and the usual limit of 1,024 is below what the front
//! door lets in, and below what `trawl nodes` may be asked to open.

/// Raises the limit to what the system allows, and beyond it to `wanted` if this process may; gives back what it has now.
pub(crate) fn allow(wanted: u64) -> u64 {
    let Some(mut limit) = read() else {
        // Nothing is known, so nothing can be complained about.
        return u64::MAX;
    };
    let hard = limit.rlim_max;
    limit.rlim_max = hard.max(wanted);
    limit.rlim_cur = limit.rlim_max;
    if !write(&limit) {
        (limit.rlim_max, limit.rlim_cur) = (hard, hard);
        write(&limit);
    }
    self::limit().unwrap_or(u64::MAX)
}

/// The limit now; `None` when the system does not tell.
pub(crate) fn limit() -> Option<u64> {
    read().map(|limit| limit.rlim_cur)
}

#[expect(
    unsafe_code,
    reason = "getrlimit(2) has no safe form in the standard library"
)]
fn read() -> Option<libc::rlimit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a live value of the type that the call fills.
    let outcome = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    (outcome == 0).then_some(limit)
}

#[expect(
    unsafe_code,
    reason = "setrlimit(2) has no safe form in the standard library"
)]
fn write(limit: &libc::rlimit) -> bool {
    // SAFETY: the pointer is to a live value of the type that the call reads.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, std::ptr::from_ref(limit)) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_modestly_is_given() {
        assert!(allow(64) >= 64);
    }
}
