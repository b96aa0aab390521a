//! What the tracer recorded of a type: a tree of what was asked for, and the values to try next.

use std::fmt;

/// Nodes of one tree. Of a larger type the rest is not traced.
const NODES_MAX: usize = 4_096;

/// Index of a node; the root is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(usize);

impl NodeId {
    pub(super) const ROOT: Self = Self(0);
}

/// What a type asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing yet.
    Unknown,
    /// A number, text, bytes or nothing, by its format.
    Leaf(&'static str),
    /// Whatever is there, which the format does not tell.
    Any,
    Option,
    /// Elements of one type, as many as there are.
    Sequence,
    /// Keys and values.
    Map,
    /// This many elements, each of its own type.
    Tuple,
    /// A named wrapper of one value.
    Newtype(&'static str),
    /// Named fields, of a struct or of a variant.
    Struct(&'static str, &'static [&'static str]),
    Enum(&'static str, &'static [&'static str]),
    /// A type that is around this one already.
    Recursion(&'static str),
}

#[derive(Debug)]
struct ShapeNode {
    kind: Kind,
    children: Vec<Option<NodeId>>,
    /// Which of the values to try is the next for a leaf.
    candidate: usize,
    /// The variants of an enum that were tried, and those that were accepted.
    tried: Vec<bool>,
    accepted: Vec<usize>,
    /// How often an example asked for the variant of the enum.
    asked: usize,
}

impl ShapeNode {
    fn new() -> Self {
        Self {
            kind: Kind::Unknown,
            children: Vec::new(),
            candidate: 0,
            tried: Vec::new(),
            accepted: Vec::new(),
            asked: 0,
        }
    }
}

/// The recorded tree.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<ShapeNode>,
    /// Whether the last pass recorded anything new.
    has_progress: bool,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            nodes: vec![ShapeNode::new()],
            has_progress: false,
        }
    }
}

impl Tree {
    /// Records what the type asked for at a node. What it asked for first stays.
    pub(super) fn record(&mut self, node: NodeId, kind: Kind) {
        let node = &mut self.nodes[node.0];
        if node.kind == Kind::Unknown {
            node.kind = kind;
            self.has_progress = true;
        }
    }

    /// Returns a child of a node, which is new at the first call; `None` at the bound of nodes.
    pub(super) fn child(&mut self, node: NodeId, index: usize) -> Option<NodeId> {
        if let Some(&Some(child)) = self.nodes[node.0].children.get(index) {
            return Some(child);
        }
        if self.nodes.len() >= NODES_MAX || index >= NODES_MAX {
            return None;
        }
        let child = NodeId(self.nodes.len());
        self.nodes.push(ShapeNode::new());
        let children = &mut self.nodes[node.0].children;
        if children.len() <= index {
            children.resize(index + 1, None);
        }
        children[index] = Some(child);
        self.has_progress = true;
        Some(child)
    }

    /// Returns which of its values a leaf is given.
    pub(super) fn candidate(&self, leaf: NodeId) -> usize {
        self.nodes[leaf.0].candidate
    }

    /// Gives a leaf the next of its `count` values from now on, if there is one.
    pub(super) fn try_next(&mut self, leaf: NodeId, count: usize) {
        let candidate = &mut self.nodes[leaf.0].candidate;
        if *candidate + 1 < count {
            *candidate += 1;
            self.has_progress = true;
        }
    }

    /// Returns the variant to explore next, of `count`: one that was not tried, one with such a variant inside, or one
    /// that was accepted.
    pub(super) fn variant(&mut self, node: NodeId, count: usize) -> usize {
        self.nodes[node.0].tried.resize(count, false);
        let untried = self.nodes[node.0].tried.iter().position(|tried| !tried);
        if let Some(variant) = untried {
            self.nodes[node.0].tried[variant] = true;
            self.has_progress = true;
            return variant;
        }
        let children = self.nodes[node.0].children.iter().enumerate();
        let mut open = children.filter(|(_, child)| child.is_some_and(|child| self.is_open(child)));
        open.next()
            .map_or_else(|| self.accepted(node).unwrap_or(0), |(variant, _)| variant)
    }

    /// Returns a variant that was accepted before.
    pub(super) fn accepted(&self, node: NodeId) -> Option<usize> {
        self.nodes[node.0].accepted.first().copied()
    }

    /// Returns the variant of an example: each call the next of those that were accepted.
    pub(super) fn next_variant(&mut self, node: NodeId, offset: usize) -> usize {
        let node = &mut self.nodes[node.0];
        let turn = offset + node.asked;
        node.asked += 1;
        match node.accepted.len() {
            0 => 0,
            count => node.accepted[turn % count],
        }
    }

    /// Records that the type accepted the variant.
    pub(super) fn accept(&mut self, node: NodeId, variant: usize) {
        let accepted = &mut self.nodes[node.0].accepted;
        if !accepted.contains(&variant) {
            accepted.push(variant);
        }
    }

    /// Returns whether a variant of an enum was not tried.
    pub(super) fn has_open_variant(&self) -> bool {
        self.is_open(NodeId::ROOT)
    }

    /// Returns whether anything new was recorded since the last call.
    pub(super) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.has_progress)
    }

    pub(super) fn has_collections(&self) -> bool {
        let is_collection = |node: &ShapeNode| matches!(node.kind, Kind::Sequence | Kind::Map);
        self.nodes.iter().any(is_collection)
    }

    pub(super) fn has_enums(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node.kind, Kind::Enum(..)))
    }

    // As deep as the tracer's bound at most.
    fn is_open(&self, node: NodeId) -> bool {
        let node = &self.nodes[node.0];
        node.tried.contains(&false) || node.children.iter().flatten().any(|&child| self.is_open(child))
    }

    fn write(&self, node: NodeId, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = &self.nodes[node.0];
        let child = |index: usize| node.children.get(index).copied().flatten();
        let list = |out: &mut fmt::Formatter<'_>, names: &[&str], count: usize| {
            for index in 0..count {
                let comma = if index > 0 { "," } else { "" };
                out.write_str(comma)?;
                if let Some(name) = names.get(index) {
                    write!(out, "{name}:")?;
                }
                match child(index) {
                    Some(child) => self.write(child, out)?,
                    None => out.write_str("?")?,
                }
            }
            Ok(())
        };
        let count = node.children.len();
        let (open, close, names): (_, _, &[&str]) = match node.kind {
            Kind::Unknown => return out.write_str("?"),
            Kind::Leaf(name) => return out.write_str(name),
            Kind::Any => return out.write_str("any"),
            Kind::Recursion(name) => return write!(out, "^{name}"),
            Kind::Option => ("option(".to_owned(), ")", &[]),
            Kind::Sequence => ("[".to_owned(), "]", &[]),
            Kind::Map => ("map(".to_owned(), ")", &[]),
            Kind::Tuple => ("(".to_owned(), ")", &[]),
            Kind::Newtype(name) => (format!("{name}("), ")", &[]),
            Kind::Struct(name, fields) => (format!("{name}{{"), "}", fields),
            Kind::Enum(name, variants) => (format!("{name}<"), ">", variants),
        };
        out.write_str(&open)?;
        list(out, names, count.max(names.len()))?;
        out.write_str(close)
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(NodeId::ROOT, out)
    }
}
