//! Gathering what is to be recorded, so that several share a statement. Workers count the time; this only decides.

/// What to do with what was gathered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Flush<T> {
    /// Record these, and tell [`Gathering::flushed`].
    Now(Vec<T>),
    /// Wait a moment for more, and tell [`Gathering::time_is_up`].
    Later,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    NotYet,
    Until,
    Over,
}

/// What waits for its statement. One statement is under way at a time: what comes while it commits shares the next one.
#[derive(Debug)]
pub(crate) struct Gathering<T> {
    gathered: Vec<T>,
    count_max: usize,
    bytes_max: usize,
    weigh: fn(&T) -> usize,
    wait: Wait,
    flushing: bool,
}

impl<T> Gathering<T> {
    /// No more than `count_max`, nor more than `bytes_max` by what they weigh, wait for each other; and no more bytes share a statement,
    /// unless one alone has them.
    pub(crate) const fn new(count_max: usize, bytes_max: usize, weigh: fn(&T) -> usize) -> Self {
        Self {
            gathered: Vec::new(),
            count_max,
            bytes_max,
            weigh,
            wait: Wait::NotYet,
            flushing: false,
        }
    }

    pub(crate) fn add(&mut self, one: T) {
        self.gathered.push(one);
    }

    pub(crate) fn len(&self) -> usize {
        self.gathered.len()
    }

    /// Nothing waits, and no statement is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.gathered.is_empty() && !self.flushing
    }

    /// What waits is as much as one statement may hold.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes() >= self.bytes_max
    }

    fn bytes(&self) -> usize {
        self.gathered.iter().map(self.weigh).sum()
    }

    /// What waits, without being told to.
    pub(crate) fn take(&mut self) -> Vec<T> {
        std::mem::take(&mut self.gathered)
    }

    /// What to start. `is_last`: there is nothing left to wait for.
    pub(crate) fn next(&mut self, is_last: bool) -> Option<Flush<T>> {
        if self.gathered.is_empty() || self.flushing {
            return None;
        }
        if is_last
            || self.gathered.len() >= self.count_max
            || self.wait == Wait::Over
            || self.is_full()
        {
            self.wait = Wait::NotYet;
            self.flushing = true;
            return Some(Flush::Now(self.take_some()));
        }
        if self.wait == Wait::NotYet {
            self.wait = Wait::Until;
            return Some(Flush::Later);
        }
        None
    }

    /// What one statement may hold.
    fn take_some(&mut self) -> Vec<T> {
        let mut bytes = 0;
        let some = self.gathered.iter().take_while(|one| {
            bytes += (self.weigh)(one);
            bytes <= self.bytes_max
        });
        let count = some.count().max(1).min(self.gathered.len());
        let rest = self.gathered.split_off(count);
        std::mem::replace(&mut self.gathered, rest)
    }

    /// The moment is over.
    pub(crate) fn time_is_up(&mut self) {
        self.wait = Wait::Over;
    }

    /// The statement came back.
    pub(crate) fn flushed(&mut self) {
        self.flushing = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathering(count_max: usize) -> Gathering<usize> {
        Gathering::new(count_max, 100, |bytes| *bytes)
    }

    #[test]
    fn the_first_waits_for_company_and_the_last_does_not() {
        let mut gathering = gathering(3);
        assert_eq!(gathering.next(true), None, "nothing to record");
        gathering.add(1);
        assert_eq!(gathering.next(false), Some(Flush::Later));
        assert_eq!(gathering.next(false), None, "one moment at a time");
        gathering.add(2);
        assert_eq!(gathering.next(true), Some(Flush::Now(vec![1, 2])));
    }

    #[test]
    fn what_comes_meanwhile_shares_the_next_statement() {
        let mut gathering = gathering(2);
        gathering.add(1);
        gathering.add(2);
        assert_eq!(gathering.next(false), Some(Flush::Now(vec![1, 2])));
        gathering.add(3);
        gathering.add(4);
        gathering.add(5);
        assert_eq!(gathering.next(true), None, "one statement at a time");
        gathering.flushed();
        assert_eq!(gathering.next(false), Some(Flush::Now(vec![3, 4, 5])));
        assert!(!gathering.is_idle(), "the statement is under way");
        gathering.flushed();
        assert!(gathering.is_idle());
    }

    #[test]
    fn the_moment_ends() {
        let mut gathering = gathering(9);
        gathering.add(1);
        assert_eq!(gathering.next(false), Some(Flush::Later));
        gathering.time_is_up();
        assert_eq!(gathering.next(false), Some(Flush::Now(vec![1])));
    }

    #[test]
    fn a_statement_holds_no_more_bytes_than_it_may() {
        let mut gathering = gathering(9);
        for bytes in [40, 40, 30, 200, 10] {
            gathering.add(bytes);
        }
        let mut flushed = Vec::new();
        while let Some(Flush::Now(some)) = gathering.next(true) {
            flushed.push(some);
            gathering.flushed();
        }
        assert_eq!(flushed, [vec![40, 40], vec![30], vec![200], vec![10]]);
        gathering.add(99);
        assert_eq!(gathering.next(false), Some(Flush::Later));
        gathering.add(1);
        assert_eq!(gathering.next(false), Some(Flush::Now(vec![99, 1])));
    }
}
