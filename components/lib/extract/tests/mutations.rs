//! The parsers of pages, robots.txt, URLs and redirects against thousands of mutated inputs: the fuzz targets with a bounded, seeded runner,
//! so that each `make test` walks the same way. tests/fuzz holds the same targets for libFuzzer.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a target that does not hold fails with a sentence"
)]

use std::path::Path;

#[path = "../../../../tests/fuzz/targets.rs"]
#[allow(
    unreachable_pub,
    reason = "the file is shared with the fuzz project, where its functions are public"
)]
mod targets;

/// Pieces that matter to some parser.
const WORDS: &[&[u8]] = &[
    b"<",
    b">",
    b"</",
    b"<!--",
    b"-->",
    b"<script>",
    b"</script>",
    b"<svg>",
    b"<table>",
    b"<template>",
    b"<meta charset=",
    b"&#x",
    b"&amp;",
    b"\"",
    b"'",
    b"=",
    b"/",
    b"\\",
    b"//",
    b"://",
    b"http://",
    b"@",
    b":",
    b"*",
    b"$",
    b"%",
    b"%00",
    b"%2e",
    b"\0",
    b"\r\n",
    b"\xFF\xFE",
    b"\xEF\xBB\xBF",
    b"\xE2\x80\xAE",
    b"\x1B$B",
    b"user-agent: *\n",
    b"disallow: /",
    b"url(",
    b"srcset=",
    b"href=",
    b"<base href=",
    b".spin.internal",
    b"localhost",
    b"127.1",
    b"[::1]",
    b"xn--",
    b"; Domain=",
    b"charset=",
    b"-",
    b"99999999999999999999",
];

/// Inputs longer than this are cut: the point is many shapes, not long ones.
const BYTES_MAX: usize = 16 * 1_024;

/// SplitMix64 (Steele, Lea and Flood, 2014): small, and the same everywhere.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../tests/data/fuzz")
        .join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("seeds")
        .map(|file| file.expect("an entry").path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|file| std::fs::read(file).expect("a seed"))
        .collect()
}

/// One change of one of six kinds.
fn mutate(input: &mut Vec<u8>, seeds: &[Vec<u8>], draws: &mut Draws) {
    let at = draws.below(input.len() + 1);
    let length = draws.below(input.len() - at + 1).min(1 + draws.below(64));
    match draws.below(6) {
        0 => {
            let word = WORDS[draws.below(WORDS.len())];
            input.splice(at..at, word.iter().copied());
        }
        1 => drop(input.drain(at..at + length)),
        2 => {
            let piece = input[at..at + length].repeat(1 + draws.below(20));
            input.splice(at..at, piece);
        }
        3 if at < input.len() => input[at] = draws.next() as u8,
        4 => {
            let other = &seeds[draws.below(seeds.len())];
            let from = draws.below(other.len());
            input.splice(at.., other[from..].iter().copied());
        }
        _ if at < input.len() => input[at] ^= 1 << draws.below(8),
        _ => input.push(draws.next() as u8),
    }
    input.truncate(BYTES_MAX);
}

/// Seeds first, then `rounds` mutated ones. A failure names the round; the same seed leads there again.
fn run(target: &str, rounds: usize, check: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    let seeds = seeds(target);
    assert!(seeds.len() > 1, "{target} has seeds");
    seeds.iter().for_each(|seed| check(seed));
    let mut draws = Draws(0x7472_6177_6c00 + rounds as u64);
    let mut input = Vec::new();
    for round in 0..rounds {
        if round % 8 == 0 {
            input.clone_from(&seeds[draws.below(seeds.len())]);
        }
        mutate(&mut input, &seeds, &mut draws);
        if let Err(panic) = std::panic::catch_unwind(|| check(&input)) {
            eprintln!(
                "{target}, round {round}: {:?}",
                String::from_utf8_lossy(&input)
            );
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn text() {
    run("text", 1_500, targets::text);
}

#[test]
fn charset() {
    run("charset", 20_000, targets::charset);
}

#[test]
fn robots() {
    run("robots", 20_000, targets::robots);
}

#[test]
fn domains() {
    run("domains", 10_000, targets::domains);
}

#[test]
fn url_guard() {
    run("url_guard", 50_000, targets::url_guard);
}

#[test]
fn redirects() {
    run("redirects", 20_000, targets::redirects);
}
