//! Which of several forms a client wants (RFC 9110 12.5.1).

/// The index of the offered media type that `accept` likes best; among equals the first offered. `None` when it takes
/// none of them. No header takes anything.
pub(super) fn choose(accept: Option<&str>, offered: &[&str]) -> Option<usize> {
    let accept = accept
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .unwrap_or("*/*");
    let ranges: Vec<(&str, u16)> = accept.split(',').filter_map(range).collect();
    let mut best: Option<(usize, u16)> = None;
    for (index, media_type) in offered.iter().enumerate() {
        let quality = quality(&ranges, media_type);
        if quality > best.map_or(0, |(_, quality)| quality) {
            best = Some((index, quality));
        }
    }
    best.map(|(index, _)| index)
}

/// A media range and its weight in thousandths.
fn range(text: &str) -> Option<(&str, u16)> {
    let mut parameters = text.split(';').map(str::trim);
    let range = parameters.next().filter(|range| range.contains('/'))?;
    let weight = parameters.find_map(|parameter| {
        parameter
            .strip_prefix("q=")
            .or_else(|| parameter.strip_prefix("Q="))
    });
    Some((range, weight.map_or(Some(1000), thousandths)?))
}

fn thousandths(text: &str) -> Option<u16> {
    let weight: f32 = text.trim().parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was checked"
    )]
    (0.0..=1.0)
        .contains(&weight)
        .then_some((weight * 1000.0) as u16)
}

/// The weight of the most specific range that covers `media_type`.
fn quality(ranges: &[(&str, u16)], media_type: &str) -> u16 {
    let specificity = |range: &str| {
        if range.eq_ignore_ascii_case(media_type) {
            3
        } else if range.split_once('/').is_some_and(|(kind, rest)| {
            rest == "*"
                && media_type
                    .split('/')
                    .next()
                    .is_some_and(|own| own.eq_ignore_ascii_case(kind))
        }) {
            2
        } else {
            u8::from(range == "*/*")
        }
    };
    let covering = ranges
        .iter()
        .map(|(range, quality)| (specificity(range), *quality))
        .filter(|(specificity, _)| *specificity > 0);
    covering.max().map_or(0, |(_, quality)| quality)
}

#[cfg(test)]
mod tests {
    use super::choose;

    const TEXT: &[&str] = &["application/json", "text/plain", "text/markdown"];

    #[test]
    fn the_first_is_given_to_who_takes_anything() {
        for accept in [
            None,
            Some(""),
            Some("*/*"),
            Some("text/html, */*;q=0.1"),
            Some("application/*"),
        ] {
            assert_eq!(choose(accept, TEXT), Some(0), "{accept:?}");
        }
    }

    #[test]
    fn the_client_chooses() {
        assert_eq!(choose(Some("text/plain"), TEXT), Some(1));
        assert_eq!(choose(Some("Text/Markdown; charset=utf-8"), TEXT), Some(2));
        assert_eq!(choose(Some("text/*"), TEXT), Some(1));
        assert_eq!(
            choose(Some("application/json;q=0.5, text/markdown;q=0.9"), TEXT),
            Some(2)
        );
        assert_eq!(choose(Some("*/*, application/json;q=0"), TEXT), Some(1));
        assert_eq!(
            choose(
                Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
                &["text/html", "application/json"]
            ),
            Some(0)
        );
    }

    #[test]
    fn some_take_nothing_we_have() {
        for accept in ["image/png", "*/*;q=0", "text/plain;q=2", "nonsense"] {
            assert_eq!(choose(Some(accept), TEXT), None, "{accept}");
        }
    }
}
