//! When a worker claims, and for whom. The scrapers and the callbacks share it.
//!
//! A worker makes large claims while many of its slots are free, and small ones when a look has seen work. When most of its slots
//! are taken it also watches, often, for accounts that have hardly anything in flight: those are claimed for first, into the
//! free slots and into spare ones that nobody else gets. Without that, whoever has many slow pages holds every slot, and each
//! one that comes free goes to a row of the same account that stood in the order before (it may have waited for its host).

use trawl_core::limits::scrape::{LINGER_LOOKS, RING_EVERY_MS, WATCH_EVERY_MS, linger_ms};

/// How many a worker may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Slots for everybody.
    pub(crate) in_flight_max: usize,
    /// Asked for in one claim.
    pub(crate) claimed_max: usize,
    /// Slots beside those, for accounts with hardly anything in flight.
    pub(crate) spare_max: usize,
}

/// What to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Claim so many, best first.
    Claim(usize),
    /// Claim so many of accounts with hardly anything in flight.
    ClaimSpare(usize),
    /// See after this many milliseconds whether anything can be claimed.
    Look { after_ms: u64 },
    /// See after this many milliseconds whether such an account has something to claim.
    Watch { after_ms: u64 },
}

/// What is known of the queue, and what is under way to know more.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and every combination of them occurs"
)]
pub(crate) struct Claims {
    sizes: Sizes,
    /// The last claim got less than it asked for: the next one waits for a sign that there is more.
    dry: bool,
    /// A look has just seen work waiting: a claim is worth it although only a few slots are free.
    claim_due: bool,
    /// A look has just seen work of an account with hardly anything in flight.
    spare_due: bool,
    claiming: bool,
    /// Looks under way, and whether one of them looks at once.
    looks: u32,
    looks_now: bool,
    look_due: bool,
    looks_in_vain: u32,
    watching: bool,
}

impl Claims {
    pub(crate) fn new(sizes: Sizes) -> Self {
        Self {
            sizes,
            dry: false,
            claim_due: false,
            spare_due: false,
            claiming: false,
            looks: 0,
            looks_now: false,
            look_due: false,
            looks_in_vain: 0,
            watching: false,
        }
    }

    /// What to start next while `held` are in flight; to be asked until there is nothing. `is_idle`: nothing is in flight or on
    /// its way to the database.
    pub(crate) fn next(&mut self, held: usize, is_idle: bool) -> Option<Step> {
        if self.claiming {
            return None;
        }
        let Sizes {
            in_flight_max,
            claimed_max,
            spare_max,
        } = self.sizes;
        let free = in_flight_max.saturating_sub(held);
        let spare = (in_flight_max + spare_max).saturating_sub(held);
        if self.spare_due && spare > 0 {
            self.spare_due = false;
            self.claiming = true;
            Some(Step::ClaimSpare(spare))
        } else if !self.dry && (free >= claimed_max || (free > 0 && self.claim_due)) {
            self.claim_due = false;
            self.claiming = true;
            Some(Step::Claim(free.min(claimed_max)))
        } else if free < claimed_max && spare > 0 && !self.watching {
            self.watching = true;
            Some(Step::Watch {
                after_ms: WATCH_EVERY_MS,
            })
        } else {
            self.next_look(is_idle)
        }
    }

    fn next_look(&mut self, is_idle: bool) -> Option<Step> {
        let after_ms = if self.dry && self.look_due && !self.looks_now {
            self.look_due = false;
            self.looks_now = true;
            0
        } else if self.looks == 0 && !is_idle {
            // Others bring work too, a ring finds every worker busy, and hosts that keep a pace become ready by time alone.
            RING_EVERY_MS
        } else if self.looks == 0 && self.looks_in_vain < LINGER_LOOKS {
            linger_ms(self.looks_in_vain)
        } else {
            return None;
        };
        self.looks += 1;
        Some(Step::Look { after_ms })
    }

    /// A claim that was not one of ours begins or ends, and none may be made beside it.
    pub(crate) fn hold(&mut self, is_held: bool) {
        self.claiming = is_held;
    }

    /// A claim came back, unless it failed.
    pub(crate) fn claimed(&mut self, asked: usize, got: Option<usize>) {
        self.claiming = false;
        if let Some(got) = got {
            self.dry = got < asked;
            self.got(got);
        }
    }

