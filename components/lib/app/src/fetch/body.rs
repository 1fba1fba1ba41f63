use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use trawl_core::fetch_policy::FetchCode;
use trawl_core::limits::scrape::{
    BODY_BYTES_FREE, LARGE_BODY_BYTES_MIN, LARGE_BODY_EVERY_MS, WIRE_BYTES_MAX,
};

use super::FetchError;
use crate::ports::{Body, Clock};
use crate::slots::{Slot, Slots};

/// A place among the large bodies, and what came since it was last looked at: whoever holds one has to use it.
struct Place<'s> {
    _slot: Slot<'s>,
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

/// Reads a page's body as sent, up to [`WIRE_BYTES_MAX`]. Beyond [`BODY_BYTES_FREE`] it waits for one of `large`, and has to come
/// at a least rate from there on.
pub(super) async fn read_body(
    clock: &impl Clock,
    headers: &HeaderMap,
    mut body: impl Body,
    large: &Slots,
) -> Result<Vec<u8>, FetchError> {
    let stated = stated_length(headers);
    if stated.is_some_and(|length| length > WIRE_BYTES_MAX as u64) {
        return Err(FetchCode::TooLarge.into());
    }
    let mut whole = Vec::new();
    let mut place: Option<Place<'_>> = None;
    while let Some(piece) = body.chunk().await {
        let piece = piece.map_err(|error| FetchError::of_exchange(&error, true))?;
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
                _slot: large.take().await,
                since_ms: clock.monotonic_ms(),
                bytes: 0,
            });
        }
    }
    if stated.is_some_and(|length| length > whole.len() as u64) {
        return Err(FetchCode::ConnectionLost.into());
    }
    Ok(whole)
}

/// Reads at most `bytes_max` bytes and cuts the rest off.
pub(super) async fn read_beginning(
    mut body: impl Body,
    bytes_max: usize,
) -> Result<Vec<u8>, FetchError> {
    let mut whole = Vec::new();
    while let Some(piece) = body.chunk().await {
        let piece = piece.map_err(|error| FetchError::of_exchange(&error, true))?;
        let room = bytes_max - whole.len();
        whole.extend_from_slice(&piece[..piece.len().min(room)]);
        if whole.len() == bytes_max {
            break;
        }
    }
    Ok(whole)
}

/// Of 64 bits also where we run, on 32: a length that does not fit would else count as not stated.
fn stated_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}
