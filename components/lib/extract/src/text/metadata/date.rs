//! The day of publication: JSON-LD, then meta elements, then microdata and `<time>`.

use super::super::model::{PageType, TypeOdds};
use super::{JsonLd, Scan, Sourced};
use crate::dom::{Document, NodeId};

/// Meta elements that give the time of publication, in order of trust.
const PUBLISHED: [&str; 23] = [
    "article:published_time",
    "og:article:published_time",
    "article:published",
    "og:published_time",
    "datepublished",
    "date_published",
    "parsely-pub-date",
    "sailthru.date",
    "publish-date",
    "publish_date",
    "publishdate",
    "pubdate",
    "published_time",
    "published-date",
    "dc.date.issued",
    "dcterms.issued",
    "dcterms.created",
    "dc.date.created",
    "citation_publication_date",
    "citation_date",
    "citation_online_date",
    "article.published",
    "article.created",
];
/// Meta elements whose date may be any date of the page; only trusted on pages that usually have one.
const VAGUE: [&str; 5] = [
    "date",
    "dc.date",
    "dcterms.date",
    "created",
    "og:release_date",
];

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
/// The months of other languages in lower case, as far as they do not begin as the English ones do: German, Dutch and the
/// Nordic ones, French, Spanish, Portuguese, Italian, Polish, Czech, Turkish and Russian.
const FOREIGN_MONTHS: [&[&str]; 12] = [
    &[
        "janvier",
        "enero",
        "ene",
        "gennaio",
        "janeiro",
        "stycznia",
        "ledna",
        "ocak",
        "января",
        "янв",
    ],
    &[
        "février",
        "févr",
        "fevrier",
        "fevereiro",
        "lutego",
        "února",
        "şubat",
        "февраля",
        "фев",
    ],
    &["märz", "maerz", "mrz", "maart", "března", "марта", "мар"],
    &[
        "avril",
        "avr",
        "abril",
        "abr",
        "kwietnia",
        "dubna",
        "nisan",
        "апреля",
        "апр",
    ],
    &[
        "mai", "mei", "maj", "mayo", "maggio", "maio", "maja", "května", "mayıs", "мая",
    ],
    &[
        "juin", "giugno", "czerwca", "června", "haziran", "июня", "июн",
    ],
    &[
        "juillet",
        "juil",
        "luglio",
        "lipca",
        "července",
        "temmuz",
        "июля",
        "июл",
    ],
    &[
        "août",
        "aout",
        "agosto",
        "ago",
        "sierpnia",
        "srpna",
        "ağustos",
        "августа",
        "авг",
    ],
    &[
        "settembre",
        "wrzesień",
        "września",
        "září",
        "eylül",
        "сентября",
        "сен",
        "setembro",
    ],
    &[
        "oktober",
        "okt",
        "ottobre",
        "outubro",
        "października",
        "října",
        "ekim",
        "октября",
        "окт",
    ],
    &["listopada", "listopadu", "kasım", "ноября", "ноя"],
    &[
        "dezember",
        "dez",
        "décembre",
        "déc",
        "diciembre",
        "dic",
        "dicembre",
        "dezembro",
        "grudnia",
        "prosince",
        "aralık",
        "декабря",
        "дек",
    ],
];

/// The month that a word names.
fn month_of(word: &str) -> Option<u32> {
    let at = match word.get(..3) {
        Some(head) if word.is_ascii() => MONTHS
            .iter()
            .position(|month| head.eq_ignore_ascii_case(month)),
        _ => None,
    };
    let is_short = word.len() <= MONTH_BYTES_MAX;
    let foreign = || {
        let word = word.to_lowercase();
        let mut months = FOREIGN_MONTHS.iter();
        months.position(|names| names.contains(&word.as_str()))
    };
    let at = at.or_else(|| if is_short { foreign() } else { None })?;
    Some(at as u32 + 1)
}

/// The longest name of a month.
const MONTH_BYTES_MAX: usize = 16;

pub(super) fn find(
    document: &Document<'_>,
    scan: &Scan<'_>,
    json: &JsonLd,
    types: &TypeOdds,
) -> Option<Sourced> {
    let sourced = |day: String, source| Sourced::new(day, source);
    // Of other kinds of pages a date is mostly that of the template.
    let dated = types.of(PageType::Article) + types.of(PageType::Forum);
    if dated + types.of(PageType::Documentation) < DATED_ODDS_MIN {
        return None;
    }
    if let Some(day) = json.date_published().as_deref().and_then(day_of) {
        return sourced(day, "json-ld");
    }
    let named = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| scan.meta(name).and_then(day_of))
    };
    if let Some(day) = named(&PUBLISHED) {
        return sourced(day, "meta");
    }
    if dated < DATED_ODDS_MIN {
        return None;
    }
    if let Some(day) = json.page_date().as_deref().and_then(day_of) {
        return sourced(day, "json-ld");
    }
    for node in &scan.published {
        let value = document
            .attribute(*node, "datetime")
            .or_else(|| document.attribute(*node, "content"));
        let text = value.map_or_else(
            || document.text_content_up_to(*node, DATE_BYTES_MAX),
            std::borrow::Cow::into_owned,
        );
        if let Some(day) = day_of(&text) {
            return sourced(day, "microdata");
        }
    }
    if let Some(day) = named(&VAGUE) {
        return sourced(day, "meta");
    }
    let timed = scan.times.iter().find_map(|node| {
        let value = document.attribute(*node, "datetime").map_or_else(
            || document.text_content_up_to(*node, DATE_BYTES_MAX),
            std::borrow::Cow::into_owned,
        );
        day_of(&value).and_then(|day| sourced(day, "time"))
    });
    timed.or_else(|| sourced(shown(document, *scan.headings.first()?)?, "byline"))
}

