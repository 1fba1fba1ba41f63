//! Formulas, and figures above and below the line.

use super::Renderer;
use crate::dom::{NodeId, Tag};

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

    /// Writes a formula by its source in TeX; whether it has one.
    pub(super) fn math(&mut self, node: NodeId) -> bool {
        let document = self.document;
        let tex = (node..document.end(node))
            .find(|inner| document.raw_attribute(*inner, "encoding") == Some("application/x-tex"))
            .map(|annotation| document.text_content(annotation))
            .or_else(|| Some(document.attribute(node, "alttext")?.into_owned()));
        let Some(tex) = tex else { return false };
        let tex = tex.trim();
        let tex = tex
            .strip_prefix("{\\displaystyle")
            .and_then(|rest| rest.strip_suffix('}'))
            .unwrap_or(tex);
        let tex = tex.split_whitespace().collect::<Vec<_>>().join(" ");
        if !tex.is_empty() {
            let is_shown = document.raw_attribute(node, "display") == Some("block");
            let sign = if is_shown { "$$" } else { "$" };
            self.glyph(&format!("{sign}{tex}{sign}"), '$');
        }
        true
    }
}
