//! The tree builder: where a tag or a text goes among the open elements.
//!
//! Every open element carries, from its push on, where the nearest paragraph, list item and table above it are, so that
//! no rule has to search the open elements; only end tags do, and those pop what they pass or stop at a boundary.

use super::super::{Cut, Limits, Node, NodeId, Syntax, Tag};

/// Blocks that a misplaced end tag of a formatting element may split, as the standard's adoption agency does.
const SPLIT_BLOCKS_MAX: usize = 8;
/// Dropped start tags whose end tags are still awaited; more than that is a hostile page.
const DROPPED_MAX: usize = 1 << 16;
/// How far an end tag looks among the dropped start tags.
const DROPPED_WINDOW: usize = 16;

#[derive(Clone, Copy)]
struct Open {
    node: NodeId,
    tag: Tag,
    /// Indices into the stack, 0 for none.
    paragraph: u16,
    item: u16,
    term: u16,
    table: u16,
    link: u16,
    foreign: u16,
    /// HTML that may stand in the SVG or MathML above it.
    in_html: bool,
    in_noscript: bool,
}

pub(super) struct Tree {
    nodes: Vec<Node>,
    stack: Vec<Open>,
    /// Start tags past the depth limit.
    dropped: Vec<Tag>,
    has_body: bool,
    is_xhtml: bool,
    nodes_max: usize,
    depth_max: usize,
    cut: Option<Cut>,
}

impl Tree {
    pub(super) fn new(capacity: usize, syntax: Syntax, limits: &Limits) -> Tree {
        let mut nodes = Vec::with_capacity(capacity.min(limits.nodes_max) + 1);
        nodes.push(Node {
            tag: Tag::Root,
            is_decoded: false,
            depth: 0,
            parent: 0,
            end: 0,
            start: 0,
            len: 0,
            name_at: 0,
        });
        let root = Open {
            node: 0,
            tag: Tag::Root,
            paragraph: 0,
            item: 0,
            term: 0,
            table: 0,
            link: 0,
            foreign: 0,
            in_html: false,
            in_noscript: false,
        };
        Tree {
            nodes,
            stack: vec![root],
            dropped: Vec::new(),
            has_body: false,
            is_xhtml: syntax == Syntax::Xhtml,
            nodes_max: limits.nodes_max,
            depth_max: limits.depth_max.clamp(8, usize::from(u16::MAX) - 1),
            cut: None,
        }
    }

    pub(super) fn finish(mut self) -> (Vec<Node>, Option<Cut>) {
        self.truncate(0);
        (self.nodes, self.cut)
    }

    pub(super) fn is_full(&self) -> bool {
        self.cut == Some(Cut::Nodes)
    }

    pub(super) fn in_foreign(&self) -> bool {
        self.top().foreign != 0
    }

    pub(super) fn is_xhtml(&self) -> bool {
        self.is_xhtml
    }

    /// The SVG or MathML that the current element stands in, while HTML may not stand there.
    pub(super) fn closed_to_html(&self) -> Option<Tag> {
        let top = self.top();
        (top.foreign != 0 && !top.in_html).then(|| self.stack[usize::from(top.foreign)].tag)
    }

    /// Lets HTML stand in the element that was just opened.
    #[cold]
    pub(super) fn admit_html(&mut self) {
        if let Some(open) = self.stack.last_mut() {
            open.in_html = true;
        }
    }

    pub(super) fn in_noscript(&self) -> bool {
        self.top().in_noscript
    }

    fn top(&self) -> &Open {
        // The root is never popped before `finish`.
        &self.stack[self.stack.len() - 1]
    }

    /// Closes the open elements from this index on.
    fn truncate(&mut self, index: usize) {
        let end = self.nodes.len() as NodeId;
        for open in self.stack.drain(index..) {
            self.nodes[open.node as usize].end = end;
        }
    }