/// Kinds of pages that have a date must be this likely.
const DATED_ODDS_MIN: f32 = 0.4;
/// A text that starts with a date may go on; more of it is not read.
const DATE_BYTES_MAX: usize = 200;
/// Nodes before and after the heading in which a written date is looked for.
const NODES_BEFORE: NodeId = 60;
const NODES_AFTER: NodeId = 250;
/// Longer texts with a date in them are sentences.
const SHOWN_BYTES_MAX: usize = 60;

/// The first short text about the heading that has a day, a month's name and a year; or that is a date in numbers, and nothing
/// else stands in its element.
fn shown(document: &Document<'_>, heading: NodeId) -> Option<String> {
    let end = document.end(heading);
    let after = end..document.len().min(end + NODES_AFTER);
    let before = heading.saturating_sub(NODES_BEFORE).max(1)..heading;
    after.chain(before).find_map(|node| {
        let text = document.text(node).trim();
        let is_dated = document.is_prose(node)
            && text.len() <= SHOWN_BYTES_MAX
            // Most short texts are not worth more of a look.
            && text.bytes().filter(u8::is_ascii_digit).nth(4).is_some()
            && (parts(text)
                .iter()
                .any(|part| matches!(part, Part::Month(_)))
                || is_in_numbers(text) && is_alone(document, node));
        if is_dated { day_of(text) } else { None }
    })
}

/// Whether a text is a date in numbers, and a time perhaps, that can be read in one way only.
fn is_in_numbers(text: &str) -> bool {
    let is_number = |character: char| character.is_ascii_digit();
    let is_sign = |character: char| {
        matches!(character, '-' | '/' | '.' | ':' | ' ' | ',' | 'T') || is_counter(character)
    };
    if !(text.starts_with(is_number) && text.chars().all(|c| is_number(c) || is_sign(c))) {
        return false;
    }
    match parts(text).as_slice() {
        [
            Part::Number { digits: 4, .. },
            Part::Number { digits: 1 | 2, .. },
            Part::Number { digits: 1 | 2, .. },
            ..,
        ] => true,
        [
            Part::Number {
                value: one,
                digits: 1 | 2,
            },
            Part::Number {
                value: two,
                digits: 1 | 2,
            },
            Part::Number { digits: 4, .. },
            ..,
        ] => is_dotted(text) || *one > 12 || *two > 12,
        _ => false,
    }
}

/// Whether a text is all that its element has.
fn is_alone(document: &Document<'_>, text: NodeId) -> bool {
    let parent = document.parent(text);
    let before = parent + 1..text;
    let after = document.end(text)..document.end(parent);
    // Few elements have but spaces beside their only text; of more nodes one is no date.
    before.len() + after.len() <= BESIDE_MAX
        && before.chain(after).all(|node| document.is_space(node))
}

/// Nodes beside a date that are looked at.
const BESIDE_MAX: usize = 8;

/// Whether a dot stands behind the first number, as where the day comes before the month.
fn is_dotted(text: &str) -> bool {
    text.trim_start_matches(|character: char| character.is_ascii_digit())
        .starts_with('.')
}

/// What stands behind the numbers of a date in Chinese, Japanese and Korean.
const fn is_counter(character: char) -> bool {
    matches!(character, '年' | '月' | '日' | '년' | '월' | '일')
}

/// The day in a date as people and programs write it, as `YYYY-MM-DD`.
pub(super) fn day_of(text: &str) -> Option<String> {
    let text = text.trim();
    if text.len() > 100 {
        return None;
    }
    let parts: Vec<Part> = parts(text);
    let (year, month, day) = numeric(&parts, is_dotted(text)).or_else(|| worded(&parts))?;
    let is_day = (1990..=2100).contains(&year) && (1..=days_of(year, month)).contains(&day);
    is_day.then(|| format!("{year:04}-{month:02}-{day:02}"))
}

/// The days of a month; none of one that no year has.
const fn days_of(year: u32, month: u32) -> u32 {
    let is_leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    match month {
        2 => 28 + is_leap as u32,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    }
}

#[derive(Clone, Copy)]
enum Part {
    Number { value: u32, digits: usize },
    Month(u32),
}

