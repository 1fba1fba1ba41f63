//! Unpacking a response body: content encodings taken off one by one, with what comes out counted while it comes.

use std::error::Error;
use std::io::{ErrorKind, Read};

use flate2::{Crc, Decompress, FlushDecompress, Status};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use trawl_core::limits::scrape::{
    DECODED_BYTES_MAX, ENCODINGS_MAX, MEMBERS_MAX, RATIO_FREE_BYTES, RATIO_MAX,
    ZSTD_WINDOW_BYTES_MAX,
};

use crate::patience::Breath;
use crate::ports::Clock;

/// What we ask servers for, in the order we like it.
pub const ACCEPT_ENCODING: &str = "gzip, deflate, br, zstd";

/// Unpacked between two looks at the limits and the clock.
const PIECE_BYTES: usize = 64 * 1024;
/// Packed bytes of deflate that are read between two looks at the clock: what they say need not make anything come out. Most pages
/// are no longer, and are unpacked at one go.
const DEFLATED_PIECE_BYTES: usize = 64 * 1024;
/// The same for brotli, where a kilobyte can describe hundreds of tables: what its decoder reads at once.
const BROTLI_PIECE_BYTES: usize = 4096;
/// How a stream begins that asks for a window beyond the 16 MiB of RFC 7932, where this beginning is invalid (section 9.1). The decoder
/// takes it for an extension of the format, and reserves up to 1 GiB before anything comes out.
const BROTLI_LARGE_WINDOW: u8 = 0x11;
/// What a step of zstd counts for at least: a block of a few bytes may make the decoder build its tables anew.
const ZSTD_STEP_BYTES: usize = 1024;
/// How every member of gzip begins.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// How every frame of zstd begins that has content (RFC 8878, section 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// What is told of a body whose end did not come.
const CUT_OFF: &str = "it is cut off";
/// More than the longest match: while there is room for one, the decoder need not look how much there is at each symbol.
const INFLATE_SLACK_BYTES: usize = 512;
/// Pages shrink to a third to an eighth.
const HONEST_RATIO: usize = 16;

/// A content encoding that we take off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `gzip`, `x-gzip`.
    Gzip,
    /// `deflate`: zlib's format, or bare deflate, which some servers send under this name.
    Deflate,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
}

/// Why a body can't be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// An encoding that we did not ask for.
    #[error("the content encoding {0:?} is not supported")]
    Unsupported(String),
    /// More encodings over each other than any honest server uses.
    #[error("more than {ENCODINGS_MAX} content encodings")]
    TooMany,
    /// Larger than a page may be.
    #[error("the page is larger than {DECODED_BYTES_MAX} bytes when unpacked")]
    TooLarge,
    /// Grows so much that it is no page.
    #[error("the page unpacks to more than {RATIO_MAX} times its size")]
    Bomb,
    /// Made of so many members of gzip or frames of zstd that it is no page.
    #[error("the page is packed in more than {MEMBERS_MAX} members or frames")]
    Crumbs,
    /// Cut off or broken.
    #[error("the compressed page is damaged: {0}")]
    Damaged(String),
}

impl DecodeError {
    /// Whether another attempt would end the same way. A damaged transfer may be whole the next time.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        !matches!(self, Self::Damaged(_))
    }
}

/// The encodings of a response in the order in which they were applied.
///
/// # Errors
/// [`DecodeError::Unsupported`] and [`DecodeError::TooMany`].
pub fn encodings(headers: &HeaderMap) -> Result<Vec<Encoding>, DecodeError> {
    let mut found = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        let value = value.to_str().unwrap_or_default();
        for name in value.split(',').map(str::trim) {
            let encoding = match name.to_ascii_lowercase().as_str() {
                word if says_nothing(word) => continue,
                "gzip" | "x-gzip" => Encoding::Gzip,
                "deflate" => Encoding::Deflate,
                "br" => Encoding::Brotli,
                "zstd" => Encoding::Zstd,
                other => return Err(DecodeError::Unsupported(other.chars().take(40).collect())),
            };
            if found.len() == ENCODINGS_MAX {
                return Err(DecodeError::TooMany);
            }
            found.push(encoding);
        }
    }
    Ok(found)
}

