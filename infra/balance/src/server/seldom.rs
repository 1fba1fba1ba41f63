//! What happens many times a second and is to be logged seldom.

use tokio::time::{Duration, Instant};

/// Lets through the first of many alike, and then one in each `pause`.
#[derive(Debug)]
pub(super) struct Seldom {
    pause: Duration,
    last: Option<Instant>,
    count: u64,
}

impl Seldom {
    /// Nothing has happened yet.
    pub(super) const fn new(pause: Duration) -> Self {
        Self {
            pause,
            last: None,
            count: 0,
        }
    }

    /// It happened. When it is time to say so, how often since that was last said.
    pub(super) fn count(&mut self, now: Instant) -> Option<u64> {
        self.count += 1;
        if self
            .last
            .is_some_and(|last| now.duration_since(last) < self.pause)
        {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_at_once_and_the_others_once_in_a_while_with_their_number() {
        let mut seldom = Seldom::new(Duration::from_secs(60));
        let start = Instant::now();
        let said: Vec<_> = (0..2_500)
            .filter_map(|number| {
                let count = seldom.count(start + Duration::from_millis(number * 50))?;
                Some((number, count))
            })
            .collect();
        assert_eq!(said, [(0, 1), (1_200, 1_200), (2_400, 1_200)]);
    }
}
