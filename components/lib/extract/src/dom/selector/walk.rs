//! Matching: one walk over the document that knows, for every element, which steps of the selector it stands at.
//!
//! Each step has a bit. What an element's ancestors and earlier siblings stand at is handed down and along as such bits, and
//! so is its number among its siblings: no element looks back. Its name and attributes are found, decoded and parted into words once,
//! however many tests ask for them. So the time is that of the page, and a short step for each element and test; what would take
//! longer, [`Relation::Contains`], is counted.

use std::borrow::Cow;

use trawl_core::limits::text::SELECTOR_SEARCHED_BYTES_MAX;

use super::{Asked, Combinator, Relation, Selection, Selector, Step, Test};
use crate::dom::{Document, NodeId, Tag, entities};

/// Steps of the selector, or the words that it asks for, a bit each.
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
pub(super) fn select(selector: &Selector, document: &Document<'_>) -> Selection {
    let mut nodes = Vec::new();
    let mut element = Element::before_all(document, &selector.asked);
    // The root is no element: it stands at nothing.
    let mut open = vec![Family::default()];
    let mut node = 1;
    while node < document.len() && !element.is_too_much() {
        if document.tag(node) == Tag::Text {
            node += 1;
            continue;
        }
        open.truncate(usize::from(document.depth(node)));
        let Some(parent) = open.last_mut() else { break };
        parent.count += 1;
        element.move_to(node, parent.count);
        let (own, is_match) = stands_at(&selector.steps, &mut element, parent);
        parent.last = own;
        parent.earlier |= own;
        let above = parent.above | own;
        if is_match {
            nodes.push(node);
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
    Selection {
        nodes,
        is_cut: element.is_too_much(),
    }
}

/// The steps that an element stands at, and whether one of them ends an alternative.
fn stands_at(steps: &[Step], element: &mut Element<'_, '_>, parent: &Family) -> (Bits, bool) {
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
        if before & bit != 0 && step.tests.iter().all(|test| element.passes(test)) {
            own |= bit;
            is_match |= step.is_last;
        }
    }
    (own, is_match)
}

/// The element that the walk is at, with what was looked at of it.
struct Element<'d, 's> {
    document: &'d Document<'d>,
    asked: &'s Asked,
    node: NodeId,
    /// Its number among its siblings, from 1.
    position: i32,
    name: Option<&'d str>,
    /// Whether its attributes were read.
    is_read: bool,
    /// Those that are asked for, decoded.
    values: Vec<Option<Cow<'d, str>>>,
    /// The words that are asked for and stand in them.
    words: Bits,
    /// Bytes that `*=` searched so far, of all elements.
    searched: usize,
}

impl<'d, 's> Element<'d, 's> {
    fn before_all(document: &'d Document<'d>, asked: &'s Asked) -> Self {
        Self {
            document,
            asked,
            node: 0,
            position: 0,
            name: None,
            is_read: false,
            values: vec![None; asked.words.len()],
            words: 0,
            searched: 0,
        }
    }

    fn move_to(&mut self, node: NodeId, position: i32) {
        (self.node, self.position, self.name) = (node, position, None);
        if std::mem::take(&mut self.is_read) {
            self.values.fill(None);
            self.words = 0;
        }
    }

    fn is_too_much(&self) -> bool {
        self.searched > SELECTOR_SEARCHED_BYTES_MAX
    }

    fn passes(&mut self, test: &Test) -> bool {
        match test {
            Test::Any => true,
            Test::Name(name) => {
                let (document, node) = (self.document, self.node);
                let found = self.name.get_or_insert_with(|| document.name(node));
                found.eq_ignore_ascii_case(name)
            }
            Test::Attribute(place, relation) => {
                self.read();
                let found = self.values[*place].as_deref();
                if let (Some(found), Relation::Contains(_)) = (found, relation) {
                    self.searched += found.len();
                }
                found.is_some_and(|found| relation.holds(found, self.words))
            }
            Test::FirstChild => self.position == 1,
            Test::LastChild => is_last_child(self.document, self.node),
            Test::NthChild(every, offset) => {
                let distance = self.position - offset;
                if *every == 0 {
                    distance == 0
                } else {
                    distance % every == 0 && distance / every >= 0
                }
            }
            Test::Not(inner) => !self.passes(inner),
        }
    }

    /// Reads the attributes that are asked for, unless that was done. Of two with one name the first counts.
    fn read(&mut self) {
        if std::mem::replace(&mut self.is_read, true) {
            return;
        }
        for (name, raw) in self.document.attributes(self.node) {
            let Ok(place) = self.asked.find(name) else {
                continue;
            };
            if self.values[place].is_some() {
                continue;
            }
            let value = entities::decode(raw, true);
            let words = &self.asked.words[place];
            if !words.is_empty() {
                let found = value.split_ascii_whitespace();
                let numbers = found.filter_map(|word| words.get(word));
                self.words |= numbers.fold(0, |bits, number| bits | 1 << number);
            }
            self.values[place] = Some(value);
        }
    }
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
    /// Whether it holds for a value, which has these of the words that are asked for.
    fn holds(&self, found: &str, words: Bits) -> bool {
        match self {
            Relation::Present => true,
            Relation::Equals(value) => found == value,
            Relation::Starts(value) => !value.is_empty() && found.starts_with(value.as_str()),
            Relation::Ends(value) => !value.is_empty() && found.ends_with(value.as_str()),
            Relation::Contains(value) => !value.is_empty() && found.contains(value.as_str()),
            Relation::Dashed(value) => found
                .strip_prefix(value.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('-')),
            Relation::Word(number) => words & 1 << number != 0,
        }
    }
}