/// Words that stand in the field and are no encoding of the content: names of charsets, words of mail, what S3 keeps of how a file was
/// sent to it, and what can't name one, as types and quoted words. Browsers ignore every word that they do not know; we do where
/// nothing can be meant.
fn says_nothing(word: &str) -> bool {
    matches!(
        word,
        "" | "identity" | "none" | "binary" | "8bit" | "7bit" | "text" | "chunked" | "aws-chunked"
    ) || word.contains(['/', '"', ';', '=', ' '])
        || trawl_extract::charset::is_label(word)
}

/// A body without its encodings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// The body.
    pub body: Vec<u8>,
    /// The body as it came, if that was one member of gzip and nothing else: then it can be kept as it is.
    pub gzip: Option<Vec<u8>>,
}

/// The work on one body, whatever its encodings and their parts: how long the instance's other tasks have been waiting for it, and
/// of how many parts it was made. Counted anew for each part, a body of many small ones would never let anybody run.
struct Work<'c, C> {
    clock: &'c C,
    breath: Breath,
    bytes: usize,
    members: usize,
}

impl<'c, C: Clock> Work<'c, C> {
    fn begin(clock: &'c C) -> Self {
        Self {
            clock,
            breath: Breath::new(clock),
            bytes: 0,
            members: 0,
        }
    }

    /// Another member or frame begins, after which many more may be of a few bytes.
    async fn member(&mut self) -> Result<(), DecodeError> {
        self.members += 1;
        if self.members > MEMBERS_MAX {
            return Err(DecodeError::Crumbs);
        }
        if self.members > 1 {
            self.look().await;
        }
        Ok(())
    }

    /// Counts a step too small to look at the clock after it, and looks when enough of them came together.
    async fn step(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes >= PIECE_BYTES {
            self.look().await;
        }
    }

    /// Lets others run if it is time.
    async fn look(&mut self) {
        self.bytes = 0;
        self.breath.take(self.clock).await;
    }
}

/// Takes the encodings off, last applied first, and one layer of gzip that was not named, while there is room for one more.
///
/// # Errors
/// [`DecodeError`] as soon as a limit is passed; what was unpacked by then is dropped.
pub async fn unpack(
    clock: &impl Clock,
    encodings: &[Encoding],
    packed: Vec<u8>,
) -> Result<Unpacked, DecodeError> {
    let wire_bytes = packed.len();
    let mut work = Work::begin(clock);
    let mut body = packed;
    let mut gzip = None;
    for encoding in encodings.iter().rev() {
        // An empty body is empty in every encoding: servers send such for 204 and for empty pages.
        if body.is_empty() {
            break;
        }
        let (unpacked, is_one_member) = match encoding {
            Encoding::Gzip => gunzip(&mut work, &body, wire_bytes).await?,
            Encoding::Deflate => (undeflate(&mut work, &body, wire_bytes).await?, false),
            Encoding::Brotli => (unbrotli(&mut work, &body, wire_bytes).await?, false),
            Encoding::Zstd => (unzstd(&mut work, &body, wire_bytes).await?, false),
        };
        let packed = std::mem::replace(&mut body, unpacked);
        gzip = (is_one_member && encodings.len() == 1).then_some(packed);
    }
    // Files that lie packed on the server come without a word about it, or with one encoding more than is named. No page begins so.
    if encodings.len() < ENCODINGS_MAX && body.starts_with(&[GZIP_MAGIC[0], GZIP_MAGIC[1], 8]) {
        (body, gzip) = (gunzip(&mut work, &body, wire_bytes).await?.0, None);
    }
    Ok(Unpacked { body, gzip })
}

