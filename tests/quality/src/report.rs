//! The table people read, and the check against recorded figures.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::score::Figures;
use crate::speed::Speed;

/// How much a figure may fall before the check fails.
const FALL_MAX: f64 = 0.005;

const TYPES: [&str; 7] = [
    "article",
    "service",
    "product",
    "collection",
    "forum",
    "listing",
    "documentation",
];

/// What others score on the same 350 pages, as published with them; speed on one core, native.
const PUBLISHED: [(&str, f64, [f64; 7], &str); 6] = [
    (
        "three crates combined",
        0.819,
        [0.952, 0.857, 0.678, 0.651, 0.782, 0.650, 0.934],
        "57",
    ),
    (
        "rs-trafilatura 0.2.2",
        0.815,
        [0.935, 0.856, 0.674, 0.651, 0.782, 0.663, 0.934],
        "112",
    ),
    (
        "PageSift 0.81.5",
        0.807,
        [0.925, 0.839, 0.682, 0.687, 0.648, 0.736, 0.924],
        "200-280",
    ),
    (
        "trafilatura 0.6.0 (crate)",
        0.791,
        [0.939, 0.850, 0.656, 0.565, 0.681, 0.654, 0.930],
        "115",
    ),
    (
        "trafilatura 2.3.1 (Python)",
        0.783,
        [0.935, 0.796, 0.709, 0.575, 0.681, 0.610, 0.906],
        "76",
    ),
    (
        "dom_smoothie 0.19",
        0.703,
        [0.919, 0.748, 0.489, 0.434, 0.496, 0.526, 0.931],
        "579",
    ),
];

/// Prints the figures with the published ones beside.
pub(crate) fn print(figures: &[Figures], pages: usize) {
    print!("{:<38}{:>7}", format!("F1 on {pages} pages"), "all");
    for kind in TYPES {
        print!("{:>9}", &kind[..kind.len().min(8)]);
    }
    println!("{:>14}", "pages/s native");
    for row in figures {
        print!("{:<38}{:>7.3}", format!("trawl {}", row.mode), row.f1);
        for kind in TYPES {
            print!(
                "{:>9.3}",
                row.f1_by_type.get(kind).copied().unwrap_or_default()
            );
        }
        println!("{:>14}", "see below");
    }
    for (name, f1, by_type, speed) in PUBLISHED {
        print!("{:<38}{f1:>7.3}", format!("{name} (published)"));
        for value in by_type {
            print!("{value:>9.3}");
        }
        println!("{speed:>14}");
    }
    for row in figures {
        println!(
            "{}: title {:.3}, author {:.3}, date {} right of {} with {} false on {} undated",
            row.mode,
            row.title,
            row.author,
            row.dates_right,
            row.dates,
            row.dates_false,
            row.undated
        );
    }
}

/// Prints pages a second on one thread, natively and in WASM, with the ratio, and the same for the hostile pages.
pub(crate) fn print_speed(native: &Speed, in_wasm: Option<&Speed>) {
    let of = |figures: &[(String, f64)], name: &str| {
        figures
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, figure)| *figure)
    };
    let wasm_of = |name: &str, list: fn(&Speed) -> &[(String, f64)]| {
        in_wasm.and_then(|speed| of(list(speed), name))
    };
    println!(
        "{:<38}{:>10}{:>10}{:>8}",
        "pages/s on one core", "native", "WASM", "ratio"
    );
    for (name, figure) in &native.pages_per_second {
        print!("{name:<38}{figure:>10.0}");
        match wasm_of(name, |speed| &speed.pages_per_second) {
            Some(wasm) => println!("{wasm:>10.0}{:>8.2}", wasm / figure),
            None => println!("{:>10}{:>8}", "-", "-"),
        }
    }
    let first = |speed: &Speed| {
        format!(
            "first page {:.1} ms, again {:.1} ms",
            speed.first_ms, speed.again_ms
        )
    };
    println!("a fresh process: {}", first(native));
    if let Some(speed) = in_wasm {
        println!("a fresh instance: {}", first(speed));
    }
    for (name, figure) in &native.hostile_ms {
        print!("{:<54}{figure:>7.1} ms", format!("hostile: {name}"));
        match wasm_of(name, |speed| &speed.hostile_ms) {
            Some(wasm) => println!("{wasm:>7.1} ms{:>8.2}", wasm / figure),
            None => println!(),
        }
    }
}

/// Fails when a figure has fallen under the recorded one.
pub(crate) fn check(figures: &[Figures], recorded: &Path) -> Result<()> {
    let text = std::fs::read_to_string(recorded).with_context(|| recorded.display().to_string())?;
    let recorded: Vec<Figures> = serde_json::from_str(&text).context("the recorded figures")?;
    let mut fallen = Vec::new();
    for now in figures {
        let Some(then) = recorded.iter().find(|then| then.mode == now.mode) else {
            continue;
        };
        for (name, value, before) in compared(now, then) {
            if value < before - FALL_MAX {
                fallen.push(format!(
                    "{} {name}: {value:.4}, recorded {before:.4}",
                    now.mode
                ));
            }
        }
    }
    if fallen.is_empty() {
        println!("no figure fell by more than {FALL_MAX}");
        return Ok(());
    }
    bail!(
        "figures fell by more than {FALL_MAX}:\n{}",
        fallen.join("\n")
    )
}

/// Every figure where more is better, now and as recorded.
fn compared(now: &Figures, then: &Figures) -> Vec<(String, f64, f64)> {
    let share = |part: usize, of: usize| {
        if of == 0 {
            0.0
        } else {
            part as f64 / of as f64
        }
    };
    let mut pairs = vec![
        ("F1".to_owned(), now.f1, then.f1),
        ("title".to_owned(), now.title, then.title),
        ("author".to_owned(), now.author, then.author),
        (
            "dates".to_owned(),
            share(now.dates_right, now.dates),
            share(then.dates_right, then.dates),
        ),
        (
            "undated".to_owned(),
            1.0 - share(now.dates_false, now.undated),
            1.0 - share(then.dates_false, then.undated),
        ),
    ];
    for (kind, before) in &then.f1_by_type {
        pairs.push((
            format!("F1 {kind}"),
            now.f1_by_type.get(kind).copied().unwrap_or_default(),
            *before,
        ));
    }
    pairs
}
