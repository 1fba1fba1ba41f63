//! Stacks with their counts, as a flame graph in SVG: no script, the full name of a frame is its tooltip.

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
}