/// Gzip members one after the other; what follows them and is none is ignored, as browsers do. Says too whether `packed` is one
/// member and nothing else.
async fn gunzip(
    work: &mut Work<'_, impl Clock>,
    packed: &[u8],
    wire_bytes: usize,
) -> Result<(Vec<u8>, bool), DecodeError> {
    let mut decoder = Decompress::new(false);
    let mut rest = packed;
    let mut unpacked = Vec::new();
    let mut room = stated_bytes(packed);
    loop {
        work.member().await?;
        let deflated = after_gzip_header(rest).ok_or_else(|| damaged(&"no gzip header"))?;
        let begun = unpacked.len();
        let mut sum = Crc::new();
        rest = inflate(
            work,
            &mut decoder,
            deflated,
            wire_bytes,
            &mut unpacked,
            room,
            |piece| sum.update(piece),
        )
        .await?;
        let Some((&[a, b, c, d, e, f, g, h], after)) = rest.split_first_chunk() else {
            return Err(damaged(&"gzip's end is cut off"));
        };
        let length = u32::from_le_bytes([e, f, g, h]);
        if u32::from_le_bytes([a, b, c, d]) != sum.sum()
            || length != (unpacked.len() - begun) as u32
        {
            return Err(damaged(&"gzip's checksum or length does not match"));
        }
        rest = after;
        if !rest.starts_with(&GZIP_MAGIC) {
            return Ok((unpacked, begun == 0 && rest.is_empty()));
        }
        decoder.reset(false);
        room = PIECE_BYTES;
    }
}

/// What follows the header of a gzip member (RFC 1952, section 2.3); `None` when it is none.
fn after_gzip_header(member: &[u8]) -> Option<&[u8]> {
    const CHECKED: u8 = 1 << 1;
    const EXTRA: u8 = 1 << 2;
    const TEXTS: [u8; 2] = [1 << 3, 1 << 4];
    const RESERVED: u8 = 0xe0;
    let (&[magic, also_magic, method, flags, ..], mut rest) = member.split_first_chunk::<10>()?;
    if [magic, also_magic] != GZIP_MAGIC || method != 8 || flags & RESERVED != 0 {
        return None;
    }
    if flags & EXTRA != 0 {
        let (length, after) = rest.split_first_chunk()?;
        rest = after.get(usize::from(u16::from_le_bytes(*length))..)?;
    }
    for _ in TEXTS.iter().filter(|text| flags & **text != 0) {
        let end = rest.iter().position(|byte| *byte == 0)?;
        rest = &rest[end + 1..];
    }
    if flags & CHECKED != 0 {
        let mut sum = Crc::new();
        sum.update(&member[..member.len() - rest.len()]);
        let (stated, after) = rest.split_first_chunk()?;
        if u32::from(u16::from_le_bytes(*stated)) != sum.sum() & 0xffff {
            return None;
        }
        rest = after;
    }
    Some(rest)
}

/// Unpacks a stream of `decoder`'s kind onto `unpacked`, looking at the limits after each piece and letting others run now and
/// then; `see` is shown what came out, and what follows the stream is returned. The first piece has `room`: the decoder looks
/// back into what it wrote at once, and only beyond that into a copy of its own.
async fn inflate<'p>(
    work: &mut Work<'_, impl Clock>,
    decoder: &mut Decompress,
    packed: &'p [u8],
    wire_bytes: usize,
    unpacked: &mut Vec<u8>,
    mut room: usize,
    mut see: impl FnMut(&[u8]),
) -> Result<&'p [u8], DecodeError> {
    let mut rest = packed;
    let mut filled = unpacked.len();
    room += INFLATE_SLACK_BYTES;
    loop {
        if unpacked.len() == filled {
            unpacked.resize(filled + room, 0);
            room = PIECE_BYTES;
        }
        let (read, written) = (decoder.total_in(), decoder.total_out());
        let piece = &rest[..rest.len().min(DEFLATED_PIECE_BYTES)];
        let status = decoder.decompress(piece, &mut unpacked[filled..], FlushDecompress::None);
        let read = (decoder.total_in() - read) as usize;
        let written = (decoder.total_out() - written) as usize;
        rest = &rest[read..];
        check_size(filled + written, wire_bytes)?;
        see(&unpacked[filled..filled + written]);
        filled += written;
        if status.map_err(|error| damaged(&error))? == Status::StreamEnd {
            unpacked.truncate(filled);
            return Ok(rest);
        }
        // There was room for more, and nothing is left to read: the rest never came.
        if filled < unpacked.len() && (rest.is_empty() || read + written == 0) {
            return Err(damaged(&CUT_OFF));
        }
        work.look().await;
    }
}

