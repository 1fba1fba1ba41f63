//! Stacks with their counts, as a flame graph in SVG: no script, the full name of a frame is its tooltip. And the names in them that guests
//! have.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Before the name of a guest's function.
pub const GUEST: &str = "wasm: ";

const WIDTH: f64 = 1_600.0;
const ROW: f64 = 17.0;
/// Frames narrower than this are left out.
const LEAST: f64 = 0.4;
/// What one letter takes.
const LETTER: f64 = 6.5;

/// A tree of frames.
#[derive(Default)]
struct Frame {
    samples: u64,
    callees: BTreeMap<String, Frame>,
}

impl Frame {
    fn depth(&self) -> usize {
        1 + self.callees.values().map(Self::depth).max().unwrap_or(0)
    }
}

/// Draws `stacks` (frames from the outermost inwards, with `;` between) under `title`.
#[must_use]
pub fn svg(title: &str, stacks: &BTreeMap<String, u64>) -> String {
    let mut root = Frame::default();
    for (stack, count) in stacks {
        root.samples += count;
        let mut frame = &mut root;
        for name in stack.split(';') {
            frame = frame.callees.entry(name.to_owned()).or_default();
            frame.samples += count;
        }
    }
    let height = ROW * (root.depth() + 3) as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"monospace\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fffdf5\"/>\n<text x=\"8\" y=\"{ROW}\">{}: {} samples</text>\n",
        escaped(title),
        root.samples
    );
    let scale = WIDTH / (root.samples.max(1)) as f64;
    draw(&root, root.samples, (0.0, height - ROW), scale, &mut out);
    out.push_str("</svg>\n");
    out
}

fn draw(frame: &Frame, all: u64, (mut x, y): (f64, f64), scale: f64, out: &mut String) {
    for (name, callee) in &frame.callees {
        let width = callee.samples as f64 * scale;
        if width >= LEAST {
            let share = 100.0 * callee.samples as f64 / all as f64;
            let top = y - ROW;
            let _ = write!(
                out,
                "<g><title>{} ({} samples, {share:.2} %)</title><rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{}\" stroke=\"#fffdf5\"/>",
                escaped(name),
                callee.samples,
                ROW - 1.0,
                colour(name)
            );
            let room = (width / LETTER) as usize;
            if room > 3 {
                let cut: String = name.chars().take(room - 1).collect();
                let (left, base) = (x + 2.0, y - 5.0);
                let _ = write!(
                    out,
                    "<text x=\"{left:.1}\" y=\"{base:.1}\">{}</text>",
                    escaped(&cut)
                );
            }
            out.push_str("</g>\n");
            draw(callee, all, (x, top), scale, out);
        }
        x += width;
    }
}

/// Guests in one colour, the system in another, the host in a third; the shade parts neighbours.
fn colour(name: &str) -> String {
    let shade = name.bytes().fold(7_u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into())
    }) % 40;
    match name {
        _ if name.starts_with(GUEST) => format!("rgb(255,{},90)", 140 + shade),
        _ if name.ends_with("_[k]") => format!("rgb(150,{},230)", 160 + shade),
        _ => format!("rgb({},205,130)", 150 + shade),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// A guest's function: wasmtime's `wasm[0]::function[7]::NAME`, or the bare name, without the hash of the build.
#[must_use]
pub fn guest(name: &str) -> String {
    let own = name.rsplit_once("]::").map_or(name, |(_, own)| own);
    let own = whole(own);
    format!("{GUEST}{:#}", rustc_demangle::demangle(&own)).replace(';', ",")
}

/// A mangled name with the end that wasmtime cuts off its long ones (at 96 bytes): without one it can't be read, and would be taken for
/// one of C. In this form each part of a path stands behind its length, and `E` ends it; of what was cut, the length is what is left.
fn whole(name: &str) -> Cow<'_, str> {
    let Some(mut rest) = name.strip_prefix("_ZN") else {
        return name.into();
    };
    let mut path = "_ZN".to_owned();
    loop {
        let part = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
        let Ok(length) = rest[..rest.len() - part.len()].parse::<usize>() else {
            // The end, or not what was expected.
            return name.into();
        };
        match part.split_at_checked(length) {
            Some((whole, after)) if !after.is_empty() => {
                path.extend([&length.to_string(), whole]);
                rest = after;
            }
            _ => {
                // Half an escape, or half a hash, is no part of any name.
                let kept = part
                    .rfind('$')
                    .filter(|_| part.matches('$').count() % 2 == 1);
                let part = &part[..kept.unwrap_or(part.len())];
                let is_hash = length == 17 && part.starts_with('h');
                if !part.is_empty() && !is_hash {
                    path.extend([&part.len().to_string(), part]);
                }
                return format!("{path}E").into();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_as_wide_as_its_share() {
        let stacks = BTreeMap::from([
            ("main;work".to_owned(), 3),
            ("main;<T as Trait>::rest".to_owned(), 1),
        ]);
        let svg = svg("both", &stacks);
        assert!(svg.contains("work (3 samples, 75.00 %)") && svg.contains("width=\"1200.0\""));
        assert!(svg.contains("&lt;T as Trait&gt;::rest (1 samples, 25.00 %)"));
    }

    #[track_caller]
    fn check(name: &str, readable: &str) {
        assert_eq!(guest(name), format!("{GUEST}{readable}"));
    }

    #[test]
    fn a_name_of_a_guest_is_read_whether_or_not_its_end_was_cut_off() {
        check(
            "wasm[0]::function[8]::_ZN7zlib_rs7inflate17inflate_fast_help17hd859733b299e8b3cE",
            "zlib_rs::inflate::inflate_fast_help",
        );
        // Cut within the hash, within an escape, within a part, and behind a length.
        check(
            "wasm[0]::function[394]::_ZN9trawl_app5fetch6robots19RobotsGate$LT$P$GT$5check28_$u7b$$u7b$closure$u7d$$u7d$17ha3b56444b0",
            "trawl_app::fetch::robots::RobotsGate<P>::check::{{closure}}",
        );
        check(
            "wasm[0]::function[165]::_ZN65_$LT$trawl_spin..sql..RawSql$u20$as$u20$trawl_store..sql..Sql$GT$3run28_$u7b$$u7b$closure$u",
            "<trawl_spin::sql::RawSql as trawl_store::sql::Sql>::run::{{closure",
        );
        check("_ZN4core3ptr13drop_in_pl", "core::ptr::drop_in_pl");
        check("_ZN4core3ptr13", "core::ptr");
        check("memcpy", "memcpy");
        check("_ZNotrust", "_ZNotrust");
    }
}
