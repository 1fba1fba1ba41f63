//! The retry budget: retries are a share of the requests, so that a dying fleet is not asked for twice the work.

/// Counts requests and retries over a sliding window of ten slices. Times are milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct RetryBudget {
    slices: [(u64, u32, u32); SLICES],
    slice_ms: u64,
    reserve: u32,
}

const SLICES: usize = 10;

impl RetryBudget {
    /// A budget over `window_ms`; `reserve` retries are always allowed within it.
    #[must_use]
    pub(crate) fn new(window_ms: u64, reserve: u32) -> Self {
        Self {
            slices: [(0, 0, 0); SLICES],
            slice_ms: (window_ms / SLICES as u64).max(1),
            reserve,
        }
    }

    /// A request came.
    pub(crate) fn request(&mut self, now_ms: u64) {
        self.slice(now_ms).1 += 1;
    }

    /// May there be a retry now? It is counted if so. `percent` is the share of requests.
    pub(crate) fn retry(&mut self, now_ms: u64, percent: u32) -> bool {
        self.slice(now_ms);
        let newest = now_ms / self.slice_ms;
        let recent = self
            .slices
            .iter()
            .filter(|slice| slice.0 + SLICES as u64 > newest);
        let (requests, retries) = recent.fold((0_u64, 0_u64), |(requests, retries), slice| {
            (requests + u64::from(slice.1), retries + u64::from(slice.2))
        });
        // Nothing at all may be repeated at 0 %: then the reserve is switched off as well.
        let allowed =
            percent > 0 && retries < requests * u64::from(percent) / 100 + u64::from(self.reserve);
        if allowed {
            self.slice(now_ms).2 += 1;
        }
        allowed
    }

    fn slice(&mut self, now_ms: u64) -> &mut (u64, u32, u32) {
        let number = now_ms / self.slice_ms;
        let place = usize::try_from(number % SLICES as u64).unwrap_or(0);
        let slice = &mut self.slices[place];
        if slice.0 != number {
            *slice = (number, 0, 0);
        }
        slice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_service_may_spend_the_reserve_and_no_more() {
        let mut budget = RetryBudget::new(10_000, 5);
        budget.request(0);
        assert_eq!((0..20).filter(|_| budget.retry(0, 20)).count(), 5);
        assert!(!budget.retry(9_999, 20));
        assert!(budget.retry(10_000, 20), "the window has passed");
    }

    #[test]
    fn a_busy_service_may_repeat_its_share() {
        let mut budget = RetryBudget::new(10_000, 0);
        for now in 0..1_000 {
            budget.request(now);
        }
        assert_eq!((0..1_000).filter(|_| budget.retry(1_000, 20)).count(), 200);
    }

    #[test]
    fn requests_of_long_ago_pay_for_nothing() {
        let mut budget = RetryBudget::new(10_000, 0);
        for _ in 0..1_000 {
            budget.request(0);
        }
        assert!(budget.retry(9_999, 20));
        // Their slices lie there still: nothing came since that would have taken their place.
        assert!(!budget.retry(15_000, 20));
    }

    #[test]
    fn at_zero_percent_nothing_is_repeated() {
        let mut budget = RetryBudget::new(10_000, 5);
        budget.request(0);
        assert!(!budget.retry(0, 0));
    }
}
