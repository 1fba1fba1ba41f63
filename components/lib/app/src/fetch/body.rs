//! Reading a page's body, within its limits of size and time.

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use http::response::Parts;
use trawl_core::fetch_policy::FetchCode;
use trawl_core::ids::AccountId;
use trawl_core::limits::scrape::{
    BODY_BYTES_FREE, LARGE_BODY_BYTES_MIN, LARGE_BODY_EVERY_MS, PIECES_IN_A_ROW, WIRE_BYTES_MAX,
};

use super::FetchError;
use crate::decode::{Encoding, Unpacked, unpack};
use crate::ports::{Body, Clock};
use crate::slots::{Slot, Slots};

/// A place among the large bodies, and what came since it was last looked at: whoever holds one has to use it.
struct Place<'s> {
    slot: Slot<'s, AccountId>,
    since_ms: u64,
    bytes: usize,
}

impl Place<'_> {
    fn brought(&mut self, bytes: usize, now_ms: u64) -> Result<(), FetchError> {
        self.bytes += bytes;
        if now_ms.saturating_sub(self.since_ms) < LARGE_BODY_EVERY_MS {
            return Ok(());
        }
        if self.bytes < LARGE_BODY_BYTES_MIN {
            return Err(FetchCode::TimeoutBetweenBytes.into());
        }
        (self.since_ms, self.bytes) = (now_ms, 0);
        Ok(())
    }
}

/// Counts the pieces of a body. A server that sends many small ones without a pause has always one here, and whoever reads them would never
/// let the other jobs of the instance go on.
#[derive(Default)]
struct Pieces(u32);

impl Pieces {
    async fn one_more(&mut self, clock: &impl Clock) {
        self.0 += 1;
        if self.0.is_multiple_of(PIECES_IN_A_ROW) {
            clock.yield_now().await;
        }
    }
}

/// A body as it came. A large one keeps its place until it is unpacked.
pub(super) struct Packed<'s> {
    bytes: Vec<u8>,
    /// What the server states, where the body ended before that.
    stated: Option<u64>,
    _place: Option<Slot<'s, AccountId>>,
}

impl<'s> Packed<'s> {
    fn of(bytes: Vec<u8>, stated: Option<u64>, place: Option<Place<'s>>) -> Self {
        let stated = stated.filter(|length| *length > bytes.len() as u64);
        Self {
            bytes,
            stated,
            _place: place.map(|place| place.slot),
        }
    }

    /// Takes the encodings off. Some servers pack a page and state the length that it had before; browsers show such a page, too. It
    /// is whole when just so much comes out.
    pub(super) async fn unpack(
        self,
        clock: &impl Clock,
        encodings: &[Encoding],
    ) -> Result<Unpacked, FetchError> {
        let unpacked = unpack(clock, encodings, self.bytes).await;
        let Some(stated) = self.stated else {
            return Ok(unpacked?);
        };
        unpacked
            .ok()
            .filter(|unpacked| unpacked.body.len() as u64 == stated)
            .ok_or_else(|| FetchCode::ConnectionLost.into())
    }
}

