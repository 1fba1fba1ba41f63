//! How the body of a result is kept in the database.
//!
//! What a stored body *is* stands in [`trawl_wire::result`]: the JSON answer itself for types 1 and 3, the page
//! as UTF-8 for type 2. This module only makes it small. Page text shrinks three- to fivefold under LZ4, which
//! costs less time than writing the bytes it saves, and unpacks at memory speed when a result is read. A page that came as gzip
//! and is stored as it is stays as it came: the server has done that work already, and better.
//!
//! The codec's name is stored beside the body (`encoding`), so that another can come later.

use std::io::Read as _;

use trawl_core::limits::scrape::{PACKED_BYTES_MIN, RESULT_BYTES_MAX};

/// The body as it is.
pub const IDENTITY: &str = "identity";
/// One LZ4 block behind its unpacked length (32 bits, little endian).
pub const LZ4: &str = "lz4";
/// One member of gzip (RFC 1952).
pub const GZIP: &str = "gzip";

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

/// The name of the codec that was chosen, and the encoded body. `gzip`: what unpacks to `body`, when that is at hand.
#[must_use]
pub fn encode(body: Vec<u8>, gzip: Option<Vec<u8>>) -> (&'static str, Vec<u8>) {
    if body.len() < PACKED_BYTES_MIN {
        return (IDENTITY, body);
    }
    let (name, packed) = match gzip {
        Some(packed) => (GZIP, packed),
        None => (LZ4, lz4_flex::block::compress_prepend_size(&body)),
    };
    // Saving less than an eighth is not worth the unpacking at each reading.
    if packed.len() > body.len() - body.len() / 8 {
        return (IDENTITY, body);
    }
    (name, packed)
}

/// The body that was given to [`encode`].
///
/// # Errors
/// [`CodecError`]; the claimed length is checked before anything is allocated.
pub fn decode(encoding: &str, body: Vec<u8>) -> Result<Vec<u8>, CodecError> {
    match encoding {
        IDENTITY => Ok(body),
        LZ4 => {
            let (length, packed) =
                lz4_flex::block::uncompressed_size(&body).map_err(|error| damaged(&error))?;
            if length > RESULT_BYTES_MAX {
                return Err(CodecError::Damaged(format!("it claims {length} bytes")));
            }
            lz4_flex::block::decompress(packed, length).map_err(|error| damaged(&error))
        }
        GZIP => {
            let mut unpacked = Vec::new();
            flate2::bufread::GzDecoder::new(&body[..])
                .take(RESULT_BYTES_MAX as u64 + 1)
                .read_to_end(&mut unpacked)
                .map_err(|error| damaged(&error))?;
            if unpacked.len() > RESULT_BYTES_MAX {
                return Err(CodecError::Damaged(
                    "it is larger than any result".to_owned(),
                ));
            }
            Ok(unpacked)
        }
        other => Err(CodecError::UnknownEncoding(other.to_owned())),
    }
}

fn damaged(error: &impl ToString) -> CodecError {
    CodecError::Damaged(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn text_becomes_smaller_and_comes_back() {
        let text = "<p>The same words, over and over.</p>\n"
            .repeat(500)
            .into_bytes();
        let (encoding, packed) = encode(text.clone(), None);
        assert_eq!(encoding, LZ4);
        assert!(packed.len() < text.len() / 10, "{}", packed.len());
        assert_eq!(decode(encoding, packed), Ok(text));
    }

    #[test]
    fn gzip_that_is_at_hand_is_kept_and_comes_back() {
        let text = "<p>The same words, over and over.</p>\n"
            .repeat(500)
            .into_bytes();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&text).unwrap();
        let gzip = encoder.finish().unwrap();
        assert_eq!(
            encode(text.clone(), Some(gzip.clone())),
            (GZIP, gzip.clone())
        );
        assert_eq!(decode(GZIP, gzip.clone()), Ok(text));
        let cut = gzip[..gzip.len() - 9].to_vec();
        assert!(matches!(decode(GZIP, cut), Err(CodecError::Damaged(_))));
        // Stored by the server without being made smaller.
        let dense = vec![b'x'; 4_096];
        assert_eq!(
            encode(dense.clone(), Some(dense.clone())),
            (IDENTITY, dense)
        );
    }

    #[test]
    fn what_claims_to_be_larger_than_any_result_is_refused() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&vec![0; RESULT_BYTES_MAX + 1]).unwrap();
        let bomb = encoder.finish().unwrap();
        assert!(matches!(decode(GZIP, bomb), Err(CodecError::Damaged(_))));
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
        assert_eq!(encode(noise.clone(), None), (IDENTITY, noise));
        assert_eq!(encode(b"{}".to_vec(), None), (IDENTITY, b"{}".to_vec()));
        assert_eq!(decode(IDENTITY, b"{}".to_vec()), Ok(b"{}".to_vec()));
    }

    #[test]
    fn damage_is_an_error_and_never_an_allocation() {
        let (_, mut packed) = encode(vec![b'a'; 10_000], None);
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
