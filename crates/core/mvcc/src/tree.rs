//! A persistent ordered map: a B+tree whose nodes are shared between versions.
//!
//! Stands under both halves of the state (keys, history). `clone` is one reference count; a write copies
//! only the nodes on its path that some clone still shares (depth 4 at 150,000 keys, so about 200 reference
//! counts), and nothing when no clone is alive. Each branch knows how many keys lie below it, so
//! counting a range costs two descents.
//!
//! It deliberately has no mutable iteration and no bulk operations, and it does not keep nodes half full:
//! a node is merged with a neighbour only where both fit in one.

use std::borrow::Borrow;
use std::sync::Arc;

/// Entries per node: 32 keeps the copied path small (4 nodes at 150,000 keys) and a leaf a few cache lines.
const NODE_LEN_MAX: usize = 32;
/// A node shorter than this looks for a neighbour to merge with.
const NODE_LEN_LOW: usize = 8;

pub(crate) struct Tree<K, V> {
    root: Arc<Node<K, V>>,
    len: usize,
}

#[derive(Clone)]
enum Node<K, V> {
    Leaf(Vec<(K, V)>),
    Branch(Vec<Child<K, V>>),
}

/// `first` separates this child from its left neighbour: every key in it is `>= first`, every key to the
/// left is `< first`. For the leftmost child it means nothing (smaller keys go there too).
struct Child<K, V> {
    first: K,
    len: usize,
    node: Arc<Node<K, V>>,
}

impl<K: Clone, V> Clone for Child<K, V> {
    fn clone(&self) -> Self {
        Self { first: self.first.clone(), len: self.len, node: Arc::clone(&self.node) }
    }
}

impl<K, V> Clone for Tree<K, V> {
    fn clone(&self) -> Self {
        Self { root: Arc::clone(&self.root), len: self.len }
    }
}

impl<K, V> Tree<K, V> {
    pub(crate) fn new() -> Self {
        Self { root: Arc::new(Node::Leaf(Vec::new())), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl<K: Ord + Clone, V: Clone> Tree<K, V> {
    pub(crate) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let mut node = &*self.root;
        loop {
            match node {
                Node::Leaf(slots) => {
                    let at = slots.binary_search_by(|(k, _)| k.borrow().cmp(key)).ok()?;
                    return slots.get(at).map(|(_, v)| v);
                }
                Node::Branch(children) => node = &children[child_at(children, |k| k.borrow() <= key)].node,
            }
        }
    }

    /// Sets `key`; returns what was there.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let (old, split) = insert(&mut self.root, key, value);
        if let Some(right) = split {
            let left_len = self.root.len();
            let first = self.root.first_key().clone();
            let left = Child { first, len: left_len, node: Arc::clone(&self.root) };
            self.root = Arc::new(Node::Branch(vec![left, right]));
        }
        self.len += usize::from(old.is_none());
        old
    }

    /// Removes `key`; returns what was there.
    pub(crate) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        // A miss must not copy the path.
        self.get(key)?;
        let old = remove(&mut self.root, key);
        self.len -= usize::from(old.is_some());
        while let Node::Branch(children) = &*self.root {
            match children.as_slice() {
                [] => self.root = Arc::new(Node::Leaf(Vec::new())),
                [only] => self.root = Arc::clone(&only.node),
                _ => break,
            }
        }
        old
    }

    /// Returns the number of keys for which `before` holds; `before` holds for a prefix of the order.
    pub(crate) fn rank(&self, before: impl Fn(&K) -> bool) -> usize {
        let (mut node, mut rank) = (&*self.root, 0);
        loop {
            match node {
                Node::Leaf(slots) => return rank + slots.partition_point(|(k, _)| before(k)),
                Node::Branch(children) => {
                    let at = child_at(children, &before);
                    rank += children[..at].iter().map(|c| c.len).sum::<usize>();
                    node = &children[at].node;
                }
            }
        }
    }

    /// Iterates in order from the first key for which `before` does not hold.
    pub(crate) fn seek(&self, before: impl Fn(&K) -> bool) -> Iter<'_, K, V> {
        let (mut node, mut above) = (&*self.root, Vec::new());
        loop {
            match node {
                Node::Leaf(slots) => {
                    let at = slots.partition_point(|(k, _)| before(k));
                    return Iter { above, leaf: slots[at..].iter() };
                }
                Node::Branch(children) => {
                    let at = child_at(children, &before);
                    above.push(children[at + 1..].iter());
                    node = &children[at].node;
                }
            }
        }
    }

    pub(crate) fn iter(&self) -> Iter<'_, K, V> {
        self.seek(|_| false)
    }
}

