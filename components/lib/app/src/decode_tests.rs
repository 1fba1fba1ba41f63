use std::io::{Read as _, Write as _};
use std::time::Duration;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use trawl_core::limits::scrape::YIELD_AFTER_MS;

use super::*;
use crate::testing::{VirtualClock, run};

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn bare_deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn br(data: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    brotli::CompressorWriter::new(&mut packed, 4096, 5, 22)
        .write_all(data)
        .unwrap();
    packed
}

fn zstd(data: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest)
}

/// Unpacks `body` as a response with these `Content-Encoding` fields would be.
fn unpacked(fields: &[&str], body: Vec<u8>) -> Result<Vec<u8>, DecodeError> {
    let mut headers = HeaderMap::new();
    for field in fields {
        headers.append(CONTENT_ENCODING, field.parse().unwrap());
    }
    let clock = VirtualClock::default();
    run(&clock, unpack(&clock, &encodings(&headers)?, body)).map(|unpacked| unpacked.body)
}

fn page() -> Vec<u8> {
    (0..3_000)
        .flat_map(|line| format!("<p>Line {line} of a page, with some words.</p>\n").into_bytes())
        .collect()
}

/// A page that shrinks as honest ones do.
fn numbers() -> Vec<u8> {
    (0..9_000_u32)
        .flat_map(|n| format!("{:x} ", n.wrapping_mul(2_654_435_761)).into_bytes())
        .collect()
}

/// A page that shrinks fifty times or so.
fn numbers_and_blanks() -> Vec<u8> {
    let mut page = numbers()[..4_000].to_vec();
    page.resize(100_000, b' ');
    page
}

#[test]
fn every_encoding_comes_off() {
    for (fields, body) in [
        (&["gzip"][..], gzip(&page())),
        (&["X-GZIP"], gzip(&page())),
        (&["deflate"], zlib(&page())),
        (&["deflate"], bare_deflate(&page())),
        (&["br"], br(&page())),
        (&["zstd"], zstd(&page())),
        (&["identity"], page()),
        (&[], gzip(&page())),
        (&["br"], br(&gzip(&page()))),
        (&["UTF-8"], page()),
        (&["ISO-8859-1"], page()),
        (&["windows-1251, gzip"], gzip(&page())),
        (&["none"], page()),
        (&["binary"], page()),
        (&["8bit"], page()),
        (&["7bit"], page()),
        (&["text"], page()),
        (&["gzip, aws-chunked"], gzip(&page())),
        (&["chunked"], page()),
        (&["text/html"], page()),
        (&["application/octet-stream"], page()),
        (&["\"gzip\""], page()),
        (&["\"gzip\""], gzip(&page())),
        (&["gzip;q=1.0"], page()),
        (&["gz\u{fc}p"], page()),
        (&[], page()),
        (&["gzip, br"], br(&gzip(&page()))),
        (&["deflate", "zstd"], zstd(&zlib(&page()))),
    ] {
        assert!(unpacked(fields, body) == Ok(page()), "{fields:?}");
    }
}

#[test]
fn a_layer_that_was_not_named_counts_as_one() {
    let thrice = gzip(&gzip(&gzip(&page())));
    assert_eq!(
        unpacked(&["gzip", "gzip"], thrice.clone()),
        Ok(gzip(&page())),
        "no third one comes off"
    );
    assert_eq!(unpacked(&[], thrice), Ok(gzip(&gzip(&page()))));
    let bomb = gzip(&vec![b' '; 200 * RATIO_FREE_BYTES / 10]);
    assert_eq!(unpacked(&[], bomb), Err(DecodeError::Bomb));
    assert!(matches!(
        unpacked(&[], b"\x1f\x8b\x08".to_vec()),
        Err(DecodeError::Damaged(_))
    ));
}

