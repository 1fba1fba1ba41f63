//! Figures with median and spread, and ratios between them.

use serde_json::{Value, json};

/// One measured figure.
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) name: String,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// One value for each repeat.
    pub(crate) values: Vec<f64>,
}

impl Figure {
    /// The median.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn bounds(&self) -> (f64, f64) {
        self.values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
                (low.min(*v), high.max(*v))
            })
    }
}

/// All figures of a run.
#[derive(Default)]
pub(crate) struct Table {
    figures: Vec<Figure>,
    ratios: Vec<(String, f64)>,
    notes: Vec<String>,
}

impl Table {
    /// Adds a figure and gives back its median.
    pub(crate) fn add(
        &mut self,
        name: impl Into<String>,
        unit: &'static str,
        values: Vec<f64>,
    ) -> f64 {
        let figure = Figure {
            name: name.into(),
            unit,
            values,
        };
        let median = figure.median();
        eprintln!("{}: {median:.1} {unit}", figure.name);
        self.figures.push(figure);
        median
    }

    /// The median of a figure that was measured before.
    pub(crate) fn median(&self, name: &str) -> Option<f64> {
        self.figures
            .iter()
            .find(|f| f.name == name)
            .map(Figure::median)
    }

    /// Adds the ratio of two figures, when both were measured.
    pub(crate) fn ratio(&mut self, above: &str, below: &str) {
        if let (Some(above_value), Some(below_value)) = (self.median(above), self.median(below)) {
            self.ratios
                .push((format!("{above} / {below}"), above_value / below_value));
        }
    }

    /// Adds a sentence under the table.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// The ratios.
    pub(crate) fn ratios(&self) -> &[(String, f64)] {
        &self.ratios
    }

    /// As Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut out = String::from(
            "| figure | median | least | most | unit |\n| --- | ---: | ---: | ---: | --- |\n",
        );
        for figure in &self.figures {
            let (low, high) = figure.bounds();
            out += &format!(
                "| {} | {:.1} | {low:.1} | {high:.1} | {} |\n",
                figure.name,
                figure.median(),
                figure.unit
            );
        }
        out += "\n| ratio | value |\n| --- | ---: |\n";
        for (name, value) in &self.ratios {
            out += &format!("| {name} | {value:.3} |\n");
        }
        for note in &self.notes {
            out += &format!("\n{note}\n");
        }
        out
    }

    /// As JSON.
    pub(crate) fn json(&self) -> Value {
        json!({
            "figures": self.figures.iter().map(|f| json!({"name": f.name, "unit": f.unit, "median": f.median(), "values": f.values})).collect::<Vec<_>>(),
            "ratios": self.ratios.iter().map(|(n, v)| (n.clone(), json!(v))).collect::<serde_json::Map<_, _>>(),
        })
    }
}
