//! Which look-ups may run at once. Pure: the time is an argument.
//!
//! A look-up that is not answered holds its thread for 20 s and more, and whoever may name hosts may name as many as they like
//! that have no name server. So places are given by what is known of a name:
//!
//! - one that was answered in the last hours may take any place: what works goes on working;
//! - any other leaves some of them free;
//! - one of a domain whose last look-up was not answered is asked only while hardly anything hangs.
//!
//! And each domain has a share, in which names that were answered count for themselves: dead names of a domain do not keep its good
//! ones from being asked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trawl_core::limits::outbound::{
    DNS_STANDINGS_MAX, DOMAIN_SILENT_MS, LOOKUPS_MAX, LOOKUPS_OF_NEW_NAMES_MAX,
    LOOKUPS_OF_SILENT_DOMAINS_MAX, LOOKUPS_PER_DOMAIN_MAX, LOOKUPS_PER_SILENT_DOMAIN_MAX,
    NAME_ANSWERED_MS,
};

/// The places of all look-ups, and what is known of names and domains.
#[derive(Default)]
pub(crate) struct Places {
    running: usize,
    domains: HashMap<Arc<str>, Domain>,
    /// Names that were answered, and when.
    answered: HashMap<Arc<str>, Instant>,
}

/// The look-ups of one domain.
#[derive(Default)]
struct Domain {
    known: usize,
    new: usize,
    silent_since: Option<Instant>,
}

impl Domain {
    fn is_silent(&self, now: Instant) -> bool {
        let silent_for = self.silent_since.map(|since| now.duration_since(since));
        silent_for.is_some_and(|age| age < Duration::from_millis(DOMAIN_SILENT_MS))
    }
}

/// A place that was taken. It has to be given back.
#[derive(Debug)]
pub(crate) struct Place {
    domain: Arc<str>,
    is_known: bool,
}

impl Places {
    /// A place for a look-up of `host`, if it may have one now.
    pub(crate) fn take(&mut self, host: &Arc<str>, now: Instant) -> Option<Place> {
        if self.running >= LOOKUPS_MAX {
            return None;
        }
        let is_known = self.is_known(host, now);
        let name = registrable(host);
        let found = self.domains.get(name);
        let is_free = match found {
            None => is_known || self.running < LOOKUPS_OF_NEW_NAMES_MAX,
            Some(domain) if is_known => domain.known < LOOKUPS_PER_DOMAIN_MAX,
            Some(domain) if domain.is_silent(now) => {
                domain.new < LOOKUPS_PER_SILENT_DOMAIN_MAX
                    && self.running < LOOKUPS_OF_SILENT_DOMAINS_MAX
            }
            Some(domain) => {
                domain.new < LOOKUPS_PER_DOMAIN_MAX && self.running < LOOKUPS_OF_NEW_NAMES_MAX
            }
        };
        if !is_free {
            return None;
        }
        let name: Arc<str> = Arc::from(name);
        let domain = self.domains.entry(Arc::clone(&name)).or_default();
        if is_known {
            domain.known += 1;
        } else {
            domain.new += 1;
        }
        self.running += 1;
        Some(Place {
            domain: name,
            is_known,
        })
    }

    /// Are all places taken, so that there is no use in asking for one?
    pub(crate) const fn are_full(&self) -> bool {
        self.running >= LOOKUPS_MAX
    }

    /// The look-up at `place` was answered in time with addresses of `host`.
    pub(crate) fn answered(&mut self, place: &Place, host: &Arc<str>, now: Instant) {
        if let Some(domain) = self.domains.get_mut(&place.domain) {
            domain.silent_since = None;
        }
        self.answered.insert(Arc::clone(host), now);
        if self.answered.len() > DNS_STANDINGS_MAX {
            self.forget_half_of_the_names();
        }
    }

    /// The look-up of `host` at `place` was not answered in time. A name that was answered before says nothing yet of its domain:
    /// once may be bad luck.
    pub(crate) fn silent(&mut self, place: &Place, host: &Arc<str>, now: Instant) {
        let was_known = self.answered.remove(host).is_some();
        if !was_known && let Some(domain) = self.domains.get_mut(&place.domain) {
            domain.silent_since = Some(now);
        }
    }