/// However few times its size each layer grows to, what counts is what came over the wire.
#[test]
fn layers_that_each_grow_little_are_a_bomb_together() {
    let member = gzip(&numbers_and_blanks());
    let inner = member.repeat(20);
    let unpacked_bytes = 20 * numbers_and_blanks().len();
    assert!(unpacked_bytes > RATIO_FREE_BYTES && unpacked_bytes / inner.len() < RATIO_MAX);
    assert!(unpacked(&["gzip"], inner.clone()).is_ok());
    let outer = gzip(&inner);
    assert!(inner.len() < RATIO_FREE_BYTES && unpacked_bytes / outer.len() > RATIO_MAX);
    for fields in [&["gzip, gzip"][..], &["gzip"]] {
        assert_eq!(unpacked(fields, outer.clone()), Err(DecodeError::Bomb));
    }
}

#[test]
fn empty_bodies_are_empty_in_every_encoding() {
    for name in ["gzip", "deflate", "br", "zstd"] {
        assert_eq!(unpacked(&[name], Vec::new()), Ok(Vec::new()));
    }
}

#[test]
fn members_and_frames_follow_each_other_and_rubbish_after_them_is_ignored() {
    let (one, other) = (b"one ".as_slice(), b"other".as_slice());
    assert_eq!(
        unpacked(
            &["gzip"],
            [gzip(one), gzip(other), b"rubbish".to_vec()].concat()
        ),
        Ok(b"one other".to_vec())
    );
    let skipped = [0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    assert_eq!(
        unpacked(&["zstd"], [&zstd(one)[..], &skipped, &zstd(other)].concat()),
        Ok(b"one other".to_vec())
    );
    for rubbish in [&b"\0\0junk"[..], b"x", &page()] {
        for (name, body) in [
            ("gzip", gzip(&page())),
            ("deflate", zlib(&page())),
            ("deflate", bare_deflate(&page())),
            ("br", br(&page())),
            ("br", br(&[b'x'; PIECE_BYTES])),
            ("zstd", zstd(&page())),
        ] {
            let whole = unpacked(&[name], body.clone()).unwrap();
            let unpacked = unpacked(&[name], [&body, rubbish].concat());
            assert!(unpacked == Ok(whole), "{name}");
        }
    }
}

#[test]
fn what_came_as_one_member_of_gzip_can_be_kept() {
    let clock = VirtualClock::default();
    let kept = |encodings: &[Encoding], packed: Vec<u8>| {
        run(&clock, unpack(&clock, encodings, packed)).unwrap().gzip
    };
    let packed = gzip(&page());
    assert_eq!(
        kept(&[Encoding::Gzip], packed.clone()),
        Some(packed.clone())
    );
    let two = [packed.clone(), packed.clone()].concat();
    assert_eq!(kept(&[Encoding::Gzip], two), None);
    let rubbish = [packed.clone(), b"rubbish".to_vec()].concat();
    assert_eq!(kept(&[Encoding::Gzip], rubbish), None);
    assert_eq!(kept(&[Encoding::Deflate], zlib(&page())), None);
    assert_eq!(kept(&[Encoding::Gzip, Encoding::Gzip], gzip(&packed)), None);
    assert_eq!(kept(&[], page()), None);
    assert_eq!(kept(&[], packed.clone()), None, "nobody said so");
    assert_eq!(kept(&[Encoding::Gzip], gzip(&packed)), None);
}

/// What another reader of gzip makes of `packed`: the members, and where there is none, nothing.
fn read_by_flate2(mut packed: &[u8]) -> Option<Vec<u8>> {
    let mut unpacked = Vec::new();
    loop {
        let mut member = flate2::bufread::GzDecoder::new(packed);
        member.read_to_end(&mut unpacked).ok()?;
        packed = member.into_inner();
        if !packed.starts_with(&GZIP_MAGIC) {
            return Some(unpacked);
        }
    }
}

#[test]
fn gzip_with_every_field_and_any_damage_is_read_as_flate2_reads_it() {
    let plain = b"a page, a page, and some more of a page";
    let mut encoder = flate2::GzBuilder::new()
        .filename("page.html")
        .comment("of the server's")
        .extra(b"ab\x02\x00cd".to_vec())
        .write(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    let mut packed = encoder.finish().unwrap();
    assert_eq!(unpacked(&["gzip"], packed.clone()), Ok(plain.to_vec()));
    packed.extend(gzip(b"and another member"));
    for at in 0..packed.len() {
        for bit in 0..8 {
            let mut damaged = packed.clone();
            damaged[at] ^= 1 << bit;
            let ours = unpacked(&["gzip"], damaged.clone()).ok();
            assert_eq!(ours, read_by_flate2(&damaged), "bit {bit} of byte {at}");
        }
        if at > 0 {
            let cut = packed[..at].to_vec();
            assert_eq!(
                unpacked(&["gzip"], cut.clone()).ok(),
                read_by_flate2(&cut),
                "{at} bytes"
            );
        }
    }
}

#[test]
fn a_header_of_gzip_is_checked_when_it_says_so() {
    let mut checked = gzip(&page());
    checked[3] |= 1 << 1;
    let mut sum = Crc::new();
    sum.update(&checked[..10]);
    checked.splice(10..10, sum.sum().to_le_bytes().into_iter().take(2));
    assert_eq!(unpacked(&["gzip"], checked.clone()), Ok(page()));
    checked[10] ^= 1;
    assert!(matches!(
        unpacked(&["gzip"], checked),
        Err(DecodeError::Damaged(_))
    ));
}

#[test]
fn what_gzip_states_as_its_length_reserves_little_and_is_no_limit() {
    let page = numbers();
    let packed = gzip(&page);
    assert_eq!(stated_bytes(&packed), page.len());
    let boasting = [&packed[..], &u32::MAX.to_le_bytes()].concat();
    assert_eq!(stated_bytes(&boasting), boasting.len() * HONEST_RATIO);
    assert_eq!(unpacked(&["gzip"], boasting), Ok(page.clone()));
    let modest = [&packed[..], &0_u32.to_le_bytes()].concat();
    assert_eq!(stated_bytes(&modest), 0);
    assert_eq!(unpacked(&["gzip"], modest), Ok(page.clone()));
    assert_eq!(stated_bytes(&vec![0xff; 2 << 20]), RATIO_FREE_BYTES);
}

#[test]
fn unknown_and_piled_encodings_are_refused() {
    assert!(matches!(
        unpacked(&["compress"], page()),
        Err(DecodeError::Unsupported(_))
    ));
    assert!(matches!(
        unpacked(&["gzip, gzip", "gzip"], page()),
        Err(DecodeError::TooMany)
    ));
}

#[test]
fn damage_is_told_from_bombs() {
    for (name, mut body) in [
        ("gzip", gzip(&page())),
        ("br", br(&page())),
        ("zstd", zstd(&page())),
        ("deflate", zlib(&page())),
    ] {
        body.truncate(body.len() / 2);
        assert!(
            matches!(unpacked(&[name], body), Err(DecodeError::Damaged(_))),
            "{name} cut off"
        );
        assert!(
            unpacked(&[name], b"<html>not packed at all</html>".to_vec()).is_err(),
            "{name} not packed"
        );
    }
}

#[test]
fn what_is_damaged_is_told_in_words() {
    let told = |name, body| match unpacked(&[name], body) {
        Err(DecodeError::Damaged(told)) => told,
        other => panic!("{name}: {:?}", other.map(|body| body.len())),
    };
    for (name, body) in [("br", br(&numbers())), ("zstd", zstd(&numbers()))] {
        for length in [7, 100, BROTLI_PIECE_BYTES, body.len() - 1] {
            assert_eq!(
                told(name, body[..length].to_vec()),
                "it is cut off",
                "{length} of {name}"
            );
        }
        let none = format!("it is no {}", if name == "br" { "brotli" } else { name });
        assert_eq!(told(name, page()), none);
        let mut broken = body.clone();
        broken[50..].fill(0xff);
        assert_eq!(told(name, broken), none);
    }
}

#[test]
fn bombs_end_at_the_first_limit() {
    let zeros = vec![0; 30 << 20];
    let once = gzip(&zeros);
    assert_eq!(unpacked(&["gzip"], once.clone()), Err(DecodeError::Bomb));
    assert_eq!(unpacked(&["br"], br(&zeros)), Err(DecodeError::Bomb));
    assert_eq!(
        unpacked(&["gzip, gzip"], gzip(&once)),
        Err(DecodeError::Bomb)
    );
    // Honest growth, but too much of it.
    let mut state = 7_u32;
    let words: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b"abcdefghijklmnop"[(state >> 28) as usize]
    })
    .take(21 << 20)
    .collect();
    assert_eq!(
        unpacked(&["gzip"], gzip(&words)),
        Err(DecodeError::TooLarge)
    );
}

