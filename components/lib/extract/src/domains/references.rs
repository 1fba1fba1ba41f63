//! Which attributes, texts and header fields hold references.

use std::borrow::Cow;

use url::Url;

use trawl_core::limits::domains::{JSON_LD_BYTES_MAX, REL_BYTES_MAX, REL_WORDS_MAX};

use super::hosts::{Hosts, Place};
use super::scanner::{Event, Name, Scanner};
use super::urls;
use crate::dom::{Syntax, entities};
use crate::json_ld;
use crate::nul;

/// The URLs that redirected.
pub(super) fn of_chain(chain: &[Url], hosts: &mut Hosts) {
    for url in chain {
        hosts.add(
            url.as_str(),
            Place {
                source: "redirect",
                region: None,
                rel: "",
            },
        );
    }
}

/// Header fields of the final answer.
pub(super) fn of_headers(headers: &[(String, String)], hosts: &mut Hosts) {
    let at = |source, rel| Place {
        source,
        region: None,
        rel,
    };
    for (name, value) in headers {
        match name.to_ascii_lowercase().as_str() {
            "link" => urls::link_header(value, |url, rel| hosts.add(url, at("link-header", rel))),
            "location" | "content-location" => hosts.add(value, at("redirect", "")),
            "refresh" => {
                if let Some(url) = urls::refresh(value) {
                    hosts.add(url, at("refresh", ""));
                }
            }
            "content-security-policy" | "content-security-policy-report-only" => {
                urls::csp(value, |url| hosts.add(url, at("csp", "")));
            }
            _ => {}
        }
    }
}

/// The page itself.
pub(super) fn of_page(html: &str, syntax: Syntax, hosts: &mut Hosts) {
    let mut walk = Walk {
        hosts,
        regions: Vec::new(),
        in_head: true,
        apart: None,
        has_base: false,
        json_ld: false,
    };
    // The words of a `rel` are shown as they are written.
    let html = nul::without(Cow::Borrowed(html));
    let mut scanner = Scanner::new(&html, syntax);
    while let Some(event) = scanner.next() {
        match event {
            Event::Start(name) => walk.start(name, &scanner),
            Event::End(name) => walk.end(name),
            Event::Raw(name) => walk.raw(name, scanner.raw()),
        }
    }
}

struct Walk<'h> {
    hosts: &'h mut Hosts,
    regions: Vec<&'static str>,
    in_head: bool,
    /// The open element of the head that may have any others in it.
    apart: Option<Name>,
    has_base: bool,
    /// The script that was just opened holds JSON-LD.
    json_ld: bool,
}

/// Deeper nesting of regions than any page has; further ones are not followed.
const REGIONS_MAX: usize = 64;

/// Attributes that hold one URL: element, attribute, source.
const SINGLE: &[(&[u8], &str, &str)] = &[
    (b"a", "href", "a"),
    (b"area", "href", "area"),
    (b"link", "href", "link"),
    (b"script", "src", "script"),
    (b"img", "src", "img"),
    (b"image", "src", "img"), // parsers read `<image>` as `<img>`
    (b"img", "data-src", "img"),
    (b"img", "data-original", "img"),
    (b"img", "data-lazy-src", "img"),
    (b"iframe", "src", "iframe"),
    (b"iframe", "data-src", "iframe"),
    (b"frame", "src", "iframe"),
    (b"form", "action", "form"),
    (b"button", "formaction", "form"),
    (b"input", "formaction", "form"),
    (b"input", "src", "img"),
    (b"source", "src", "source"),
    (b"video", "src", "video"),
    (b"video", "poster", "video"),
    (b"audio", "src", "audio"),
    (b"track", "src", "track"),
    (b"embed", "src", "embed"),
    (b"object", "data", "object"),
    (b"blockquote", "cite", "cite"),
    (b"q", "cite", "cite"),
    (b"ins", "cite", "cite"),
    (b"del", "cite", "cite"),
    (b"body", "background", "img"),
    (b"table", "background", "img"),
    (b"tr", "background", "img"),
    (b"td", "background", "img"),
    (b"th", "background", "img"),
    (b"a", "xlink:href", "a"), // of SVG
    (b"use", "href", "svg"),
    (b"use", "xlink:href", "svg"),
    (b"image", "href", "svg"),
    (b"image", "xlink:href", "svg"),
];