/// How large `packed` says that it is unpacked: the last four bytes of gzip (RFC 1952, section 2.3.1). Anybody may lie there, so it
/// reserves no more than honest pages of this size need, nor more than is unpacked between two looks at the clock.
fn stated_bytes(packed: &[u8]) -> usize {
    let stated = packed
        .last_chunk()
        .map_or(0, |last| u32::from_le_bytes(*last));
    usize::try_from(stated)
        .unwrap_or(usize::MAX)
        .min(packed.len().saturating_mul(HONEST_RATIO))
        .min(RATIO_FREE_BYTES)
}

/// One stream of zlib's or of bare deflate; what follows it is ignored.
async fn undeflate(
    work: &mut Work<'_, impl Clock>,
    packed: &[u8],
    wire_bytes: usize,
) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = Decompress::new(has_zlib_header(packed));
    let mut unpacked = Vec::new();
    inflate(
        work,
        &mut decoder,
        packed,
        wire_bytes,
        &mut unpacked,
        PIECE_BYTES,
        |_| {},
    )
    .await?;
    Ok(unpacked)
}

/// RFC 1950, section 2.2: the method is 8, and the two bytes are a multiple of 31.
fn has_zlib_header(packed: &[u8]) -> bool {
    matches!(packed, [cmf, flg, ..] if cmf & 0x0f == 8 && (u16::from(*cmf) << 8 | u16::from(*flg)) % 31 == 0)
}

/// A body that its reader gets in small pieces, with an interruption before each but the first: a decoder that goes on reading until
/// something comes out would otherwise read all of it before anybody else can run.
struct Interrupted<'p> {
    rest: &'p [u8],
    left: usize,
    /// More was asked for than there is.
    is_cut_off: bool,
}

impl Read for Interrupted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 && !self.rest.is_empty() {
            self.left = BROTLI_PIECE_BYTES;
            // Not `Interrupted`, which readers pass over.
            return Err(ErrorKind::WouldBlock.into());
        }
        let room = buffer.len().min(self.left);
        let read = self.rest.read(&mut buffer[..room])?;
        self.is_cut_off |= read == 0 && self.rest.is_empty();
        self.left -= read;
        Ok(read)
    }
}

/// One stream of brotli's; what follows it is ignored, as browsers do. Looking at the limits after each piece and letting others run now and then.
async fn unbrotli(
    work: &mut Work<'_, impl Clock>,
    packed: &[u8],
    wire_bytes: usize,
) -> Result<Vec<u8>, DecodeError> {
    if packed
        .first()
        .is_some_and(|byte| byte & 0x7f == BROTLI_LARGE_WINDOW)
    {
        return Err(damaged(&"its window is larger than brotli has"));
    }
    let packed = Interrupted {
        rest: packed,
        left: BROTLI_PIECE_BYTES,
        is_cut_off: false,
    };
    let mut decoder = brotli::Decompressor::new(packed, BROTLI_PIECE_BYTES);
    let mut unpacked = Vec::new();
    loop {
        let read = decoder
            .by_ref()
            .take(PIECE_BYTES as u64)
            .read_to_end(&mut unpacked);
        check_size(unpacked.len(), wire_bytes)?;
        match read {
            // Less than there is room for comes at the end alone. To ask again there would be an error where something follows.
            Ok(read) if read < PIECE_BYTES => return Ok(unpacked),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) if decoder.get_ref().is_cut_off => return Err(damaged(&CUT_OFF)),
            Err(_) => return Err(damaged(&"it is no brotli")),
        }
        work.look().await;
    }
}

