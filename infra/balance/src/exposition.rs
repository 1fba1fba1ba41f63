//! The Prometheus text format (version 0.0.4): one family after the other, each with its help and its kind.

use std::fmt::Write as _;

/// What a family counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows; its name ends in `_total`.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Cumulative buckets, with `_sum` and `_count`.
    Histogram,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A text in the making.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

impl Exposition {
    /// Begins the family `trawl_<name>`. Its samples follow before the next family begins, as the format asks.
    pub fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &str) -> Family<'a> {
        self.begin("trawl_", name, kind, help)
    }

    /// Begins the family `process_<name>`, one of those that mean the same in every program
    /// (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>).
    pub fn process<'a>(&'a mut self, name: &'a str, kind: Kind, help: &str) -> Family<'a> {
        self.begin("process_", name, kind, help)
    }

    fn begin<'a>(
        &'a mut self,
        prefix: &'static str,
        name: &'a str,
        kind: Kind,
        help: &str,
    ) -> Family<'a> {
        let _ = write!(self.text, "# HELP {prefix}{name} ");
        for symbol in help.chars() {
            match symbol {
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                other => self.text.push(other),
            }
        }
        let _ = writeln!(self.text, "\n# TYPE {prefix}{name} {}", kind.name());
        Family {
            prefix,
            name,
            text: &mut self.text,
        }
    }

    /// The text.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }
}

/// One family, taking its samples.
#[derive(Debug)]
pub struct Family<'a> {
    prefix: &'static str,
    name: &'a str,
    text: &'a mut String,
}

impl Family<'_> {
    /// A sample with its labels.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.suffixed("", labels, value);
    }

    /// A sample whose name goes on with `suffix`: `_sum`, `_count` or `_bucket`.
    pub fn suffixed(&mut self, suffix: &str, labels: &[(&str, &str)], value: f64) {
        let _ = write!(self.text, "{}{}{suffix}", self.prefix, self.name);
        for (place, (name, value)) in labels.iter().enumerate() {
            self.text.push(if place == 0 { '{' } else { ',' });
            let _ = write!(self.text, "{name}=\"");
            for symbol in value.chars() {
                match symbol {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

/// A count as the format wants it: it has floating point numbers only.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "a count beyond 2^53 may be a little off"
)]
pub fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_stand_under_their_family_with_escaped_labels() {
        let mut text = Exposition::default();
        let mut family = text.family("things_total", Kind::Counter, "Things,\nas \\ they come.");
        family.sample(&[("name", "a\"b\\c\nd"), ("other", "x")], 3.0);
        text.family("plain", Kind::Gauge, "A number.")
            .sample(&[], 0.5);
        text.process("threads", Kind::Gauge, "Threads.")
            .sample(&[], 7.0);
        assert_eq!(
            text.into_text(),
            "# HELP trawl_things_total Things,\\nas \\\\ they come.\n# TYPE trawl_things_total counter\n\
             trawl_things_total{name=\"a\\\"b\\\\c\\nd\",other=\"x\"} 3\n\
             # HELP trawl_plain A number.\n# TYPE trawl_plain gauge\ntrawl_plain 0.5\n\
             # HELP process_threads Threads.\n# TYPE process_threads gauge\nprocess_threads 7\n"
        );
    }
}