/// The numbers and month names of a text, in order.
fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    for run in text
        .split(|character: char| !character.is_alphanumeric() || is_counter(character))
        .filter(|run| !run.is_empty())
    {
        let digits = run.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            // `2024T…`, `3rd` and `20240131` all begin with their number.
            if digits == 8 && digits == run.len() {
                let number = |range: std::ops::Range<usize>| run[range].parse().unwrap_or(0);
                parts.push(Part::Number {
                    value: number(0..4),
                    digits: 4,
                });
                parts.push(Part::Number {
                    value: number(4..6),
                    digits: 2,
                });
                parts.push(Part::Number {
                    value: number(6..8),
                    digits: 2,
                });
            } else {
                parts.push(Part::Number {
                    value: run[..digits].parse().unwrap_or(u32::MAX),
                    digits,
                });
            }
        } else if let Some(month) = month_of(run) {
            parts.push(Part::Month(month));
        }
    }
    parts
}

/// `2024-01-31…`, `2024/1/31`, `31.1.2024`, or `1/31/2024`.
fn numeric(parts: &[Part], is_dotted: bool) -> Option<(u32, u32, u32)> {
    let (
        Some(Part::Number {
            value: one,
            digits: wide,
        }),
        Some(Part::Number { value: two, .. }),
        Some(Part::Number {
            value: three,
            digits,
        }),
    ) = (parts.first(), parts.get(1), parts.get(2))
    else {
        return None;
    };
    if *wide == 4 {
        return Some((*one, *two, *three));
    }
    if *digits != 4 {
        return None;
    }
    // Month before day, but where that cannot be.
    if *two > 12 {
        Some((*three, *one, *two))
    } else if *one > 12 || is_dotted {
        Some((*three, *two, *one))
    } else {
        Some((*three, *one, *two))
    }
}

/// `January 31, 2024`, `31 January 2024`, `Wed, 31 Jan 2024 10:00:00`.
fn worded(parts: &[Part]) -> Option<(u32, u32, u32)> {
    let at = parts
        .iter()
        .position(|part| matches!(part, Part::Month(_)))?;
    let Part::Month(month) = parts[at] else {
        return None;
    };
    let number = |index: Option<usize>| match index.and_then(|index| parts.get(index)) {
        Some(Part::Number { value, digits }) => Some((*value, *digits)),
        _ => None,
    };
    let (before, after, later) = (
        number(at.checked_sub(1)),
        number(Some(at + 1)),
        number(Some(at + 2)),
    );
    match (before, after, later) {
        (Some((day, 1 | 2)), Some((year, 4)), _) => Some((year, month, day)),
        (_, Some((day, 1 | 2)), Some((year, 4))) => Some((year, month, day)),
        (Some((day, 1 | 2)), Some((year, 2)), _) => Some((2000 + year, month, day)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{day_of, is_in_numbers};

    #[test]
    fn numbers_that_may_be_read_in_two_ways_are_no_date() {
        for text in [
            "10/11/2024",
            "1.2",
            "2024",
            "2024 10",
            "v2024.10.18",
            "2024-10-18 by Jane",
            "-2024-10-18",
        ] {
            assert!(!is_in_numbers(text), "{text}");
        }
    }

    #[test]
    fn days_are_read_in_many_forms() {
        for (text, expected) in [
            ("2024-01-31T10:00:00+02:00", Some("2024-01-31")),
            ("2024/1/3", Some("2024-01-03")),
            ("20240131", Some("2024-01-31")),
            ("January 31, 2024", Some("2024-01-31")),
            ("Posted on 3rd Feb 2024 at 10:00", Some("2024-02-03")),
            ("Wed, 31 Jan 2024 10:00:00 GMT", Some("2024-01-31")),
            ("31.12.2024", Some("2024-12-31")),
            ("12/31/2024", Some("2024-12-31")),
            ("5.3.2024", Some("2024-03-05")),
            ("5/3/2024", Some("2024-05-03")),
            ("2024年10月8日", Some("2024-10-08")),
            ("2024년 10월 18일", Some("2024-10-18")),
            ("18. Oktober 2024", Some("2024-10-18")),
            ("3. März 2024, 10:00", Some("2024-03-03")),
            ("le 1er août 2024", Some("2024-08-01")),
            ("18 de diciembre de 2024", Some("2024-12-18")),
            ("18 de fevereiro de 2024", Some("2024-02-18")),
            ("18 maggio 2024", Some("2024-05-18")),
            ("18 mei 2024", Some("2024-05-18")),
            ("18 października 2024", Some("2024-10-18")),
            ("18. července 2024", Some("2024-07-18")),
            ("18 Ağustos 2024", Some("2024-08-18")),
            ("18 ОКТЯБРЯ 2024 г.", Some("2024-10-18")),
            ("18 марок 2024", None),
            ("yesterday", None),
            ("2024", None),
            ("2024-13-01", None),
            ("2024-00-01", None),
            ("2024-01-00", None),
            ("2024-02-30", None),
            ("31.02.2024", None),
            ("April 31, 2024", None),
            ("2023-02-29", None),
            ("2100-02-29", None),
            ("2024-02-29", Some("2024-02-29")),
            ("2000-02-29", Some("2000-02-29")),
            ("31.12.2023", Some("2023-12-31")),
            ("1712345678", None),
        ] {
            assert_eq!(day_of(text).as_deref(), expected, "{text}");
        }
    }
}
