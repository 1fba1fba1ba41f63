//! CSS selectors over the DOM: the common ones, matched without recursion.

use trawl_core::limits::text::SELECTOR_BYTES_MAX;

use super::{Document, NodeId, Tag};

/// A parsed selector list.
#[derive(Debug, Clone)]
pub struct Selector {
    alternatives: Vec<Vec<Step>>,
}

/// Why a selector was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The selector is empty, or a part of it between commas or combinators is.
    #[error("the selector has an empty part")]
    Empty,
    /// The selector is longer than the limit.
    #[error("the selector is longer than {max} characters")]
    TooLong {
        /// Characters that are allowed.
        max: usize,
    },
    /// Something here is not understood.
    #[error("the selector is not understood from {0:?} on")]
    Unsupported(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Combinator {
    Descendant,
    Child,
    Next,
    Later,
}

#[derive(Debug, Clone)]
struct Step {
    /// How this step relates to the one before it.
    combinator: Combinator,
    tests: Vec<Test>,
}

#[derive(Debug, Clone)]
enum Test {
    Any,
    Name(String),
    Id(String),
    Class(String),
    Attribute {
        name: String,
        relation: Relation,
        value: String,
    },
    FirstChild,
    LastChild,
    /// `:nth-child(an+b)`.
    NthChild(i32, i32),
    Not(Box<Test>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Present,
    Equals,
    Starts,
    Ends,
    Contains,
    Word,
    Dashed,
}

impl Selector {
    /// Reads a selector list: names, `#id`, `.class`, attributes with every operator, descendants, `>`, `+`, `~`,
    /// commas, `:first-child`, `:last-child`, `:nth-child()` and `:not()` of one simple selector.
    pub fn parse(source: &str) -> Result<Selector, SelectorError> {
        if source.len() > SELECTOR_BYTES_MAX {
            return Err(SelectorError::TooLong {
                max: SELECTOR_BYTES_MAX,
            });
        }
        let mut reader = Reader {
            rest: source.trim(),
        };
        let mut alternatives = Vec::new();
        loop {
            alternatives.push(reader.alternative()?);
            if reader.rest.is_empty() {
                return Ok(Selector { alternatives });
            }
            reader.expect(',')?;
        }
    }

    /// The outermost matching elements in document order, so that no text is found twice.
    pub fn select(&self, document: &Document<'_>) -> Vec<NodeId> {
        let mut found = Vec::new();
        let mut at = 1;
        while at < document.len() {
            if document.tag(at) != Tag::Text && self.matches(document, at) {
                found.push(at);
                at = document.end(at);
            } else {
                at += 1;
            }
        }
        found
    }

    /// Whether one element matches.
    pub fn matches(&self, document: &Document<'_>, node: NodeId) -> bool {
        self.alternatives
            .iter()
            .any(|steps| matches_steps(document, steps, node))
    }
}

/// Matches right to left, keeping the set of nodes each step may stand at, so that no order of tries is exponential.
fn matches_steps(document: &Document<'_>, steps: &[Step], node: NodeId) -> bool {
    let Some((last, _)) = steps.split_last() else {
        return false;
    };
    if !last.tests.iter().all(|test| test.matches(document, node)) {
        return false;
    }
    let mut places = vec![node];
    for pair in steps.windows(2).rev() {
        let (before, after) = (&pair[0], &pair[1]);
        let mut next = Vec::new();
        for place in places {
            related(document, place, after.combinator, |candidate| {
                if !next.contains(&candidate)
                    && before
                        .tests
                        .iter()
                        .all(|test| test.matches(document, candidate))
                {
                    next.push(candidate);
                }
            });
        }
        if next.is_empty() {
            return false;
        }
        // More places than this only come from hostile nesting; the nearest ones decide.
        next.truncate(64);
        places = next;
    }
    true
}

fn related(
    document: &Document<'_>,
    node: NodeId,
    combinator: Combinator,
    mut visit: impl FnMut(NodeId),
) {
    let parent = document.parent(node);
    match combinator {
        Combinator::Descendant => document.ancestors(node).for_each(visit),
        Combinator::Child => visit(parent),
        Combinator::Next | Combinator::Later => {
            let elements = document
                .children(parent)
                .filter(|child| document.tag(*child) != Tag::Text);
            let mut earlier: Vec<NodeId> = elements.take_while(|child| *child < node).collect();
            if combinator == Combinator::Next {
                earlier.drain(..earlier.len().saturating_sub(1));
            }
            earlier.into_iter().rev().for_each(visit);
        }
    }
}

impl Test {
    fn matches(&self, document: &Document<'_>, node: NodeId) -> bool {
        match self {
            Test::Any => document.tag(node) != Tag::Root,
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
            Test::FirstChild => position(document, node) == 1,
            Test::LastChild => {
                let parent = document.parent(node);
                document
                    .children(parent)
                    .filter(|child| document.tag(*child) != Tag::Text)
                    .last()
                    == Some(node)
            }
            Test::NthChild(every, offset) => {
                let distance = position(document, node) - offset;
                if *every == 0 {
                    distance == 0
                } else {
                    distance % every == 0 && distance / every >= 0
                }
            }
            Test::Not(inner) => !inner.matches(document, node),
        }
    }
}

fn has_word(document: &Document<'_>, node: NodeId, attribute: &str, word: &str) -> bool {
    document
        .attribute(node, attribute)
        .is_some_and(|value| value.split_ascii_whitespace().any(|found| found == word))
}

fn position(document: &Document<'_>, node: NodeId) -> i32 {
    let siblings = document
        .children(document.parent(node))
        .filter(|child| document.tag(*child) != Tag::Text);
    siblings
        .take_while(|child| *child <= node)
        .count()
        .try_into()
        .unwrap_or(i32::MAX)
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

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn unsupported<T>(&self) -> Result<T, SelectorError> {
        Err(SelectorError::Unsupported(
            self.rest.chars().take(20).collect(),
        ))
    }

    fn expect(&mut self, wanted: char) -> Result<(), SelectorError> {
        let Some(rest) = self.rest.strip_prefix(wanted) else {
            return self.unsupported();
        };
        self.rest = rest.trim_start();
        Ok(())
    }

    fn alternative(&mut self) -> Result<Vec<Step>, SelectorError> {
        let mut steps = vec![Step {
            combinator: Combinator::Descendant,
            tests: self.compound()?,
        }];
        loop {
            let trimmed = self.rest.trim_start();
            let had_space = trimmed.len() < self.rest.len();
            self.rest = trimmed;
            let combinator = match self.rest.chars().next() {
                None | Some(',') => return Ok(steps),
                Some('>') => Combinator::Child,
                Some('+') => Combinator::Next,
                Some('~') => Combinator::Later,
                Some(_) if had_space => Combinator::Descendant,
                Some(_) => return self.unsupported(),
            };
            if combinator != Combinator::Descendant {
                self.rest = self.rest[1..].trim_start();
            }
            steps.push(Step {
                combinator,
                tests: self.compound()?,
            });
        }
    }

    fn compound(&mut self) -> Result<Vec<Test>, SelectorError> {
        let mut tests = Vec::new();
        while let Some(test) = self.simple(tests.is_empty())? {
            tests.push(test);
        }
        if !tests.is_empty() {
            Ok(tests)
        } else if self.rest.is_empty() || self.rest.starts_with(',') {
            Err(SelectorError::Empty)
        } else {
            self.unsupported()
        }
    }

    fn simple(&mut self, is_first: bool) -> Result<Option<Test>, SelectorError> {
        let Some(first) = self.rest.chars().next() else {
            return Ok(None);
        };
        let test = match first {
            '*' if is_first => {
                self.rest = &self.rest[1..];
                Test::Any
            }
            '#' => {
                self.rest = &self.rest[1..];
                Test::Id(self.identifier()?)
            }
            '.' => {
                self.rest = &self.rest[1..];
                Test::Class(self.identifier()?)
            }
            '[' => self.attribute()?,
            ':' => self.pseudo()?,
            _ if is_first && is_identifier(first) => Test::Name(self.identifier()?),
            _ => return Ok(None),
        };
        Ok(Some(test))
    }

    fn identifier(&mut self) -> Result<String, SelectorError> {
        let mut name = String::new();
        let mut characters = self.rest.char_indices();
        let mut used = self.rest.len();
        while let Some((at, character)) = characters.next() {
            if is_identifier(character) {
                name.push(character);
            } else if let ('\\', Some((_, escaped))) = (character, characters.clone().next()) {
                characters.next();
                name.push(escaped);
            } else {
                used = at;
                break;
            }
        }
        if name.is_empty() {
            return self.unsupported();
        }
        self.rest = &self.rest[used..];
        Ok(name)
    }

    fn attribute(&mut self) -> Result<Test, SelectorError> {
        self.expect('[')?;
        let name = self.identifier()?;
        self.rest = self.rest.trim_start();
        let relations = [
            ("]", Relation::Present),
            ("=", Relation::Equals),
            ("^=", Relation::Starts),
            ("$=", Relation::Ends),
            ("*=", Relation::Contains),
            ("~=", Relation::Word),
            ("|=", Relation::Dashed),
        ];
        let Some((sign, relation)) = relations
            .into_iter()
            .find(|(sign, _)| self.rest.starts_with(sign))
        else {
            return self.unsupported();
        };
        self.rest = &self.rest[sign.len()..];
        if relation == Relation::Present {
            return Ok(Test::Attribute {
                name,
                relation,
                value: String::new(),
            });
        }
        self.rest = self.rest.trim_start();
        let value = match self.rest.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let Some((value, rest)) = self.rest[1..].split_once(quote) else {
                    return self.unsupported();
                };
                self.rest = rest;
                value.to_owned()
            }
            _ => self.identifier()?,
        };
        self.rest = self.rest.trim_start();
        let Some(rest) = self.rest.strip_prefix(']') else {
            return self.unsupported();
        };
        self.rest = rest;
        Ok(Test::Attribute {
            name,
            relation,
            value,
        })
    }

    fn pseudo(&mut self) -> Result<Test, SelectorError> {
        for (name, test) in [
            (":first-child", Test::FirstChild),
            (":last-child", Test::LastChild),
        ] {
            if let Some(rest) = self.rest.strip_prefix(name) {
                self.rest = rest;
                return Ok(test);
            }
        }
        if let Some(rest) = self.rest.strip_prefix(":not(") {
            let mut inner = Reader {
                rest: rest.trim_start(),
            };
            // One level only: `:not` of `:not` says nothing new and would recurse.
            if inner.rest.starts_with(":not") {
                return self.unsupported();
            }
            let Some(test) = inner.simple(true)? else {
                return inner.unsupported();
            };
            let Some(rest) = inner.rest.trim_start().strip_prefix(')') else {
                return inner.unsupported();
            };
            self.rest = &self.rest[self.rest.len() - rest.len()..];
            return Ok(Test::Not(Box::new(test)));
        }
        let Some((formula, rest)) = self
            .rest
            .strip_prefix(":nth-child(")
            .and_then(|rest| rest.split_once(')'))
        else {
            return self.unsupported();
        };
        let Some((every, offset)) = nth(&formula.replace(' ', "").to_ascii_lowercase()) else {
            return self.unsupported();
        };
        self.rest = rest;
        Ok(Test::NthChild(every, offset))
    }
}

fn is_identifier(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '-' | '_') || !character.is_ascii()
}

/// Reads `odd`, `even`, `3`, `2n`, `n`, `-n+3`, `2n+1`.
fn nth(formula: &str) -> Option<(i32, i32)> {
    match formula {
        "odd" => return Some((2, 1)),
        "even" => return Some((2, 0)),
        _ => {}
    }
    let Some((every, offset)) = formula.split_once('n') else {
        return Some((0, i32::from(formula.parse::<i16>().ok()?)));
    };
    let every = match every {
        "" | "+" => 1,
        "-" => -1,
        other => other.parse::<i16>().ok()?,
    };
    let offset = if offset.is_empty() {
        0
    } else {
        offset.parse::<i16>().ok()?
    };
    Some((i32::from(every), i32::from(offset)))
}
