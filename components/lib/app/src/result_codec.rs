//! How the body of a result is kept in the database.
//!
//! What a stored body *is* stands in [`trawl_wire::result`]: the JSON answer itself for types 1 and 3, the page
//! as UTF-8 for type 2. This module only makes it small. Page text shrinks three- to fivefold under LZ4, which
//! costs less time than writing the bytes it saves, and unpacks at memory speed when a result is read.
//!
//! The codec's name is stored beside the body (`encoding`), so that another can come later.

use trawl_core::limits::scrape::{PACKED_BYTES_MIN, RESULT_BYTES_MAX};

/// The body as it is.
pub const IDENTITY: &str = "identity";
/// One LZ4 block behind its unpacked length (32 bits, little endian).
pub const LZ4: &str = "lz4";

/// A stored body that can't be read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Written by a later version, or not by us.
    #[error("results encoded as {0:?} can't be read by this version")]
    UnknownEncoding(String),
    /// The bytes do not decode, or claim to be larger than any result.
    #[error("the stored result is damaged: {0}")]
    Damaged(String),
}

/// The name of the codec that was chosen, and the encoded body.
#[must_use]
pub fn encode(body: Vec<u8>) -> (&'static str, Vec<u8>) {
    if body.len() < PACKED_BYTES_MIN {
        return (IDENTITY, body);
    }
    let packed = lz4_flex::block::compress_prepend_size(&body);
    // Saving less than an eighth is not worth the unpacking at each reading.
    if packed.len() > body.len() - body.len() / 8 {
        return (IDENTITY, body);
    }
    (LZ4, packed)
}

/// The body that was given to [`encode`].
///
/// # Errors
/// [`CodecError`]; the claimed length is checked before anything is allocated.
pub fn decode(encoding: &str, body: Vec<u8>) -> Result<Vec<u8>, CodecError> {
    match encoding {
        IDENTITY => Ok(body),
        LZ4 => {
            let (length, packed) = lz4_flex::block::uncompressed_size(&body).map_err(damaged)?;
            if length > RESULT_BYTES_MAX {
                return Err(CodecError::Damaged(format!("it claims {length} bytes")));
            }
            lz4_flex::block::decompress(packed, length).map_err(damaged)
        }
        other => Err(CodecError::UnknownEncoding(other.to_owned())),
    }
}

fn damaged(error: lz4_flex::block::DecompressError) -> CodecError {
    CodecError::Damaged(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_smaller_and_comes_back() {
        let text = "<p>The same words, over and over.</p>\n"
            .repeat(500)
            .into_bytes();
        let (encoding, packed) = encode(text.clone());
        assert_eq!(encoding, LZ4);
        assert!(packed.len() < text.len() / 10, "{}", packed.len());
        assert_eq!(decode(encoding, packed), Ok(text));
    }

    #[test]
    fn short_and_dense_bodies_stay_as_they_are() {
        let mut state = 1_u32;
        let noise: Vec<u8> = (0..4096)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        assert_eq!(encode(noise.clone()), (IDENTITY, noise));
        assert_eq!(encode(b"{}".to_vec()), (IDENTITY, b"{}".to_vec()));
        assert_eq!(decode(IDENTITY, b"{}".to_vec()), Ok(b"{}".to_vec()));
    }

    #[test]
    fn damage_is_an_error_and_never_an_allocation() {
        let (_, mut packed) = encode(vec![b'a'; 10_000]);
        packed.truncate(packed.len() - 3);
        assert!(matches!(decode(LZ4, packed), Err(CodecError::Damaged(_))));
        assert!(matches!(
            decode(LZ4, vec![255; 8]),
            Err(CodecError::Damaged(_))
        ));
        assert!(matches!(decode(LZ4, vec![]), Err(CodecError::Damaged(_))));
        assert_eq!(
            decode("zip", vec![]),
            Err(CodecError::UnknownEncoding("zip".to_owned()))
        );
    }
}