/// Reads a page's body as sent, up to [`WIRE_BYTES_MAX`]. Beyond [`BODY_BYTES_FREE`] it waits for one of `large` that its account may
/// have, and has to come at a least rate from there on.
pub(super) async fn read_body<'s>(
    clock: &impl Clock,
    head: &Parts,
    mut body: impl Body,
    account: AccountId,
    large: &'s Slots<AccountId>,
) -> Result<Packed<'s>, FetchError> {
    let stated = stated_length(head);
    if stated.is_some_and(|length| length > WIRE_BYTES_MAX as u64) {
        return Err(FetchCode::TooLarge.into());
    }
    let mut whole = Vec::new();
    let mut place: Option<Place<'_>> = None;
    let mut pieces = Pieces::default();
    while let Some(piece) = next_piece(&mut body, stated, whole.len()).await? {
        if whole.len() + piece.len() > WIRE_BYTES_MAX {
            return Err(FetchCode::TooLarge.into());
        }
        if let Some(place) = &mut place {
            place.brought(piece.len(), clock.monotonic_ms())?;
        }
        if whole.is_empty() {
            // Most pages are one piece: it is taken over, not copied.
            whole = Vec::from(piece);
            // What the server states is only a hint, so it reserves no more than everybody may have.
            whole.reserve(
                (stated.unwrap_or_default().min(BODY_BYTES_FREE as u64) as usize)
                    .saturating_sub(whole.len()),
            );
        } else {
            whole.extend_from_slice(&piece);
        }
        if whole.len() > BODY_BYTES_FREE && place.is_none() {
            place = Some(Place {
                slot: large.take_for(account).await,
                since_ms: clock.monotonic_ms(),
                bytes: 0,
            });
        }
        pieces.one_more(clock).await;
    }
    Ok(Packed::of(whole, stated, place))
}

/// Reads at most `bytes_max` bytes and cuts the rest off.
pub(super) async fn read_beginning(
    clock: &impl Clock,
    head: &Parts,
    mut body: impl Body,
    bytes_max: usize,
) -> Result<Packed<'static>, FetchError> {
    let stated = stated_length(head);
    let mut whole = Vec::new();
    let mut pieces = Pieces::default();
    while let Some(piece) = next_piece(&mut body, stated, whole.len()).await? {
        let room = bytes_max - whole.len();
        whole.extend_from_slice(&piece[..piece.len().min(room)]);
        if whole.len() == bytes_max {
            return Ok(Packed::of(whole, None, None));
        }
        pieces.one_more(clock).await;
    }
    Ok(Packed::of(whole, stated, None))
}

/// The next piece of a body of which so many bytes were `read`; `None` at its end. A connection that is lost before the stated length
/// came ends it, too: [`Packed::unpack`] tells whether something is missing.
async fn next_piece(
    body: &mut impl Body,
    stated: Option<u64>,
    read: usize,
) -> Result<Option<Bytes>, FetchError> {
    match body.chunk().await.transpose() {
        Ok(piece) => Ok(piece),
        Err(error) => match FetchError::of_exchange(&error, true) {
            lost if lost.code == FetchCode::ConnectionLost
                && stated.is_some_and(|length| length > read as u64) =>
            {
                Ok(None)
            }
            error => Err(error),
        },
    }
}

/// Of 64 bits also where we run, on 32: a length that does not fit would else count as not stated. With this status there is no body,
/// whatever is stated.
fn stated_length(head: &Parts) -> Option<u64> {
    if head.status == StatusCode::NO_CONTENT {
        return None;
    }
    head.headers
        .get(CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::SendError;
    use crate::testing::{VirtualClock, run};

    /// A body that has always a piece.
    struct Ready(u32);

    impl Body for Ready {
        async fn chunk(&mut self) -> Option<Result<Bytes, SendError>> {
            self.0 = self.0.checked_sub(1)?;
            Some(Ok(Bytes::from_static(b"x")))
        }
    }

    #[test]
    fn others_go_on_between_the_pieces_of_a_body() {
        let clock = VirtualClock::default();
        let (head, ()) = http::Response::new(()).into_parts();
        run(&clock, async {
            let large = Slots::shared(1, 1);
            for count in [1_u32, 10, 1_000] {
                let before = clock.yields();
                let read = read_body(&clock, &head, Ready(count), AccountId(1), &large).await;
                assert_eq!(read.unwrap().bytes.len(), count as usize);
                let yields = clock.yields() - before;
                assert_eq!(yields, u64::from(count / PIECES_IN_A_ROW), "{count}");
                let read = read_beginning(&clock, &head, Ready(count), 500).await;
                assert_eq!(read.unwrap().bytes.len(), count.min(500) as usize);
                assert!(clock.yields() - before >= 2 * yields.min(30));
            }
        });
    }
}