/// In-order iterator; borrows the version it reads.
pub(crate) struct Iter<'a, K, V> {
    above: Vec<std::slice::Iter<'a, Child<K, V>>>,
    leaf: std::slice::Iter<'a, (K, V)>,
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.leaf.next() {
                return Some((key, value));
            }
            let Some(child) = self.above.last_mut()?.next() else {
                self.above.pop();
                continue;
            };
            let mut node = &*child.node;
            while let Node::Branch(children) = node {
                let mut rest = children.iter();
                let Some(first) = rest.next() else { break };
                self.above.push(rest);
                node = &first.node;
            }
            if let Node::Leaf(slots) = node {
                self.leaf = slots.iter();
            }
        }
    }
}

impl<K, V> Node<K, V> {
    /// Keys below this node.
    fn len(&self) -> usize {
        match self {
            Self::Leaf(slots) => slots.len(),
            Self::Branch(children) => children.iter().map(|c| c.len).sum(),
        }
    }

    /// Slots or children in this node itself.
    fn width(&self) -> usize {
        match self {
            Self::Leaf(slots) => slots.len(),
            Self::Branch(children) => children.len(),
        }
    }

    fn first_key(&self) -> &K {
        match self {
            Self::Leaf(slots) => &slots[0].0,
            Self::Branch(children) => &children[0].first,
        }
    }
}

/// Index of the child that holds the border of `before`.
fn child_at<K, V>(children: &[Child<K, V>], before: impl Fn(&K) -> bool) -> usize {
    children.partition_point(|c| before(&c.first)).saturating_sub(1)
}

fn insert<K: Ord + Clone, V: Clone>(node: &mut Arc<Node<K, V>>, key: K, value: V) -> (Option<V>, Option<Child<K, V>>) {
    let node = Arc::make_mut(node);
    let old = match node {
        Node::Leaf(slots) => match slots.binary_search_by(|(k, _)| k.cmp(&key)) {
            Ok(at) => Some(std::mem::replace(&mut slots[at].1, value)),
            Err(at) => {
                slots.insert(at, (key, value));
                None
            }
        },
        Node::Branch(children) => {
            let at = child_at(children, |first| *first <= key);
            let child = &mut children[at];
            let (old, split) = insert(&mut child.node, key, value);
            child.len += usize::from(old.is_none());
            if let Some(right) = split {
                child.len -= right.len;
                children.insert(at + 1, right);
            }
            old
        }
    };
    (old, split_if_full(node))
}

fn split_if_full<K: Clone, V>(node: &mut Node<K, V>) -> Option<Child<K, V>> {
    if node.width() <= NODE_LEN_MAX {
        return None;
    }
    let right = match node {
        Node::Leaf(slots) => Node::Leaf(slots.split_off(slots.len() / 2)),
        Node::Branch(children) => Node::Branch(children.split_off(children.len() / 2)),
    };
    Some(Child { first: right.first_key().clone(), len: right.len(), node: Arc::new(right) })
}

fn remove<K: Ord + Clone + Borrow<Q>, V: Clone, Q: Ord + ?Sized>(node: &mut Arc<Node<K, V>>, key: &Q) -> Option<V> {
    match Arc::make_mut(node) {
        Node::Leaf(slots) => {
            let at = slots.binary_search_by(|(k, _)| k.borrow().cmp(key)).ok()?;
            Some(slots.remove(at).1)
        }
        Node::Branch(children) => {
            let at = child_at(children, |first| first.borrow() <= key);
            let child = &mut children[at];
            let old = remove(&mut child.node, key)?;
            child.len -= 1;
            if child.len == 0 {
                children.remove(at);
            } else if child.node.width() < NODE_LEN_LOW {
                merge_with_neighbour(children, at);
            }
            Some(old)
        }
    }
}

fn merge_with_neighbour<K: Clone, V: Clone>(children: &mut Vec<Child<K, V>>, at: usize) {
    let width = children[at].node.width();
    let fits = |other: usize| children.get(other).is_some_and(|c| c.node.width() + width <= NODE_LEN_MAX);
    let left = match at.checked_sub(1) {
        Some(left) if fits(left) => left,
        _ if fits(at + 1) => at,
        _ => return,
    };
    let right = children.remove(left + 1);
    let into = &mut children[left];
    into.len += right.len;
    let node = Arc::unwrap_or_clone(right.node);
    match (Arc::make_mut(&mut into.node), node) {
        (Node::Leaf(into), Node::Leaf(mut slots)) => into.append(&mut slots),
        (Node::Branch(into), Node::Branch(mut grandchildren)) => {
            // The leftmost separator meant nothing where it stood; here it separates.
            grandchildren[0].first = right.first;
            into.append(&mut grandchildren);
        }
        _ => unreachable!("all leaves of a tree lie at one depth"),
    }
}