/// Attributes that hold candidates.
const CANDIDATES: &[(&[u8], &str, &str)] = &[
    (b"img", "srcset", "img"),
    (b"img", "data-srcset", "img"),
    (b"source", "srcset", "source"),
    (b"source", "data-srcset", "source"),
    (b"link", "imagesrcset", "link"),
];

/// Attributes that hold a URL on any other element: custom elements and broken markup relate to a domain like the rest.
const ELSEWHERE: &[&str] = &["href", "src", "data-src", "action"];
const ELSEWHERE_CANDIDATES: &[&str] = &["srcset", "data-srcset"];
/// Where those stand.
const OTHER: &str = "other";

impl Walk<'_> {
    fn place<'a>(&self, source: &'static str, rel: &'a str) -> Place<'a> {
        let outer = if self.in_head { "head" } else { "body" };
        Place {
            source,
            region: Some(self.regions.last().copied().unwrap_or(outer)),
            rel,
        }
    }

    #[inline(never)]
    fn start(&mut self, name: Name, tag: &Scanner<'_>) {
        let element = name.as_bytes();
        if self.in_head {
            self.stay_in_head(name);
        }
        if let Some(region) = region(element)
            && self.regions.len() < REGIONS_MAX
        {
            self.regions.push(region);
        }
        if let Some(style) = tag.attribute("style") {
            let style = entities::decode(style, true);
            let place = self.place("style", "");
            urls::css(&style, |url| self.hosts.add(url, place));
        }
        match element {
            b"base" => self.base(tag),
            b"meta" => self.meta(tag),
            b"script" => {
                self.json_ld = json_ld::is_type(tag.attribute("type").unwrap_or_default());
            }
            // A preload's type or a template's `rel` is no relation, but the words are cheap to show.
            _ => {}
        }
        self.attributes(element, tag);
    }

    /// Whether an element stands in the head still, whose tags and those of the body may be left out.
    #[inline(never)]
    fn stay_in_head(&mut self, name: Name) {
        match name.as_bytes() {
            b"body" => self.in_head = false,
            _ if self.apart.is_some() => {}
            b"noscript" | b"template" => self.apart = Some(name),
            b"html" | b"head" | b"title" | b"base" | b"link" | b"meta" | b"style" | b"script"
            | b"noframes" => {}
            _ => self.in_head = false,
        }
    }

    fn attributes(&mut self, element: &[u8], tag: &Scanner<'_>) {
        if !tag.names().any(may_hold_url) {
            return;
        }
        // Each reference of the tag looks at it.
        let rel = tag.attribute("rel").unwrap_or_default();
        let rel = &rel[..rel.floor_char_boundary(REL_WORDS_MAX * (REL_BYTES_MAX + 1))];
        for &(_, attribute, source) in SINGLE.iter().filter(|row| row.0 == element) {
            if let Some(url) = tag.attribute(attribute) {
                self.hosts.add_written(url, self.place(source, rel));
            }
        }
        for &(_, attribute, source) in CANDIDATES.iter().filter(|row| row.0 == element) {
            if let Some(text) = tag.attribute(attribute) {
                let place = self.place(source, rel);
                urls::srcset(text, |url| self.hosts.add_written(url, place));
            }
        }
        // `<base href>` was taken already.
        if element != b"base" {
            self.elsewhere(element, rel, tag);
        }
        if element == b"a"
            && let Some(targets) = tag.attribute("ping")
        {
            let place = self.place("ping", rel);
            targets
                .split_ascii_whitespace()
                .for_each(|url| self.hosts.add_written(url, place));
        }
    }

    fn elsewhere(&mut self, element: &[u8], rel: &str, tag: &Scanner<'_>) {
        let is_known = |table: &[(&[u8], &str, &str)], attribute: &str| {
            table
                .iter()
                .any(|row| row.0 == element && row.1 == attribute)
        };
        for attribute in ELSEWHERE {
            if let Some(url) = tag.attribute(attribute)
                && !is_known(SINGLE, attribute)
            {
                self.hosts.add_written(url, self.place(OTHER, rel));
            }
        }
        for attribute in ELSEWHERE_CANDIDATES {
            if let Some(text) = tag.attribute(attribute)
                && !is_known(CANDIDATES, attribute)
            {
                let place = self.place(OTHER, rel);
                urls::srcset(text, |url| self.hosts.add_written(url, place));
            }
        }
    }

    fn end(&mut self, name: Name) {
        let element = name.as_bytes();
        if element == b"head" {
            self.in_head = false;
        }
        self.apart.take_if(|open| *open == name);
        // A region that was left open inside ends with its parent.
        if let Some(at) =
            region(element).and_then(|region| self.regions.iter().rposition(|&open| open == region))
        {
            self.regions.truncate(at);
        }
    }

    fn raw(&mut self, name: Name, text: &str) {
        let is_json_ld = std::mem::take(&mut self.json_ld);
        match name.as_bytes() {
            b"style" => {
                let place = self.place("style", "");
                urls::css(text, |url| self.hosts.add(url, place));
            }
            b"script" if is_json_ld && text.len() <= JSON_LD_BYTES_MAX => {
                let Some(value) = json_ld::parse(text) else {
                    return;
                };
                let (same, other) = (self.place("same-as", ""), self.place("json-ld", ""));
                urls::json_ld(&value, false, &mut |url, is_same| {
                    self.hosts.add(url, if is_same { same } else { other })
                });
            }
            _ => {}
        }
    }

    fn base(&mut self, tag: &Scanner<'_>) {
        if let (false, Some(href)) = (self.has_base, tag.attribute("href")) {
            self.has_base = true;
            self.hosts.set_base(href);
            self.hosts.add_written(href, self.place("base", ""));
        }
    }

    fn meta(&mut self, tag: &Scanner<'_>) {
        let Some(content) = tag.attribute("content") else {
            return;
        };
        if let Some(pragma) = tag.attribute("http-equiv") {
            let content = entities::decode(content, true);
            if pragma.eq_ignore_ascii_case("refresh") {
                if let Some(url) = urls::refresh(&content) {
                    self.hosts.add(url, self.place("refresh", ""));
                }
            } else if pragma.eq_ignore_ascii_case("content-security-policy") {
                let place = self.place("csp", "");
                urls::csp(&content, |url| self.hosts.add(url, place));
            }
        } else if urls::is_absolute(content) && !urls::is_vocabulary(content) {
            let name = tag
                .attribute("property")
                .or_else(|| tag.attribute("name"))
                .unwrap_or_default();
            let is_social = ["og:", "twitter:", "article:", "fb:"].iter().any(|prefix| {
                name.get(..prefix.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
            });
            self.hosts.add_written(
                content,
                self.place(if is_social { "opengraph" } else { "meta" }, ""),
            );
        }
    }
}