    fn append(
        &mut self,
        tag: Tag,
        is_decoded: bool,
        range: (u32, u32),
        name_at: u32,
    ) -> Option<NodeId> {
        if self.nodes.len() >= self.nodes_max {
            self.cut = Some(Cut::Nodes);
            return None;
        }
        let id = self.nodes.len() as NodeId;
        let parent = self.top().node;
        let depth = self.nodes[parent as usize].depth + 1;
        self.nodes.push(Node {
            tag,
            is_decoded,
            depth,
            parent,
            end: id + 1,
            start: range.0,
            len: range.1,
            name_at,
        });
        Some(id)
    }

    pub(super) fn text(&mut self, start: u32, len: u32, is_decoded: bool, is_space: bool) {
        let top = self.top().tag;
        if is_space {
            // Space between rows, items and head elements separates nothing.
            let is_idle = matches!(
                top,
                Tag::Root | Tag::Html | Tag::Head | Tag::Table | Tag::Tbody | Tag::Thead | Tag::Tr
            );
            if is_idle
                || matches!(
                    top,
                    Tag::Tfoot | Tag::Ul | Tag::Ol | Tag::Dl | Tag::Select | Tag::Picture
                )
            {
                return;
            }
        } else if top == Tag::Head {
            self.truncate(self.stack.len() - 1);
        }
        let seen_space = u32::from(is_space && !is_decoded);
        self.append(Tag::Text, is_decoded, (start, len), seen_space);
    }

    /// Whether the element was opened, that is, whether its content follows.
    #[inline(never)]
    pub(super) fn start_tag(
        &mut self,
        tag: Tag,
        attributes: (u32, u32),
        name_at: u32,
        is_self_closing: bool,
    ) -> bool {
        let is_foreign = self.top().foreign != 0;
        if !is_foreign && !self.make_room(tag) {
            return false;
        }
        let is_closed = tag.is_void()
            || is_self_closing
                && (is_foreign || self.is_xhtml || matches!(tag, Tag::Svg | Tag::Math));
        if self.stack.len() >= self.depth_max && !is_closed && !tag.is_raw() {
            self.cut = self.cut.or(Some(Cut::Depth));
            if self.dropped.len() < DROPPED_MAX {
                self.dropped.push(tag);
            }
            return false;
        }
        let Some(node) = self.append(tag, false, attributes, name_at) else {
            return false;
        };
        if !is_closed {
            self.push(node, tag);
        }
        !is_closed
    }

    /// Makes the template that was just opened an element without a meaning, whose content counts where it stands. Among the
    /// open elements it stays one, as for its end tag.
    #[cold]
    pub(super) fn reveal_template(&mut self) {
        if let Some(node) = self.nodes.last_mut() {
            node.tag = Tag::Other;
        }
    }

    fn push(&mut self, node: NodeId, tag: Tag) {
        let above = *self.top();
        let index = self.stack.len() as u16;
        let mut open = Open { node, tag, ..above };
        if tag.is_scope_boundary() || tag == Tag::Button {
            open.paragraph = 0;
        }
        if tag.is_special() && !matches!(tag, Tag::Address | Tag::Div | Tag::P) {
            (open.item, open.term) = (0, 0);
        }
        match tag {
            Tag::P => open.paragraph = index,
            Tag::Li => open.item = index,
            Tag::Dd | Tag::Dt => open.term = index,
            Tag::Table => (open.table, open.link) = (index, 0),
            Tag::A => open.link = index,
            Tag::Template
            | Tag::Caption
            | Tag::Td
            | Tag::Th
            | Tag::Object
            | Tag::Marquee
            | Tag::Applet => open.link = 0,
            Tag::Svg | Tag::Math => (open.foreign, open.in_html) = (index, false),
            Tag::Noscript => open.in_noscript = true,
            _ => {}
        }
        self.stack.push(open);
    }

    /// Ends SVG and MathML, as HTML does that stands in them by mistake, up to where it may stand. What was left open in them
    /// does not keep it in.
    pub(super) fn leave_foreign(&mut self) {
        while self.closed_to_html().is_some() {
            self.truncate(usize::from(self.top().foreign));
        }
    }

