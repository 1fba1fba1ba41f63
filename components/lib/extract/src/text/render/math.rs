//! Formulas, and figures above and below the line.

use super::Renderer;
use crate::dom::{Document, NodeId, Tag};

/// Characters that have a form above the line, and that form.
const ABOVE: [(char, char); 15] = [
    ('0', '⁰'),
    ('1', '¹'),
    ('2', '²'),
    ('3', '³'),
    ('4', '⁴'),
    ('5', '⁵'),
    ('6', '⁶'),
    ('7', '⁷'),
    ('8', '⁸'),
    ('9', '⁹'),
    ('+', '⁺'),
    ('-', '⁻'),
    ('−', '⁻'),
    ('n', 'ⁿ'),
    ('i', 'ⁱ'),
];
/// The same below.
const BELOW: [(char, char); 13] = [
    ('0', '₀'),
    ('1', '₁'),
    ('2', '₂'),
    ('3', '₃'),
    ('4', '₄'),
    ('5', '₅'),
    ('6', '₆'),
    ('7', '₇'),
    ('8', '₈'),
    ('9', '₉'),
    ('+', '₊'),
    ('-', '₋'),
    ('−', '₋'),
];
/// Elements of MathML whose children mean something by their place, and the sign before each.
const PLACED: [(&str, &[&str]); 7] = [
    ("mfrac", &["", "/"]),
    ("msup", &["", "^"]),
    ("msub", &["", "_"]),
    ("msubsup", &["", "_", "^"]),
    ("munder", &["", "_"]),
    ("munderover", &["", "_", "^"]),
    ("mroot", &["", "^(1/"]),
];
/// An operand of more nodes has more than one sign.
const OPERAND_NODES_MAX: NodeId = 16;
/// Longer ones are no exponents.
const SCRIPT_CHARS_MAX: usize = 4;

impl Renderer<'_, '_> {
    /// Writes a short number above or below the line, without which `10` and `6` would become one number; whether it is
    /// one.
    pub(super) fn script(&mut self, node: NodeId, tag: Tag) -> bool {
        let document = self.document;
        let is_plain = document.end(node) == node + 2 && document.tag(node + 1) == Tag::Text;
        let text = if is_plain {
            document.text(node + 1).trim()
        } else {
            ""
        };
        let table: &[(char, char)] = if tag == Tag::Sup { &ABOVE } else { &BELOW };
        let raised: Option<String> = text
            .chars()
            .map(|character| {
                let found = table.iter().find(|(plain, _)| *plain == character);
                found.map(|(_, raised)| *raised)
            })
            .collect();
        let raised =
            raised.filter(|raised| (1..=SCRIPT_CHARS_MAX).contains(&raised.chars().count()));
        if let Some(raised) = &raised {
            self.word(raised);
        }
        raised.is_some()
    }

    /// Writes a formula by its source in TeX, or else by its signs.
    pub(super) fn math(&mut self, node: NodeId) {
        let document = self.document;
        let tex = (node..document.end(node))
            .find(|inner| document.raw_attribute(*inner, "encoding") == Some("application/x-tex"))
            .map(|annotation| document.text_content(annotation))
            .or_else(|| Some(document.attribute(node, "alttext")?.into_owned()));
        let tex = tex.as_deref().unwrap_or_default().trim();
        let tex = tex
            .strip_prefix("{\\displaystyle")
            .and_then(|rest| rest.strip_suffix('}'))
            .unwrap_or(tex);
        let tex = without_markup(&tex.split_whitespace().collect::<Vec<_>>().join(" "));
        // TeX is written as it is, where a backtick would begin code whatever stands in front of it.
        if tex.is_empty() || tex.contains('`') {
            let line = self.in_one_line(node);
            self.text(if line.trim().is_empty() { &tex } else { &line });
        } else {
            let is_shown = document.raw_attribute(node, "display") == Some("block");
            let sign = if is_shown { "$$" } else { "$" };
            self.glyph(&format!("{sign}{tex}{sign}"), '$');
        }
    }

