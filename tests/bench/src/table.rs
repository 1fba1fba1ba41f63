//! Figures with median and spread, ratios between them, and what was aimed at.

use serde_json::{Map, Value, json};

/// One measured figure.
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) name: String,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// One value for each repeat.
    pub(crate) values: Vec<f64>,
    at_most: Option<f64>,
}

impl Figure {
    /// The median.
    pub(crate) fn median(&self) -> f64 {
        median(self.values.clone())
    }

    /// The least and the most.
    pub(crate) fn bounds(&self) -> (f64, f64) {
        self.values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
                (low.min(*v), high.max(*v))
            })
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The ratio of two figures of the same run.
pub(crate) struct Ratio {
    /// What over what.
    pub(crate) name: String,
    /// The ratio.
    pub(crate) value: f64,
    /// What was aimed at.
    pub(crate) at_least: Option<f64>,
}

/// All figures of a run.
#[derive(Default)]
pub(crate) struct Table {
    figures: Vec<Figure>,
    ratios: Vec<Ratio>,
    notes: Vec<String>,
}

impl Table {
    /// Adds a figure. One without values was not measured, and is left out.
    pub(crate) fn add(&mut self, name: impl Into<String>, unit: &'static str, values: Vec<f64>) {
        if values.is_empty() {
            return;
        }
        let figure = Figure {
            name: name.into(),
            unit,
            values,
            at_most: None,
        };
        eprintln!("{}: {:.1} {unit}", figure.name, figure.median());
        self.figures.push(figure);
    }

    /// The same with a target that the median should stay under.
    pub(crate) fn add_under(
        &mut self,
        at_most: f64,
        name: impl Into<String>,
        unit: &'static str,
        values: Vec<f64>,
    ) {
        self.add(name, unit, values);
        if let Some(figure) = self.figures.last_mut() {
            figure.at_most = Some(at_most);
        }
    }

    fn figure(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.name == name)
    }

    /// Adds the ratio of two figures, when both were measured, with what it should be at least: the median of their repeats' ratios,
    /// since the two were measured in turns, and a slow minute of the machine then slows down both.
    pub(crate) fn ratio(
        &mut self,
        name: impl Into<String>,
        above: &str,
        below: &str,
        at_least: Option<f64>,
    ) {
        if let (Some(above), Some(below)) = (self.figure(above), self.figure(below)) {
            let turns = above.values.iter().zip(&below.values);
            let value = median(turns.map(|(above, below)| above / below).collect());
            self.ratios.push(Ratio {
                name: name.into(),
                value,
                at_least,
            });
        }
    }

    /// Adds a sentence under the table.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// The figures.
    pub(crate) fn figures(&self) -> &[Figure] {
        &self.figures
    }

    /// The ratios.
    pub(crate) fn ratios(&self) -> &[Ratio] {
        &self.ratios
    }

    /// A ratio's value, when it was measured.
    pub(crate) fn value(&self, name: &str) -> Option<f64> {
        let ratio = self.ratios.iter().find(|ratio| ratio.name == name);
        ratio.map(|ratio| ratio.value)
    }

    /// As Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut out = String::from(
            "| figure | median | least | most | unit | target |\n| --- | ---: | ---: | ---: | --- | --- |\n",
        );
        for figure in &self.figures {
            let (low, high) = figure.bounds();
            let target = figure.at_most.map_or(String::new(), |most| {
                format!("< {most}: {}", verdict(figure.median() < most))
            });
            out += &format!(
                "| {} | {} | {} | {} | {} | {target} |\n",
                figure.name,
                short(figure.median()),
                short(low),
                short(high),
                figure.unit
            );
        }
        out += "\n| ratio, median of the turns | value | target |\n| --- | ---: | --- |\n";
        for ratio in &self.ratios {
            let target = ratio.at_least.map_or(String::new(), |least| {
                format!("at least {least:.2}: {}", verdict(ratio.value >= least))
            });
            out += &format!("| {} | {:.3} | {target} |\n", ratio.name, ratio.value);
        }
        for note in &self.notes {
            out += &format!("\n{note}\n");
        }
        out
    }

    /// As JSON.
    pub(crate) fn json(&self) -> Value {
        let figures = self.figures.iter().map(|f| {
            json!({"name": f.name, "unit": f.unit, "median": f.median(), "values": f.values, "at_most": f.at_most})
        });
        let ratios = self.ratios.iter().map(|r| (r.name.clone(), json!(r.value)));
        json!({
            "figures": figures.collect::<Vec<_>>(),
            "ratios": ratios.collect::<Map<_, _>>(),
            "notes": self.notes,
        })
    }
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

/// As many decimals as say something.
fn short(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}