    /// Closes what the start tag ends implicitly; whether the element may be opened at all.
    fn make_room(&mut self, tag: Tag) -> bool {
        if !tag.is_head_content() {
            self.close_head();
        }
        match tag {
            Tag::Html | Tag::Head if self.nodes.len() > 2 => return false,
            Tag::Body => {
                let is_first = !self.has_body;
                self.has_body = true;
                return is_first;
            }
            Tag::Li if self.top().item != 0 => self.truncate(usize::from(self.top().item)),
            Tag::Dd | Tag::Dt if self.top().term != 0 => {
                self.truncate(usize::from(self.top().term))
            }
            Tag::Option | Tag::Optgroup if self.top().tag == Tag::Option => {
                self.truncate(self.stack.len() - 1)
            }
            Tag::Tr
            | Tag::Td
            | Tag::Th
            | Tag::Tbody
            | Tag::Thead
            | Tag::Tfoot
            | Tag::Caption
            | Tag::Colgroup
            | Tag::Col => {
                return self.make_room_in_table(tag);
            }
            Tag::Table
                if matches!(
                    self.top().tag,
                    Tag::Table | Tag::Tbody | Tag::Thead | Tag::Tfoot | Tag::Tr
                ) =>
            {
                self.truncate(usize::from(self.top().table));
            }
            Tag::A if self.top().link != 0 => self.close_formatting(usize::from(self.top().link)),
            Tag::Button => {
                if let Some(index) = self.open_in_scope(Tag::Button) {
                    self.truncate(index);
                }
            }
            _ => {}
        }
        if tag.closes_paragraph() && self.top().paragraph != 0 {
            self.truncate(usize::from(self.top().paragraph));
        }
        if tag.heading_level().is_some() && self.top().tag.heading_level().is_some() {
            self.truncate(self.stack.len() - 1);
        }
        true
    }

    fn make_room_in_table(&mut self, tag: Tag) -> bool {
        let table = usize::from(self.top().table);
        if table == 0 {
            return false;
        }
        let mut keep = table + 1;
        let is_section = |open: &Open| matches!(open.tag, Tag::Tbody | Tag::Thead | Tag::Tfoot);
        if matches!(tag, Tag::Tr | Tag::Td | Tag::Th)
            && self.stack.get(keep).is_some_and(is_section)
        {
            keep += 1;
        }
        if matches!(tag, Tag::Td | Tag::Th)
            && self.stack.get(keep).is_some_and(|open| open.tag == Tag::Tr)
        {
            keep += 1;
        }
        if tag == Tag::Col
            && self
                .stack
                .get(keep)
                .is_some_and(|open| open.tag == Tag::Colgroup)
        {
            keep += 1;
        }
        self.truncate(keep);
        true
    }

    fn close_head(&mut self) {
        let is_head = |open: &Open| open.tag == Tag::Head;
        // The head can only be the second or third open element.
        if let Some(index) = self.stack.iter().take(4).position(is_head) {
            let in_template = self.stack[index..]
                .iter()
                .take(4)
                .any(|open| open.tag == Tag::Template);
            if !in_template {
                self.truncate(index);
            }
        }
    }

    fn open_in_scope(&self, tag: Tag) -> Option<usize> {
        let mut index = self.stack.len() - 1;
        loop {
            let open = self.stack[index].tag;
            if open == tag {
                return Some(index);
            }
            if open.is_scope_boundary() {
                return None;
            }
            index -= 1;
        }
    }