/// A clock by which every look finds that it is time to let others run.
struct Hasty(VirtualClock);

impl Clock for Hasty {
    fn now_ms(&self) -> i64 {
        self.0.now_ms()
    }

    fn monotonic_ms(&self) -> u64 {
        self.0.advance(Duration::from_millis(YIELD_AFTER_MS));
        self.0.monotonic_ms()
    }

    async fn sleep(&self, duration: Duration) {
        self.0.sleep(duration).await;
    }

    async fn yield_now(&self) {
        self.0.yield_now().await;
    }
}

/// How often others may run while `body` is unpacked.
fn turns(encodings: &[Encoding], body: Vec<u8>) -> (Result<Unpacked, DecodeError>, u64) {
    let clock = Hasty(VirtualClock::default());
    let unpacked = run(&clock.0, unpack(&clock, encodings, body));
    (unpacked, clock.0.yields())
}

/// A frame of zstd without content, and a block in it.
const EMPTY_FRAME: [u8; 9] = [0x28, 0xb5, 0x2f, 0xfd, 0, 0x68, 1, 0, 0];
const EMPTY_FRAME_HEAD: &[u8] = EMPTY_FRAME.first_chunk::<6>().unwrap().as_slice();

#[test]
fn others_run_while_a_body_is_unpacked_of_which_nothing_comes_out() {
    const BLOCKS: usize = 1 << 18;
    let empty_blocks = [0, 0, 0, 0xff, 0xff].repeat(BLOCKS);
    let last_block = [3, 0];
    let bare = [&empty_blocks[..], &last_block].concat();
    let zlib = [&[0x78, 0x9c][..], &bare, &[0, 0, 0, 1]].concat();
    let gzip_head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let gzip_body = [&gzip_head[..], &bare, &[0; 8]].concat();
    let named_member = [
        &[0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 0xff][..],
        &[b'n'; 500],
        &[0],
        &last_block,
        &[0; 8],
    ];
    // Brotli: a window of 16 bits and metadata of no length, such metadata, and the end.
    let brotli = [&[0x0c][..], &vec![0x06; BLOCKS], &[0x03]].concat();
    let zstd = [EMPTY_FRAME_HEAD, &vec![0; 3 * BLOCKS], &[1, 0, 0]].concat();
    for (encoding, body) in [
        (Encoding::Deflate, bare),
        (Encoding::Deflate, zlib),
        (Encoding::Gzip, gzip_body),
        (Encoding::Gzip, named_member.concat().repeat(MEMBERS_MAX)),
        (Encoding::Brotli, brotli),
        (Encoding::Zstd, zstd),
        (Encoding::Zstd, EMPTY_FRAME.repeat(MEMBERS_MAX)),
    ] {
        let bytes = body.len() as u64;
        let (unpacked, turns) = turns(&[encoding], body);
        assert!(
            unpacked.is_ok_and(|unpacked| unpacked.body.is_empty()),
            "{encoding:?}"
        );
        assert!(
            turns >= bytes / (64 << 10),
            "{turns} turns in {bytes} bytes of {encoding:?}"
        );
    }
}