    /// The look-up at `place` has ended.
    pub(crate) fn give_back(&mut self, place: &Place, now: Instant) {
        self.running = self.running.saturating_sub(1);
        if let Some(domain) = self.domains.get_mut(&place.domain) {
            let count = if place.is_known {
                &mut domain.known
            } else {
                &mut domain.new
            };
            *count = count.saturating_sub(1);
            if domain.known + domain.new == 0 && !domain.is_silent(now) {
                self.domains.remove(&place.domain);
            }
        }
        if self.domains.len() > DNS_STANDINGS_MAX {
            // Only silent ones stay without a look-up. So many of them can't be told from a resolver that was away for a while.
            self.domains
                .retain(|_, domain| domain.known + domain.new > 0);
        }
    }

    fn is_known(&self, host: &str, now: Instant) -> bool {
        let age = self.answered.get(host).map(|at| now.duration_since(*at));
        age.is_some_and(|age| age < Duration::from_millis(NAME_ANSWERED_MS))
    }

    /// Those that were answered longest ago.
    fn forget_half_of_the_names(&mut self) {
        let mut times: Vec<Instant> = self.answered.values().copied().collect();
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        let median = *median;
        self.answered.retain(|_, at| *at > median);
    }
}

/// The domain that somebody registered and for whose names they answer; the whole name where there is none, as in a local network.
fn registrable(host: &str) -> &str {
    let host = host.strip_suffix('.').unwrap_or(host);
    psl::domain_str(host).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Arc<str> {
        Arc::from(text)
    }

    /// Takes places for names made of each number until none is given.
    fn fill(places: &mut Places, now: Instant, name: impl Fn(usize) -> String) -> Vec<Place> {
        let names = (0..10_000).map(|number| host(&name(number)));
        names.map_while(|name| places.take(&name, now)).collect()
    }

    #[test]
    fn a_domain_has_a_share_and_its_known_names_one_of_their_own() {
        let (mut places, now) = (Places::default(), Instant::now());
        let good = host("www.a.example");
        let place = places.take(&good, now).unwrap();
        places.answered(&place, &good, now);
        places.give_back(&place, now);
        let dead = fill(&mut places, now, |number| format!("x{number}.a.example."));
        assert_eq!(dead.len(), LOOKUPS_PER_DOMAIN_MAX);
        assert!(places.take(&good, now).is_some(), "what works is asked");
        assert!(places.take(&host("b.example"), now).is_some());
    }

    #[test]
    fn names_of_many_domains_leave_places_for_those_that_were_answered() {
        let (mut places, now) = (Places::default(), Instant::now());
        let good = host("www.good.example");
        let place = places.take(&good, now).unwrap();
        places.answered(&place, &good, now);
        places.give_back(&place, now);
        let dead = fill(&mut places, now, |number| format!("d{number}.example"));
        assert_eq!(dead.len(), LOOKUPS_OF_NEW_NAMES_MAX);
        assert!(places.take(&good, now).is_some());
        let later = now + Duration::from_millis(NAME_ANSWERED_MS);
        assert!(places.take(&good, later).is_none(), "it is new again");
    }

    #[test]
    fn a_domain_that_was_silent_is_asked_once_at_a_time_until_it_answers() {
        let (mut places, now) = (Places::default(), Instant::now());
        let name = |number: usize| host(&format!("x{number}.a.example"));
        let first = places.take(&name(0), now).unwrap();
        places.silent(&first, &name(0), now);
        places.give_back(&first, now);
        let second = places.take(&name(1), now).unwrap();
        assert!(places.take(&name(2), now).is_none());
        places.answered(&second, &name(1), now);
        assert!(places.take(&name(2), now).is_some());
        places.give_back(&second, now);
        // Beside many that hang it is not asked at all, for a while.
        let silent = places.take(&host("x.b.example"), now).unwrap();
        places.silent(&silent, &host("x.b.example"), now);
        places.give_back(&silent, now);
        let _hang: Vec<_> = (0..LOOKUPS_OF_SILENT_DOMAINS_MAX)
            .map(|number| places.take(&host(&format!("d{number}.example")), now))
            .collect();
        assert!(places.take(&host("y.b.example"), now).is_none());
        let later = now + Duration::from_millis(DOMAIN_SILENT_MS);
        assert!(places.take(&host("y.b.example"), later).is_some());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut places, now) = (Places::default(), Instant::now());
        for number in 0..=DNS_STANDINGS_MAX {
            let name = host(&format!("d{number}.example"));
            let at = now + Duration::from_millis(number as u64);
            let place = places.take(&name, at).unwrap();
            places.answered(&place, &name, at);
            places.give_back(&place, at);
        }
        assert!(places.answered.len() <= DNS_STANDINGS_MAX && places.domains.is_empty());
        let last = host(&format!("d{DNS_STANDINGS_MAX}.example"));
        assert!(places.is_known(&last, now), "the newest stay");
    }
}
