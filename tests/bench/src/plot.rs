//! The figures as SVG: one chart for each unit, a bar from the least to the most with a mark at the median.

use std::path::Path;

use plotters::prelude::*;

use crate::table::{Figure, Table};

const WIDTH: u32 = 1_000;
const ROW: u32 = 28;
const NAMES: u32 = 400;
const MARGIN: u32 = 40;

/// Writes `figures-UNIT.svg` into `folder`, for each unit that occurs.
pub(crate) fn write(table: &Table, folder: &Path) -> anyhow::Result<()> {
    let mut units: Vec<&str> = table.figures().iter().map(|figure| figure.unit).collect();
    units.sort_unstable();
    units.dedup();
    for unit in units {
        let figures: Vec<&Figure> = table
            .figures()
            .iter()
            .filter(|figure| figure.unit == unit)
            .collect();
        let name = format!("figures-{}.svg", unit.replace('/', "-per-"));
        chart(&figures, unit, &folder.join(name))
            .map_err(|error| anyhow::anyhow!("the chart of {unit}: {error}"))?;
    }
    Ok(())
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn chart(figures: &[&Figure], unit: &str, file: &Path) -> Drawn {
    let rows = u32::try_from(figures.len())?;
    let root = SVGBackend::new(file, (WIDTH, MARGIN + rows * ROW + MARGIN)).into_drawing_area();
    root.fill(&WHITE)?;
    let most = figures
        .iter()
        .map(|figure| figure.bounds().1)
        .fold(0.0, f64::max);
    let left = i32::try_from(NAMES)?;
    let wide = f64::from(WIDTH - NAMES - 3 * MARGIN);
    #[expect(clippy::cast_possible_truncation, reason = "pixels of a chart")]
    let at = |value: f64| left + (value / most.max(f64::MIN_POSITIVE) * wide) as i32;
    let text = ("sans-serif", 13).into_font();
    root.draw_text(unit, &text.clone().into_text_style(&root), (left, 10))?;
    for (row, figure) in (0_i32..).zip(figures) {
        let top = i32::try_from(MARGIN)? + row * i32::try_from(ROW)?;
        let style = text.clone().into_text_style(&root);
        root.draw_text(&figure.name, &style, (10, top + 4))?;
        let (low, high) = figure.bounds();
        let bar =
            |from, to, style: ShapeStyle| Rectangle::new([(from, top + 2), (to, top + 18)], style);
        root.draw(&bar(left, at(figure.median()), BLUE.mix(0.35).filled()))?;
        root.draw(&bar(
            at(low),
            at(high).max(at(low) + 1),
            BLUE.mix(0.5).filled(),
        ))?;
        let value = format!("{:.1}", figure.median());
        root.draw_text(&value, &style, (at(high) + 6, top + 4))?;
    }
    root.present()?;
    Ok(())
}