    /// A claim for accounts with hardly anything in flight came back.
    pub(crate) fn claimed_spare(&mut self, got: usize) {
        self.claiming = false;
        self.got(got);
    }

    fn got(&mut self, got: usize) {
        if got > 0 {
            self.looks_in_vain = 0;
        }
    }

    /// A look came back. `is_in_vain`: nothing is in flight, and nothing is about to be.
    pub(crate) fn looked(&mut self, at_once: bool, is_waiting: bool, is_in_vain: bool) {
        self.looks -= 1;
        self.looks_now &= !at_once;
        self.claim_due = is_waiting;
        self.dry = !is_waiting;
        if is_in_vain {
            self.looks_in_vain += 1;
        }
    }

    /// A look for accounts with hardly anything in flight came back.
    pub(crate) fn watched(&mut self, is_waiting: bool) {
        self.watching = false;
        self.spare_due = is_waiting;
    }

    /// Something ended, so that a row may start that could not before.
    pub(crate) fn ended(&mut self) {
        self.look_due = true;
    }

    pub(crate) fn is_claiming(&self) -> bool {
        self.claiming
    }

    /// A look or a claim is under way.
    pub(crate) fn is_under_way(&self) -> bool {
        self.claiming || self.looks > 0 || self.watching
    }

    /// There was nothing more to claim when it was last tried.
    pub(crate) fn is_dry(&self) -> bool {
        self.dry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes {
        in_flight_max: 32,
        claimed_max: 16,
        spare_max: 8,
    };
    fn steps(claims: &mut Claims, held: usize) -> Vec<Step> {
        std::iter::from_fn(|| claims.next(held, held == 0)).collect()
    }

    #[test]
    fn while_slots_are_free_claims_are_large() {
        let mut claims = Claims::new(SIZES);
        assert_eq!(steps(&mut claims, 0), [Step::Claim(16)]);
        claims.claimed(16, Some(16));
        assert_eq!(steps(&mut claims, 16), [Step::Claim(16)]);
    }

    #[test]
    fn few_free_slots_wait_for_a_look() {
        let mut claims = Claims::new(SIZES);
        let looks = [Step::Watch { after_ms: 20 }, Step::Look { after_ms: 50 }];
        assert_eq!(steps(&mut claims, 30), looks);
        claims.looked(false, true, false);
        assert_eq!(steps(&mut claims, 30), [Step::Claim(2)]);
    }

    #[test]
    fn a_quiet_account_comes_first_whether_or_not_slots_are_free() {
        for (held, asked) in [(20, 20), (31, 9), (32, 8), (39, 1)] {
            let mut claims = Claims::new(SIZES);
            steps(&mut claims, held);
            claims.looked(false, true, false);
            claims.watched(true);
            assert_eq!(steps(&mut claims, held), [Step::ClaimSpare(asked)]);
        }
        let mut claims = Claims::new(SIZES);
        assert!(
            steps(&mut claims, 40)
                .iter()
                .all(|step| { !matches!(step, Step::Watch { .. } | Step::ClaimSpare(_)) })
        );
    }

    #[test]
    fn what_ended_is_looked_after_at_once_when_all_was_claimed() {
        let mut claims = Claims::new(SIZES);
        steps(&mut claims, 0);
        claims.claimed(16, Some(3));
        assert_eq!(steps(&mut claims, 3), [Step::Look { after_ms: 50 }]);
        claims.ended();
        assert_eq!(steps(&mut claims, 2), [Step::Look { after_ms: 0 }]);
        claims.ended();
        assert_eq!(steps(&mut claims, 1), [], "one at a time");
    }

    #[test]
    fn with_nothing_to_do_it_lingers_and_ends() {
        let mut claims = Claims::new(SIZES);
        assert_eq!(steps(&mut claims, 0), [Step::Claim(16)]);
        claims.claimed(16, Some(0));
        for after_ms in [3, 6, 12, 24, 30, 30, 30, 30] {
            assert_eq!(steps(&mut claims, 0), [Step::Look { after_ms }]);
            claims.looked(false, false, true);
        }
        assert_eq!(steps(&mut claims, 0), []);
        assert!(!claims.is_under_way());
    }
}
