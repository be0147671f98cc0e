"""Nested containers as trees: `tree_flatten`, `tree_map` and their kin, over dicts, lists, tuples,
named tuples, and types that were registered.

>>> from flambeau.utils import _pytree as pytree
>>> pytree.tree_map(lambda x: x + 1, {"a": [1, 2], "b": (3,)})
{'a': [2, 3], 'b': (4,)}
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

PyTree = Any


class NodeDef(NamedTuple):
    """How a container is taken apart, and put together again from its parts and `context`."""

    flatten_fn: Callable[[Any], tuple[list[Any], Any]]
    unflatten_fn: Callable[[Iterable[Any], Any], Any]


def _of_mapping(make: Callable[[list[Any], list[Any]], Any]) -> NodeDef:
    return NodeDef(
        lambda d: (list(d.values()), list(d)),
        lambda values, keys: make(list(keys), list(values)),
    )


SUPPORTED_NODES: dict[type, NodeDef] = {
    tuple: NodeDef(lambda t: (list(t), None), lambda values, context: tuple(values)),
    list: NodeDef(lambda t: (t, None), lambda values, context: list(values)),
    dict: _of_mapping(lambda keys, values: dict(zip(keys, values, strict=True))),
    OrderedDict: _of_mapping(lambda keys, values: OrderedDict(zip(keys, values, strict=True))),
    defaultdict: NodeDef(
        lambda d: (list(d.values()), (d.default_factory, list(d))),
        lambda values, context: defaultdict(context[0], zip(context[1], values, strict=True)),
    ),
    deque: NodeDef(lambda d: (list(d), d.maxlen), lambda values, n: deque(values, maxlen=n)),
}
NAMED_TUPLE = NodeDef(lambda t: (list(t), type(t)), lambda values, kind: kind(*values))


def _dict_flatten(d: dict[Any, Any]) -> tuple[list[Any], list[Any]]:
    """The values of a dictionary, and the keys."""
    return list(d.values()), list(d)


def _dict_flatten_with_keys(d: dict[Any, Any]) -> tuple[list[tuple[Any, Any]], list[Any]]:
    """The values of a dictionary with their keys; libraries register their types with it."""
    return list(d.items()), list(d)


def register_pytree_node(cls: type, flatten_fn: Any, unflatten_fn: Any, **options: Any) -> None:
    """Makes a type a container of trees."""
    if cls in SUPPORTED_NODES:
        raise ValueError(f"{cls} is already registered as pytree node.")
    SUPPORTED_NODES[cls] = NodeDef(flatten_fn, unflatten_fn)


def _node(tree: Any) -> NodeDef | None:
    kind = type(tree)
    if kind in SUPPORTED_NODES:
        return SUPPORTED_NODES[kind]
    if isinstance(tree, tuple) and hasattr(kind, "_fields"):
        return NAMED_TUPLE
    return None


class TreeSpec(NamedTuple):
    """The shape of a tree: `node` None for a leaf."""

    node: NodeDef | None
    context: Any
    children: tuple[Any, ...]

    @property
    def num_leaves(self) -> int:
        """How many leaves there are."""
        return 1 if self.node is None else sum(child.num_leaves for child in self.children)

    def is_leaf(self) -> bool:
        """Whether the whole tree is one leaf."""
        return self.node is None

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """The tree with these leaves."""
        return tree_unflatten(leaves, self)


LEAF = TreeSpec(None, None, ())


def tree_flatten(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """The leaves of a tree, and its shape."""
    leaves: list[Any] = []

    def walk(value: Any) -> TreeSpec:
        node = None if is_leaf is not None and is_leaf(value) else _node(value)
        if node is None:
            leaves.append(value)
            return LEAF
        children, context = node.flatten_fn(value)
        return TreeSpec(node, context, tuple(map(walk, children)))

    spec = walk(tree)
    return leaves, spec


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """The tree of a shape with these leaves."""
    source = iter(leaves)

    def build(spec: TreeSpec) -> Any:
        if spec.node is None:
            return next(source)
        return spec.node.unflatten_fn([build(child) for child in spec.children], spec.context)

    return build(treespec)


def tree_leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves of a tree."""
    return tree_flatten(tree, is_leaf)[0]


tree_iter = tree_leaves


def tree_structure(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> TreeSpec:
    """The shape of a tree."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(
    func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Callable[[Any], bool] | None = None
) -> Any:
    """The tree of `func` of the leaves (of several trees of one shape)."""
    leaves, spec = tree_flatten(tree, is_leaf)
    others = [tree_flatten(rest, is_leaf)[0] for rest in rests]
    return tree_unflatten([func(*group) for group in zip(leaves, *others, strict=True)], spec)


def tree_map_(func: Callable[..., Any], tree: Any, *rests: Any, **options: Any) -> Any:
    """Calls `func` on the leaves and returns the tree itself."""
    tree_map(func, tree, *rests, **options)
    return tree


def tree_map_only(kind: Any, func: Any = None, tree: Any = None, **options: Any) -> Any:
    """`tree_map` of the leaves of a type (or of those that a function accepts)."""
    if func is None:
        return lambda f: lambda t: tree_map_only(kind, f, t)
    accepts = kind if callable(kind) and not isinstance(kind, type) else None

    def apply(x: Any) -> Any:
        fits = accepts(x) if accepts is not None else isinstance(x, kind)
        return func(x) if fits else x

    return tree_map(apply, tree, **options)


def tree_all(pred: Callable[[Any], bool], tree: Any) -> bool:
    """Whether all leaves fulfil something."""
    return all(map(pred, tree_leaves(tree)))


def tree_any(pred: Callable[[Any], bool], tree: Any) -> bool:
    """Whether some leaf fulfils something."""
    return any(map(pred, tree_leaves(tree)))


def broadcast_prefix(prefix: Any, tree: Any) -> list[Any] | None:
    """The leaves of `prefix`, each as often as the part of `tree` in its place has leaves; None
    where they do not fit.
    """
    node = _node(prefix)
    if node is None:
        return [prefix] * len(tree_leaves(tree))
    if type(prefix) is not type(tree):
        return None
    mine, context = node.flatten_fn(prefix)
    theirs, other = node.flatten_fn(tree)
    if len(mine) != len(theirs) or context != other:
        return None
    result: list[Any] = []
    for part, subtree in zip(mine, theirs, strict=True):
        spread = broadcast_prefix(part, subtree)
        if spread is None:
            return None
        result += spread
    return result