#[test]
fn a_page_of_usual_size_is_unpacked_at_one_go() {
    let page = numbers();
    let (unpacked, turns) = turns(&[Encoding::Gzip], gzip(&page));
    assert!(unpacked.unwrap().body == page);
    assert_eq!(turns, 0);
}

#[test]
fn crumbs_are_no_page_however_they_are_laid_over_each_other() {
    let member = gzip(b"");
    let skipped = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0];
    let many = |part: &[u8]| part.repeat(MEMBERS_MAX);
    let one_more = |part: &[u8]| part.repeat(MEMBERS_MAX + 1);
    assert_eq!(unpacked(&["gzip"], many(&member)), Ok(Vec::new()));
    for (fields, body) in [
        ("gzip", one_more(&member)),
        ("zstd", one_more(&EMPTY_FRAME)),
        ("zstd", one_more(&skipped)),
        ("zstd, gzip", gzip(&many(&EMPTY_FRAME))),
    ] {
        assert_eq!(
            unpacked(&[fields], body),
            Err(DecodeError::Crumbs),
            "{fields}"
        );
    }
    // What BGZF makes of the largest page: one piece of 64 KiB in each member.
    let blocks = gzip(&page()[..64 << 10]).repeat(DECODED_BYTES_MAX >> 16);
    assert_eq!(
        unpacked(&["gzip"], blocks).map(|page| page.len()),
        Ok(DECODED_BYTES_MAX)
    );
}

