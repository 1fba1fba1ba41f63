//! `Retry-After` and the dates of HTTP.

use crate::calendar::days_from_civil;

/// How long the server asks to wait, from now, in milliseconds. `None` when the field can't be read. A date that has passed
/// asks for nothing. Whoever waits decides which wishes are too long for it.
#[must_use]
pub fn retry_after_ms(value: &str, now_ms: i64) -> Option<u64> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than fit ask for longer than anybody waits.
        let seconds = value.parse::<u64>().unwrap_or(u64::MAX);
        return Some(seconds.saturating_mul(1_000));
    }
    let until_ms = http_date_ms(value)?;
    let wait_ms = until_ms.saturating_sub(now_ms);
    Some(u64::try_from(wait_ms).unwrap_or(0))
}

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

/// Reads a date in any of the three forms of RFC 9110 (5.6.7), and the dashed four-digit-year form that cookies use.
/// Milliseconds since the epoch.
#[must_use]
pub fn http_date_ms(value: &str) -> Option<i64> {
    let mut day = None;
    let mut month = None;
    let mut year: Option<i64> = None;
    let mut seconds = None;
    // The day of the week carries no information; `GMT` is the only zone there is.
    for token in value
        .split([' ', ',', '-'])
        .filter(|token| !token.is_empty())
        .take(8)
    {
        if token.contains(':') {
            seconds = Some(time_of_day_s(token)?);
        } else if token.bytes().all(|b| b.is_ascii_digit()) {
            match token.len() {
                1 | 2 if day.is_none() => day = token.parse::<i64>().ok(),
                2 => {
                    year = token
                        .parse::<i64>()
                        .ok()
                        .map(|y| if y < 70 { 2_000 + y } else { 1_900 + y })
                }
                4 => year = token.parse::<i64>().ok(),
                _ => return None,
            }
        } else if let Some(at) = MONTHS
            .iter()
            .position(|name| token.eq_ignore_ascii_case(name))
        {
            month = Some(at as i64 + 1);
        }
    }
    let (day, month, year, seconds) = (day?, month?, year?, seconds?);
    if !(1..=31).contains(&day) || !(1_601..=9_999).contains(&year) {
        return None;
    }
    Some((days_from_civil(year, month, day) * 86_400 + seconds) * 1_000)
}

fn time_of_day_s(token: &str) -> Option<i64> {
    let mut parts = token.split(':').map(|part| {
        (matches!(part.len(), 1 | 2) && part.bytes().all(|b| b.is_ascii_digit()))
            .then(|| part.parse::<i64>().ok())?
    });
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    // 60 is a leap second.
    (parts.next().is_none() && hours < 24 && minutes < 60 && seconds <= 60)
        .then_some(hours * 3_600 + minutes * 60 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RFC_EXAMPLE_MS: i64 = 784_111_777_000;

    #[test]
    fn the_forms_of_the_rfc_name_the_same_moment() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06-Nov-1994 08:49:37 GMT",
        ] {
            assert_eq!(http_date_ms(text), Some(RFC_EXAMPLE_MS), "{text}");
        }
        assert_eq!(http_date_ms("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(
            http_date_ms("Tue, 29 Feb 2000 12:00:00 GMT"),
            Some(951_825_600_000)
        );
        assert_eq!(
            http_date_ms("Fri, 31 Dec 9999 23:59:59 GMT"),
            Some(253_402_300_799_000)
        );
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "soon",
            "Sun, 06 Nov 1994",
            "08:49:37",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 8:4 GMT",
            "Sun, 06 Foo 1994 08:49:37 GMT",
            "Sun, 06 Nov 0000 08:49:37 GMT",
            "Sun, 06 Nov 19941 08:49:37 GMT",
            "-1",
            "1.5",
        ] {
            assert_eq!(http_date_ms(text), None, "{text}");
        }
    }

    #[test]
    fn waits_are_read_from_seconds_and_dates_as_they_are_asked_for() {
        let now_ms = RFC_EXAMPLE_MS;
        for (value, wanted) in [
            ("0", Some(0)),
            (" 120 ", Some(120_000)),
            ("3600", Some(3_600_000)),
            ("3601", Some(3_601_000)),
            ("99999999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10_000)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("Mon, 07 Nov 1994 08:49:37 GMT", Some(86_400_000)),
            ("-5", None),
            ("10s", None),
            ("", None),
        ] {
            assert_eq!(retry_after_ms(value, now_ms), wanted, "{value:?}");
        }
    }
}
