//! Every allowed transition of a message, in one table. What is not here does not exist; the conformance suite holds the
//! store to it.

use crate::state::State;

/// What moves a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A worker takes it; the lease rises.
    Claim,
    /// The worker reports a result.
    Finish,
    /// The worker reports an error that trying again cannot help, or the last attempt.
    GiveUp,
    /// The worker reports an error worth another attempt.
    RetryLater,
    /// The worker gives it back: at a graceful stop, or because a host may not be asked yet.
    Release,
    /// Its lease expired.
    Rescue,
    /// Its lease expired for the third time.
    Poison,
    /// Its owner withdraws it.
    Cancel,
    /// Its owner asks for it again.
    AskAgain,
}

/// `(from, cause, to)`.
pub const TRANSITIONS: &[(State, Cause, State)] = &[
    (State::Queued, Cause::Claim, State::Processing),
    (State::Queued, Cause::Cancel, State::Cancelled),
    (State::Processing, Cause::Finish, State::Done),
    (State::Processing, Cause::GiveUp, State::Failed),
    (State::Processing, Cause::RetryLater, State::Queued),
    (State::Processing, Cause::Release, State::Queued),
    (State::Processing, Cause::Rescue, State::Queued),
    (State::Processing, Cause::Poison, State::Failed),
    (State::Processing, Cause::Cancel, State::Cancelled),
    (State::Done, Cause::AskAgain, State::Queued),
    (State::Failed, Cause::AskAgain, State::Queued),
    (State::Cancelled, Cause::AskAgain, State::Queued),
];

/// Where `cause` takes a message in `from`; `None` when it must not happen.
#[must_use]
pub fn next(from: State, cause: Cause) -> Option<State> {
    TRANSITIONS
        .iter()
        .find(|(f, c, _)| *f == from && *c == cause)
        .map(|(_, _, to)| *to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_leads_to_one_state() {
        for (i, (from, cause, _)) in TRANSITIONS.iter().enumerate() {
            assert!(
                !TRANSITIONS[..i]
                    .iter()
                    .any(|(f, c, _)| f == from && c == cause)
            );
        }
    }

    #[test]
    fn only_the_owner_leaves_a_terminal_state() {
        for (from, cause, _) in TRANSITIONS {
            assert_eq!(from.is_terminal(), *cause == Cause::AskAgain);
        }
        assert_eq!(next(State::Done, Cause::Finish), None);
        assert_eq!(next(State::Queued, Cause::Finish), None);
    }
}