/// Zstandard frames one after the other, skippable ones skipped; what follows them and is none is ignored.
async fn unzstd(
    work: &mut Work<'_, impl Clock>,
    packed: &[u8],
    wire_bytes: usize,
) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = FrameDecoder::new();
    let mut rest = packed;
    let mut unpacked = Vec::new();
    let mut has_frame = false;
    while !rest.is_empty() {
        work.member().await?;
        if let Some(after) = skippable_frame(rest)? {
            rest = after;
            continue;
        }
        if has_frame && !rest.starts_with(&ZSTD_MAGIC) {
            break;
        }
        has_frame = true;
        // The decoder reserves what the header asks for, so the header is looked at first.
        check_zstd_window(rest)?;
        decoder
            .reset(&mut rest)
            .map_err(|error| damaged_zstd(&error))?;
        while !decoder.is_finished() {
            let (unread, unpacked_before) = (rest.len(), unpacked.len());
            decoder
                .decode_blocks(&mut rest, BlockDecodingStrategy::UptoBlocks(1))
                .map_err(|error| damaged_zstd(&error))?;
            decoder
                .collect_to_writer(&mut unpacked)
                .map_err(|error| damaged(&error))?;
            check_size(unpacked.len(), wire_bytes)?;
            let bytes = unread - rest.len() + unpacked.len() - unpacked_before;
            work.step(bytes.max(ZSTD_STEP_BYTES)).await;
        }
    }
    Ok(unpacked)
}

/// RFC 8878, section 3.1.2: a magic number of 0x184D2A5?, a length, and bytes of no meaning to us.
fn skippable_frame(packed: &[u8]) -> Result<Option<&[u8]>, DecodeError> {
    match packed {
        [magic, 0x2a, 0x4d, 0x18, a, b, c, d, rest @ ..] if magic & 0xf0 == 0x50 => {
            let length =
                usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX);
            rest.get(length..)
                .map(Some)
                .ok_or_else(|| damaged(&"a skippable frame is cut off"))
        }
        _ => Ok(None),
    }
}

/// RFC 8878, section 3.1.1.1: the window is stated by a descriptor, or is the whole content of a single segment.
fn check_zstd_window(packed: &[u8]) -> Result<(), DecodeError> {
    let (Some(&descriptor), Some(&window)) = (packed.get(4), packed.get(5)) else {
        return Err(damaged(&"the frame header is cut off"));
    };
    let single_segment = descriptor & 0x20 != 0;
    let window_bytes = if single_segment {
        let dictionary_bytes = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let size_bytes = [1, 2, 4, 8][usize::from(descriptor >> 6)];
        let mut size = [0; 8];
        let field = packed.get(5 + dictionary_bytes..5 + dictionary_bytes + size_bytes);
        size[..size_bytes]
            .copy_from_slice(field.ok_or_else(|| damaged(&"the frame header is cut off"))?);
        u64::from_le_bytes(size).saturating_add(if size_bytes == 2 { 256 } else { 0 })
    } else {
        let base = 1_u64 << (10 + u32::from(window >> 3));
        base + base / 8 * u64::from(window & 7)
    };
    let window_bytes_max = if single_segment {
        DECODED_BYTES_MAX as u64
    } else {
        ZSTD_WINDOW_BYTES_MAX
    };
    if window_bytes > window_bytes_max {
        return Err(DecodeError::TooLarge);
    }
    Ok(())
}

fn check_size(unpacked_bytes: usize, wire_bytes: usize) -> Result<(), DecodeError> {
    if unpacked_bytes > DECODED_BYTES_MAX {
        return Err(DecodeError::TooLarge);
    }
    if unpacked_bytes > RATIO_FREE_BYTES && unpacked_bytes / RATIO_MAX > wire_bytes {
        return Err(DecodeError::Bomb);
    }
    Ok(())
}

/// The decoder's own words are for who wrote it.
fn damaged_zstd(error: &FrameDecoderError) -> DecodeError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let read = error.downcast_ref::<std::io::Error>();
        if read.is_some_and(|error| error.kind() == ErrorKind::UnexpectedEof) {
            return damaged(&CUT_OFF);
        }
        cause = error.source();
    }
    damaged(&"it is no zstd")
}

fn damaged(error: &impl ToString) -> DecodeError {
    DecodeError::Damaged(error.to_string())
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
