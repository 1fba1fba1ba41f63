//! CSS selectors over the DOM: the common ones, matched without recursion and in linear time.

mod walk;

use std::cmp::Ordering;
use std::collections::HashMap;

use trawl_core::limits::text::{SELECTOR_BYTES_MAX, SELECTOR_TESTS_MAX};

use super::{Document, NodeId};
use crate::css;

/// A parsed selector list.
#[derive(Debug, Clone)]
pub struct Selector {
    /// The steps of one alternative after another.
    steps: Vec<Step>,
    asked: Asked,
}

/// What a selector finds in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The outermost matching elements in document order, so that no text is found twice.
    pub nodes: Vec<NodeId>,
    /// Whether the page was not looked at to its end.
    pub is_cut: bool,
}

/// Why a selector was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The selector is empty, or a part of it between commas or combinators is.
    #[error("the selector has an empty part")]
    Empty,
    /// The selector is longer than the limit.
    #[error("the selector is longer than {max} bytes")]
    TooLong {
        /// Bytes that are allowed.
        max: usize,
    },
    /// The selector has more tests, such as names and classes, than the limit.
    #[error("the selector has more than {max} parts")]
    TooManyTests {
        /// Tests that are allowed.
        max: usize,
    },
    /// Something is missing at the end.
    #[error("the selector ends too early")]
    Incomplete,
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
    /// How this step relates to the one before it; nothing for the first one of an alternative.
    combinator: Option<Combinator>,
    tests: Vec<Test>,
    /// Whether an element that stands here matches.
    is_last: bool,
}

#[derive(Debug, Clone)]
enum Test {
    Any,
    Name(String),
    /// An attribute, by its place among those that are asked for.
    Attribute(usize, Relation),
    FirstChild,
    LastChild,
    /// `:nth-child(an+b)`.
    NthChild(i32, i32),
    Not(Box<Test>),
}

#[derive(Debug, Clone)]
enum Relation {
    Present,
    Equals(String),
    Starts(String),
    Ends(String),
    Contains(String),
    Dashed(String),
    /// One of the words that are asked for, by its number.
    Word(usize),
}

/// The attributes that the tests ask for, each once, so that those of an element are gone through once for all tests.
#[derive(Debug, Clone, Default)]
struct Asked {
    /// Each name with its place in `words`, in the order of [`by_name`].
    places: Vec<(String, usize)>,
    /// For each attribute the words that are sought in its value, with their numbers.
    words: Vec<HashMap<String, usize>>,
    /// How many words there are.
    count: usize,
}

impl Asked {
    /// The place of an attribute, whatever the case of its name.
    fn find(&self, name: &str) -> Result<usize, usize> {
        let found = self
            .places
            .binary_search_by(|(known, _)| by_name(known, name));
        found.map(|at| self.places[at].1)
    }

    fn attribute(&mut self, name: &str) -> usize {
        self.find(name).unwrap_or_else(|at| {
            self.places.insert(at, (name.to_owned(), self.words.len()));
            self.words.push(HashMap::new());
            self.words.len() - 1
        })
    }

    fn word(&mut self, attribute: usize, word: String) -> Relation {
        let number = self.words[attribute].entry(word).or_insert(self.count);
        self.count += usize::from(*number == self.count);
        Relation::Word(*number)
    }
}

/// An order of names that tells most of them apart by their lengths.
fn by_name(one: &str, other: &str) -> Ordering {
    let lengths = one.len().cmp(&other.len());
    lengths.then_with(|| folded(one).cmp(folded(other)))
}

fn folded(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().map(|byte| byte.to_ascii_lowercase())
}

impl Selector {
    /// Reads a selector list: names, `#id`, `.class`, attributes with every operator, descendants, `>`, `+`, `~`,
    /// commas, `:first-child`, `:last-child`, `:nth-child()` and `:not()` of one simple selector. Names and strings may have
    /// escapes of CSS.
    ///
    /// # Errors
    /// A selector with an empty part, or longer than the limits, or one with anything else in it.
    pub fn parse(source: &str) -> Result<Selector, SelectorError> {
        if source.len() > SELECTOR_BYTES_MAX {
            return Err(SelectorError::TooLong {
                max: SELECTOR_BYTES_MAX,
            });
        }
        let mut reader = Reader {
            rest: source.trim(),
            asked: Asked::default(),
        };
        let mut steps = Vec::new();
        loop {
            reader.alternative(&mut steps)?;
            if reader.rest.is_empty() {
                break;
            }
            reader.expect(',')?;
        }
        let tests: usize = steps.iter().map(|step: &Step| step.tests.len()).sum();
        if tests > SELECTOR_TESTS_MAX {
            return Err(SelectorError::TooManyTests {
                max: SELECTOR_TESTS_MAX,
            });
        }
        Ok(Selector {
            steps,
            asked: reader.asked,
        })
    }