#[test]
fn a_long_stream_is_read_in_pieces_to_its_last_byte() {
    let mut state = 7_u32;
    let dense: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(500_000)
    .collect();
    for (name, body) in [
        ("gzip", gzip(&dense)),
        ("gzip", [gzip(&dense), gzip(&page())].concat()),
        ("deflate", zlib(&dense)),
        ("deflate", bare_deflate(&dense)),
        ("br", br(&dense)),
        ("zstd", zstd(&dense)),
    ] {
        let unpacked_body = unpacked(&[name], body.clone()).unwrap();
        assert!(unpacked_body.starts_with(&dense), "{name}");
        let cut = body[..body.len() - 9].to_vec();
        assert!(
            matches!(unpacked(&[name], cut), Err(DecodeError::Damaged(_))),
            "{name} cut off"
        );
    }
}

#[test]
fn a_window_that_would_eat_memory_is_refused_before_it_is_reserved() {
    // Magic, descriptor without single segment, window exponent 31.
    assert_eq!(
        unpacked(&["zstd"], vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0xf8, 1, 0, 0]),
        Err(DecodeError::TooLarge)
    );
    // A single segment of 2^40 bytes.
    let segment = vec![
        0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0,
    ];
    assert_eq!(unpacked(&["zstd"], segment), Err(DecodeError::TooLarge));
    for length in 0..12 {
        let cut = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 0, 0][..length].to_vec();
        assert!(
            unpacked(&["zstd"], cut).is_ok() == (length == 0),
            "{length}"
        );
    }
}

/// An extension of the format lets the sender choose a window of up to 1 GiB, which its decoder reserves at once.
#[test]
fn a_window_that_brotli_does_not_have_is_refused() {
    let said = |body: &[u8]| match unpacked(&["br"], body.to_vec()) {
        Err(DecodeError::Damaged(said)) => said,
        other => panic!("{other:?}"),
    };
    // 30 bits; and the same with the bit set that the extension ignores.
    for first in [0x11, 0x91] {
        let said = said(&[first, 0x1e, 0x03, 0, 0, 0]);
        assert!(said.contains("window"), "{said}");
    }
    let whole = br(b"a page");
    assert_ne!(whole[0] & 0x7f, 0x11);
}