/// Whether an attribute may be one of those of the tables above, or `ping`, by its length and first letter: most elements
/// have a class at most, and need not be looked up.
const fn may_hold_url(name: &[u8]) -> bool {
    let Some(first) = name.first() else {
        return false;
    };
    matches!(
        (name.len(), first.to_ascii_lowercase()),
        (3, b's')
            | (4, b'h' | b'd' | b'c' | b'p')
            | (6, b'a' | b'p' | b's')
            | (8, b'd')
            | (10, b'b' | b'f' | b'x')
            | (11, b'i' | b'd')
            | (13, b'd')
    )
}

fn region(element: &[u8]) -> Option<&'static str> {
    match element {
        b"header" => Some("header"),
        b"nav" => Some("nav"),
        b"main" => Some("main"),
        b"aside" => Some("aside"),
        b"footer" => Some("footer"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{CANDIDATES, ELSEWHERE, ELSEWHERE_CANDIDATES, SINGLE, may_hold_url};

    #[test]
    fn every_attribute_that_is_looked_up_may_hold_a_url() {
        let tables = SINGLE.iter().chain(CANDIDATES).map(|row| row.1);
        let elsewhere = ELSEWHERE.iter().chain(ELSEWHERE_CANDIDATES).copied();
        for name in tables.chain(elsewhere).chain(["ping"]) {
            assert!(may_hold_url(name.as_bytes()), "{name}");
            assert!(
                may_hold_url(name.to_ascii_uppercase().as_bytes()),
                "{name} in capitals"
            );
        }
        assert!(
            !["class", "id", "title", "style"]
                .map(str::as_bytes)
                .into_iter()
                .any(may_hold_url)
        );
    }
}
