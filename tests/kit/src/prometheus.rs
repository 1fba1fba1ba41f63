//! Reads the Prometheus text format (version 0.0.4) strictly: what a scraper would tolerate is an error here.

use std::collections::{BTreeMap, HashMap, HashSet};

/// A parsed text.
#[derive(Debug, Default)]
pub struct Metrics {
    samples: BTreeMap<String, f64>,
    kinds: HashMap<String, String>,
}

impl Metrics {
    /// Parses `text`.
    ///
    /// # Panics
    /// With the line that breaks the format: a sample outside its family or without help or kind, a family or a sample
    /// given twice, a counter not named `_total`, a label that is not escaped, a value that is no number.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line must end");
        let mut metrics = Self::default();
        let mut helped = HashSet::new();
        let mut family = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
                assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap_or((rest, ""));
                metrics.begin(name, kind, line);
                assert!(helped.contains(name), "no help before: {line}");
                family = name.to_owned();
            } else {
                metrics.sample(&family, line);
            }
        }
        metrics
    }

    /// The value of a sample, written as in the text: `name{label="value"}`.
    #[must_use]
    pub fn get(&self, sample: &str) -> Option<f64> {
        self.samples.get(sample).copied()
    }

    /// The sum over all samples of one name.
    #[must_use]
    pub fn sum(&self, name: &str) -> f64 {
        let is_of = |key: &str| key.split('{').next() == Some(name);
        self.samples
            .iter()
            .filter(|(key, _)| is_of(key))
            .map(|(_, value)| value)
            .sum()
    }

    /// The kind of a family.
    #[must_use]
    pub fn kind(&self, family: &str) -> Option<&str> {
        self.kinds.get(family).map(String::as_str)
    }

    fn begin(&mut self, name: &str, kind: &str, line: &str) {
        let known = ["counter", "gauge", "summary", "histogram", "untyped"];
        assert!(known.contains(&kind), "unknown kind: {line}");
        assert!(is_name(name), "not a name: {line}");
        assert_eq!(
            kind == "counter",
            name.ends_with("_total"),
            "a counter is named _total, and nothing else is: {line}"
        );
        let before = self.kinds.insert(name.to_owned(), kind.to_owned());
        assert!(before.is_none(), "a second time: {line}");
    }

    fn sample(&mut self, family: &str, line: &str) {
        let (key, value) = line
            .rsplit_once(' ')
            .unwrap_or_else(|| panic!("not a sample: {line}"));
        let name = key.split('{').next().unwrap_or_default();
        let suffix = name
            .strip_prefix(family)
            .unwrap_or_else(|| panic!("not of the family {family}: {line}"));
        let suffixes: &[&str] = match self.kinds.get(family).map(String::as_str) {
            Some("summary") => &["", "_sum", "_count"],
            Some("histogram") => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        assert!(
            suffixes.contains(&suffix),
            "{family} has no {suffix}: {line}"
        );
        if let Some(labels) = key.strip_prefix(name).filter(|labels| !labels.is_empty()) {
            check_labels(labels, line);
        }
        let number = match value {
            "+Inf" => f64::INFINITY,
            "-Inf" => f64::NEG_INFINITY,
            "NaN" => f64::NAN,
            // Rust reads more spellings than the format knows.
            other => {
                assert!(
                    other.starts_with(|c: char| c.is_ascii_digit() || c == '-'),
                    "not a number: {line}"
                );
                other
                    .parse()
                    .unwrap_or_else(|_| panic!("not a number: {line}"))
            }
        };
        let before = self.samples.insert(key.to_owned(), number);
        assert!(before.is_none(), "a second time: {line}");
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `{name="value",…}` with `\\`, `"` and line ends escaped.
fn check_labels(labels: &str, line: &str) {
    let inner = labels
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .unwrap_or_else(|| panic!("labels stand in braces: {line}"));
    let mut rest = inner;
    loop {
        let (name, after) = rest
            .split_once("=\"")
            .unwrap_or_else(|| panic!("a label has a quoted value: {line}"));
        assert!(is_name(name), "not a label's name: {line}");
        let end = end_of_value(after)
            .unwrap_or_else(|| panic!("a value that is not ended or escaped: {line}"));
        rest = &after[end + 1..];
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None => break,
        }
    }
    assert!(rest.is_empty(), "something after the labels: {line}");
}

fn end_of_value(text: &str) -> Option<usize> {
    let mut bytes = text.bytes().enumerate();
    while let Some((place, byte)) = bytes.next() {
        match byte {
            b'"' => return Some(place),
            b'\\' => match bytes.next() {
                Some((_, b'\\' | b'"' | b'n')) => {}
                _ => return None,
            },
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn a_text_in_order_is_read() {
        let text = "# HELP a_total As.\n# TYPE a_total counter\na_total{x=\"1\\\"\"} 2\na_total{x=\"2\"} 3\n\
                    # HELP s Times.\n# TYPE s summary\ns{quantile=\"0.5\"} NaN\ns_sum 1.5\ns_count 2\n";
        let metrics = Metrics::parse(text);
        assert_eq!(metrics.sum("a_total"), 5.0);
        assert_eq!(metrics.get("a_total{x=\"2\"}"), Some(3.0));
        assert_eq!(metrics.kind("s"), Some("summary"));
    }

    #[test]
    fn what_is_out_of_order_is_refused() {
        for wrong in [
            "# HELP a As.\n# TYPE a gauge\na 1",
            "# TYPE a gauge\na 1\n",
            "# HELP a As.\n# TYPE a gauge\nb 1\n",
            "# HELP a As.\n# TYPE a counter\na 1\n",
            "# HELP a As.\n# TYPE a gauge\na 1\na 2\n",
            "# HELP a As.\n# TYPE a gauge\na inf\n",
            "# HELP a As.\n# TYPE a gauge\na{x=\"\\y\"} 1\n",
            "# HELP a As.\n# TYPE a gauge\na{x=\"1} 1\n",
            "# HELP a As.\n# TYPE a gauge\na_sum 1\n",
            "# HELP a As.\n# TYPE a thing\na 1\n",
        ] {
            let outcome = std::panic::catch_unwind(|| Metrics::parse(wrong));
            assert!(outcome.is_err(), "{wrong}");
        }
    }
}
