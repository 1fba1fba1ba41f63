//! Matching: one walk over the document that knows, for every element, which steps of the selector it stands at.
//!
//! Each step has a bit. What an element's ancestors and earlier siblings stand at is handed down and along as such bits, and
//! so is its number among its siblings: no element looks back, and the time is that of the page times the selector's tests.

use super::{Combinator, Relation, Step, Test};
use crate::dom::{Document, NodeId, Tag};

/// Steps of the selector, a bit each.
type Bits = u64;

/// An open element, and what its children so far stand at.
#[derive(Clone, Copy, Default)]
struct Family {
    /// The steps that the element stands at.
    own: Bits,
    /// Those that it or any element above it stands at.
    above: Bits,
    /// Those that its last child so far stands at.
    last: Bits,
    /// Those that any of its children so far stands at.
    earlier: Bits,
    /// Its children so far.
    count: i32,
}

/// The outermost elements that stand at the end of an alternative, in document order.
pub(super) fn select(steps: &[Step], document: &Document<'_>) -> Vec<NodeId> {
    let mut found = Vec::new();
    // The root is no element: it stands at nothing.
    let mut open = vec![Family::default()];
    let mut node = 1;
    while node < document.len() {
        if document.tag(node) == Tag::Text {
            node += 1;
            continue;
        }
        open.truncate(usize::from(document.depth(node)));
        let Some(parent) = open.last_mut() else { break };
        parent.count += 1;
        let (own, is_match) = stands_at(steps, document, node, parent);
        parent.last = own;
        parent.earlier |= own;
        let above = parent.above | own;
        if is_match {
            found.push(node);
            node = document.end(node);
            continue;
        }
        open.push(Family {
            own,
            above,
            ..Family::default()
        });
        node += 1;
    }
    found
}

/// The steps that an element stands at, and whether one of them ends an alternative.
fn stands_at(
    steps: &[Step],
    document: &Document<'_>,
    node: NodeId,
    parent: &Family,
) -> (Bits, bool) {
    let (mut own, mut is_match) = (0, false);
    for (at, step) in steps.iter().enumerate() {
        let before = match step.combinator {
            None => Bits::MAX,
            Some(Combinator::Descendant) => parent.above << 1,
            Some(Combinator::Child) => parent.own << 1,
            Some(Combinator::Next) => parent.last << 1,
            Some(Combinator::Later) => parent.earlier << 1,
        };
        let bit = 1 << at;
        if before & bit != 0
            && step
                .tests
                .iter()
                .all(|test| test.holds(document, node, parent.count))
        {
            own |= bit;
            is_match |= step.is_last;
        }
    }
    (own, is_match)
}

impl Test {
    /// `position` is the element's number among its siblings, from 1.
    fn holds(&self, document: &Document<'_>, node: NodeId, position: i32) -> bool {
        match self {
            Test::Any => true,
            Test::Name(name) => document.name(node).eq_ignore_ascii_case(name),
            Test::Id(id) => document
                .attribute(node, "id")
                .is_some_and(|value| value == id.as_str()),
            Test::Class(class) => has_word(document, node, "class", class),
            Test::Attribute {
                name,
                relation,
                value,
            } => document
                .attribute(node, name)
                .is_some_and(|found| relation.holds(&found, value)),
            Test::FirstChild => position == 1,
            Test::LastChild => is_last_child(document, node),
            Test::NthChild(every, offset) => {
                let distance = position - offset;
                if *every == 0 {
                    distance == 0
                } else {
                    distance % every == 0 && distance / every >= 0
                }
            }
            Test::Not(inner) => !inner.holds(document, node, position),
        }
    }
}

fn has_word(document: &Document<'_>, node: NodeId, attribute: &str, word: &str) -> bool {
    document
        .attribute(node, attribute)
        .is_some_and(|value| value.split_ascii_whitespace().any(|found| found == word))
}

/// Whether no element follows before the parent ends. Each run of texts is passed once only, by the element before it.
fn is_last_child(document: &Document<'_>, node: NodeId) -> bool {
    let end = document.end(document.parent(node));
    (document.end(node)..end)
        .take_while(|next| document.tag(*next) == Tag::Text)
        .last()
        .map_or(document.end(node), |text| text + 1)
        >= end
}

impl Relation {
    fn holds(self, found: &str, value: &str) -> bool {
        match self {
            Relation::Present => true,
            Relation::Equals => found == value,
            Relation::Starts => !value.is_empty() && found.starts_with(value),
            Relation::Ends => !value.is_empty() && found.ends_with(value),
            Relation::Contains => !value.is_empty() && found.contains(value),
            Relation::Word => found.split_ascii_whitespace().any(|word| word == value),
            Relation::Dashed => {
                found == value
                    || found
                        .strip_prefix(value)
                        .is_some_and(|rest| rest.starts_with('-'))
            }
        }
    }
}