    /// The signs of a formula one after another, with those between them that only their places say, so that a half does not become 12.
    fn in_one_line(&self, math: NodeId) -> String {
        let document = self.document;
        let mut line = String::new();
        let mut open: Vec<Part> = Vec::new();
        let mut node = math + 1;
        while node < document.end(math) {
            while let Some(part) = open.pop_if(|part| part.end <= node) {
                line.push_str(&")".repeat(part.parentheses));
            }
            let tag = document.tag(node);
            let name = document.name(node);
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            if tag.is_silent() || is("annotation") || is("annotation-xml") {
                node = document.end(node);
                continue;
            }
            let around = open.last_mut();
            if tag == Tag::Text {
                let is_between = around.is_some_and(|part| !part.signs.is_empty());
                if self.selection.kept[node as usize] && !(is_between && document.is_space(node)) {
                    line.push_str(document.text(node));
                }
                node += 1;
                continue;
            }
            let mut part = Part {
                end: document.end(node),
                ..Part::default()
            };
            let sign = around.and_then(|around| around.next_sign());
            if let Some(sign) = sign {
                line.push_str(sign);
                part.parentheses = sign.matches('(').count();
            }
            if is("msqrt") {
                line.push('√');
            } else if is("mtr") || is("mtd") {
                line.push(' ');
            }
            if (sign.is_some() || is("msqrt")) && is_compound(document, node) {
                line.push('(');
                part.parentheses += 1;
            }
            let placed = PLACED.iter().find(|(known, _)| is(known));
            part.signs = placed.map_or(&[], |(_, signs)| signs);
            open.push(part);
            node += 1;
        }
        while let Some(part) = open.pop() {
            line.push_str(&")".repeat(part.parentheses));
        }
        line
    }
}

/// Siblings of a formula that KaTeX drew, among which the one with its source is looked for.
const DRAWN_SIBLINGS_MAX: usize = 4;

/// Whether a formula that KaTeX drew stands there once more, with its source; KaTeX may be asked for the drawn one alone.
pub(super) fn is_repeated(document: &Document<'_>, drawn: NodeId) -> bool {
    let mut siblings = document
        .children(document.parent(drawn))
        .take(DRAWN_SIBLINGS_MAX);
    siblings.any(|other| document.raw_attribute(other, "class") == Some("katex-mathml"))
}

/// TeX in which nothing reads as a tag, a link or an image of Markdown. It takes a space there for none.
fn without_markup(tex: &str) -> String {
    let mut safe = String::with_capacity(tex.len());
    let mut characters = tex.chars().peekable();
    while let Some(character) = characters.next() {
        safe.push(character);
        let begins_markup = characters.peek().is_some_and(|next| match character {
            '<' => next.is_ascii_alphabetic() || matches!(next, '/' | '!' | '?'),
            ']' => *next == '(',
            _ => false,
        });
        if begins_markup {
            safe.push(' ');
        }
    }
    safe
}

/// An open element of a formula.
#[derive(Default)]
struct Part {
    end: NodeId,
    /// What stands before each of its children that are still to come, where their places mean something.
    signs: &'static [&'static str],
    /// To close at its end.
    parentheses: usize,
}

impl Part {
    fn next_sign(&mut self) -> Option<&'static str> {
        let (sign, rest) = self.signs.split_first()?;
        self.signs = rest;
        Some(sign)
    }
}

/// Whether an operand has more than one sign, so that it takes parentheses on a line.
fn is_compound(document: &Document<'_>, node: NodeId) -> bool {
    let nodes = node..document.end(node);
    nodes.len() > OPERAND_NODES_MAX as usize
        || nodes
            .filter(|inner| document.tag(*inner) == Tag::Text && !document.is_space(*inner))
            .nth(1)
            .is_some()
}