    /// Closes what an end tag ends; its name stands at `name_at`.
    pub(super) fn end_tag(&mut self, tag: Tag, name_at: u32) {
        if self.is_dropped(tag) {
            return;
        }
        let found = match tag {
            // What follows the body still belongs to it.
            Tag::Html | Tag::Body => None,
            Tag::P if self.top().paragraph == 0 => return self.empty_paragraph(name_at),
            Tag::P => Some(usize::from(self.top().paragraph)),
            // Browsers read it as a start tag; in XHTML it belongs to one.
            Tag::Br if self.is_xhtml => None,
            Tag::Br => {
                self.leave_foreign();
                self.start_tag(tag, (0, 0), name_at, false);
                None
            }
            Tag::Table => Some(usize::from(self.top().table)).filter(|index| *index != 0),
            Tag::Tr | Tag::Td | Tag::Th | Tag::Tbody | Tag::Thead | Tag::Tfoot | Tag::Caption => {
                self.open_in_table(tag)
            }
            Tag::H1 | Tag::H2 | Tag::H3 | Tag::H4 | Tag::H5 | Tag::H6 => self.open_heading(),
            _ if tag.is_formatting() => return self.end_formatting(tag),
            _ if tag.is_special() => self.open_in_scope(tag),
            _ => self.open_inline(tag),
        };
        if let Some(index) = found {
            self.truncate(index);
        }
    }

    /// The end tag of a paragraph that is not open makes an empty one, which parts what stands before and behind it.
    #[cold]
    fn empty_paragraph(&mut self, name_at: u32) {
        self.leave_foreign();
        let has_none = matches!(
            self.top().tag,
            Tag::Head
                | Tag::Select
                | Tag::Option
                | Tag::Table
                | Tag::Tbody
                | Tag::Thead
                | Tag::Tfoot
                | Tag::Tr
        );
        if !has_none {
            self.append(Tag::P, false, (0, 0), name_at);
        }
    }

    /// Whether the end tag belongs to a start tag that the depth limit dropped.
    fn is_dropped(&mut self, tag: Tag) -> bool {
        let window = self.dropped.len().saturating_sub(DROPPED_WINDOW);
        let found = self.dropped[window..]
            .iter()
            .rposition(|dropped| *dropped == tag);
        if let Some(index) = found {
            self.dropped.truncate(window + index);
        }
        found.is_some()
    }

    fn open_in_table(&self, tag: Tag) -> Option<usize> {
        let table = usize::from(self.top().table);
        // Rows and cells stand at most three below their table.
        (table != 0).then(|| {
            self.stack[table..]
                .iter()
                .take(4)
                .position(|open| open.tag == tag)
                .map(|found| table + found)
        })?
    }

    fn open_heading(&self) -> Option<usize> {
        let mut index = self.stack.len() - 1;
        while !self.stack[index].tag.is_scope_boundary() {
            if self.stack[index].tag.heading_level().is_some() {
                return Some(index);
            }
            index -= 1;
        }
        None
    }

    /// The standard's "any other end tag": the nearest of that kind, unless a special element stands between.
    fn open_inline(&self, tag: Tag) -> Option<usize> {
        let mut index = self.stack.len() - 1;
        while index > 0 {
            let open = self.stack[index].tag;
            if open == tag {
                return Some(index);
            }
            if open.is_special() {
                return None;
            }
            index -= 1;
        }
        None
    }

    fn end_formatting(&mut self, tag: Tag) {
        if let Some(index) = self.open_in_scope(tag) {
            self.close_formatting(index);
        }
    }

    /// Closes a formatting element. Blocks that were opened in it and are still open go on after it, as copies.
    fn close_formatting(&mut self, index: usize) {
        let is_split = |open: &&Open| open.tag.is_special();
        let blocks: Vec<Open> = self.stack[index + 1..]
            .iter()
            .filter(is_split)
            .copied()
            .take(SPLIT_BLOCKS_MAX + 1)
            .collect();
        if blocks.len() > SPLIT_BLOCKS_MAX {
            return;
        }
        self.truncate(index);
        for block in blocks {
            let original = self.nodes[block.node as usize];
            if let Some(copy) = self.append(
                original.tag,
                false,
                (original.start, original.len),
                original.name_at,
            ) {
                self.push(copy, original.tag);
            }
        }
    }
}