    /// The matching elements of a document.
    pub fn select(&self, document: &Document<'_>) -> Selection {
        walk::select(self, document)
    }
}

struct Reader<'a> {
    rest: &'a str,
    asked: Asked,
}

impl Reader<'_> {
    fn unsupported<T>(&self) -> Result<T, SelectorError> {
        if self.rest.is_empty() {
            return Err(SelectorError::Incomplete);
        }
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

    fn alternative(&mut self, steps: &mut Vec<Step>) -> Result<(), SelectorError> {
        let mut combinator = None;
        loop {
            let tests = self.compound()?;
            let trimmed = self.rest.trim_start();
            let had_space = trimmed.len() < self.rest.len();
            self.rest = trimmed;
            let next = match self.rest.chars().next() {
                None | Some(',') => None,
                Some('>') => Some(Combinator::Child),
                Some('+') => Some(Combinator::Next),
                Some('~') => Some(Combinator::Later),
                Some(_) if had_space => Some(Combinator::Descendant),
                Some(_) => return self.unsupported(),
            };
            steps.push(Step {
                combinator,
                tests,
                is_last: next.is_none(),
            });
            match next {
                None => return Ok(()),
                Some(Combinator::Descendant) => {}
                Some(_) => self.rest = self.rest[1..].trim_start(),
            }
            combinator = next;
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
                let id = Relation::Equals(self.identifier()?);
                Test::Attribute(self.asked.attribute("id"), id)
            }
            '.' => {
                self.rest = &self.rest[1..];
                let word = self.identifier()?;
                let class = self.asked.attribute("class");
                Test::Attribute(class, self.asked.word(class, word))
            }
            '[' => self.attribute()?,
            ':' => self.pseudo()?,
            _ if is_first && (is_identifier(first) || first == '\\') => {
                Test::Name(self.identifier()?)
            }
            _ => return Ok(None),
        };
        Ok(Some(test))
    }

    fn identifier(&mut self) -> Result<String, SelectorError> {
        let mut name = String::new();
        let mut rest = self.rest;
        while let Some(character) = rest.chars().next() {
            let length = if is_identifier(character) {
                name.push(character);
                character.len_utf8()
            } else if let ('\\', Some((escaped, length))) =
                (character, css::escaped(&rest[character.len_utf8()..]))
            {
                name.push(escaped);
                character.len_utf8() + length
            } else {
                break;
            };
            rest = &rest[length..];
        }
        if name.is_empty() {
            return self.unsupported();
        }
        self.rest = rest;
        Ok(name)
    }

    fn attribute(&mut self) -> Result<Test, SelectorError> {
        self.expect('[')?;
        let name = self.identifier()?;
        let place = self.asked.attribute(&name);
        self.rest = self.rest.trim_start();
        let signs = ["]", "=", "^=", "$=", "*=", "~=", "|="];
        let Some(sign) = signs.into_iter().find(|sign| self.rest.starts_with(sign)) else {
            return self.unsupported();
        };
        self.rest = &self.rest[sign.len()..];
        if sign == "]" {
            return Ok(Test::Attribute(place, Relation::Present));
        }
        let value = self.value()?;
        self.rest = self.rest.trim_start();
        let Some(rest) = self.rest.strip_prefix(']') else {
            return self.unsupported();
        };
        self.rest = rest;
        let relation = match sign {
            "^=" => Relation::Starts(value),
            "$=" => Relation::Ends(value),
            "*=" => Relation::Contains(value),
            "|=" => Relation::Dashed(value),
            "~=" => self.asked.word(place, value),
            _ => Relation::Equals(value),
        };
        Ok(Test::Attribute(place, relation))
    }

    fn value(&mut self) -> Result<String, SelectorError> {
        self.rest = self.rest.trim_start();
        let Some(quote @ ('"' | '\'')) = self.rest.chars().next() else {
            return self.identifier();
        };
        let end = css::string_end(self.rest.as_bytes(), 0);
        let Some(rest) = self.rest[end..].strip_prefix(quote) else {
            return self.unsupported();
        };
        let value = css::unescaped(&self.rest[1..end]).into_owned();
        self.rest = rest;
        Ok(value)
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
            self.rest = rest.trim_start();
            // One level only: `:not` of `:not` says nothing new and would recurse.
            if self.rest.starts_with(":not") {
                return self.unsupported();
            }
            let Some(test) = self.simple(true)? else {
                return self.unsupported();
            };
            let Some(rest) = self.rest.trim_start().strip_prefix(')') else {
                return self.unsupported();
            };
            self.rest = rest;
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
