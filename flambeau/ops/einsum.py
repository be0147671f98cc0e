"""Einstein summation and what is made of it: einsum, tensordot, inner, kron, chain_matmul.

Operands are contracted pairwise from the left (ops.contractions); labels that no later operand and
no output needs are summed at once. What an equation means for given shapes is found once.

    >>> torch.einsum("ij,jk->ik", torch.ones(2, 3), torch.ones(3, 4)).shape
    torch.Size([2, 4])
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

from flambeau.core.shape import wrap_dim
from flambeau.ops.contractions import Contraction, contraction, permuted
from flambeau.ops.kinds import composite
from flambeau.ops.registry import OPS
from flambeau.runtime.system import engine

ELLIPSIS = "..."


def parse(equation: str, ranks: Sequence[int]) -> tuple[list[list[str]], list[str]]:
    """Labels of each operand and of the output; an ellipsis becomes labels '.0', '.1', ...

    counted from the right.
    """
    equation = equation.replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if len(terms) < len(ranks):
        raise RuntimeError("einsum(): more operands were provided than specified in the equation")
    if len(terms) > len(ranks):
        raise RuntimeError("einsum(): fewer operands were provided than specified in the equation")
    inputs = [
        expand_term(term, rank, i) for i, (term, rank) in enumerate(zip(terms, ranks, strict=True))
    ]
    dots = sorted(
        {label for labels in inputs for label in labels if label[0] == "."},
        key=lambda s: -int(s[1:]),
    )
    if arrow:
        output = output_labels(right, inputs, dots)
    else:
        counts: dict[str, int] = {}
        for labels in inputs:
            for label in labels:
                counts[label] = counts.get(label, 0) + 1
        output = dots + sorted(label for label, n in counts.items() if n == 1 and label[0] != ".")
    return inputs, output


def expand_term(term: str, ndim: int, position: int) -> list[str]:
    """The labels of one operand."""
    before, dots, after = term.partition(ELLIPSIS)
    for label in before + after:
        if not label.isalpha():
            raise RuntimeError(
                f"einsum(): invalid subscript given at index {term.index(label)} in the equation "
                "string, subscripts must be in [a-zA-Z]"
            )
    named = len(before) + len(after)
    if named > ndim or not dots and named != ndim:
        raise RuntimeError(
            f"einsum(): the number of subscripts in the equation ({named}) does not match the "
            f"number of dimensions ({ndim}) for operand "
            f"{position} and no ellipsis was given"
            if named <= ndim or not dots
            else (
                f"einsum(): the number of subscripts in the equation ({named}) is more than the "
                f"number of dimensions ({ndim}) for operand {position}"
            )
        )
    return [*before, *(f".{i}" for i in range(ndim - named - 1, -1, -1)), *after]


def output_labels(text: str, inputs: Sequence[Sequence[str]], dots: list[str]) -> list[str]:
    """The labels after `->`; torch's errors."""
    before, ellipsis, after = text.partition(ELLIPSIS)
    known = {label for labels in inputs for label in labels}
    for label in before + after:
        if not label.isalpha():
            raise RuntimeError(
                f"einsum(): invalid subscript given at index {text.index(label)} in the equation "
                "string, subscripts must be in [a-zA-Z]"
            )
        if (before + after).count(label) > 1:
            raise RuntimeError(
                f"einsum(): output subscript {label} appears more than once in the output"
            )
        if label not in known:
            raise RuntimeError(
                f"einsum(): output subscript {label} does not appear in the equation for any "
                "input operand"
            )
    return [*before, *(dots if ellipsis else []), *after]


def diagonalised(
    shape: tuple[int, ...], labels: list[str]
) -> tuple[tuple[int, ...], list[str], list[tuple[int, int]]]:
    """Repeated labels of one operand mean its diagonal: (shape, labels, pairs of dimensions)."""
    labels, sizes, pairs = list(labels), list(shape), []
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            if sizes[first] != sizes[second]:
                raise RuntimeError(
                    f"einsum(): subscript {label} is repeated for operand 0 but the sizes don't "
                    f"match, {sizes[second]} != {sizes[first]}"
                )
            pairs.append((first, second))
            rest = [i for i in range(len(labels)) if i not in (first, second)]
            labels = [*(labels[i] for i in rest), label]
            sizes = [*(sizes[i] for i in rest), sizes[first]]
    return tuple(sizes), labels, pairs


def check_sizes(inputs: Sequence[Sequence[str]], shapes: Sequence[Sequence[int]]) -> None:
    """A label has one size everywhere (1 broadcasts)."""
    sizes: dict[str, int] = {}
    for i, (labels, shape) in enumerate(zip(inputs, shapes, strict=True)):
        for d, label in enumerate(labels):
            size = shape[d]
            if sizes.get(label, 1) not in (1, size) and size != 1:
                raise RuntimeError(
                    f"einsum(): subscript {label} has size {size} for operand {i} which does not "
                    f"broadcast with previously seen size {sizes[label]}"
                )
            sizes[label] = max(size, sizes.get(label, 1)) if size != 0 else 0


class Recipe(NamedTuple):
    """How an equation is worked out for operands of given shapes."""

    diagonals: list[list[tuple[int, int]]]
    steps: list[Contraction]
    sums: tuple[int, ...]
    labels: list[str]
    output: list[str]

    def __call__(self, operands: Sequence[Any]) -> Any:
        tensors = list(operands)
        for i, pairs in enumerate(self.diagonals):
            for first, second in pairs:
                tensors[i] = tensors[i].diagonal(0, first, second)
        current = tensors[0]
        for step, other in zip(self.steps, tensors[1:], strict=True):
            current = step(current, other)
        if self.sums:
            current = current.sum(self.sums)
        return permuted(current, self.labels, self.output)


@functools.lru_cache(maxsize=1024)
def recipe(equation: str, shapes: tuple[tuple[int, ...], ...]) -> Recipe:
    """Reads the equation; torch's errors for what does not fit."""
    inputs, output = parse(equation, [len(shape) for shape in shapes])
    pairs = [diagonalised(shape, labels) for shape, labels in zip(shapes, inputs, strict=True)]
    check_sizes([labels for _, labels, _ in pairs], [shape for shape, _, _ in pairs])
    shape, labels, _ = pairs[0]
    steps: list[Contraction] = []
    for i, (other, other_labels, _) in enumerate(pairs[1:], start=1):
        keep = set(output) | {x for _, later, _ in pairs[i + 1 :] for x in later}
        steps.append(contraction(labels, shape, other_labels, other, keep))
        labels, shape = steps[-1].labels, steps[-1].shape
    sums = tuple(d for d, label in enumerate(labels) if label not in output)
    kept = [label for label in labels if label in output]
    return Recipe([d for _, _, d in pairs], steps, sums, kept, output)


def einsum(*args: Any) -> Any:
    """Sums of products over labelled dimensions; also `einsum(op1, [0, 1], op2, [1, 2], [0, 2])`.

    >>> torch.einsum("ii", torch.eye(3))
    tensor(3.)
    """
    if len(args) < 2:
        raise ValueError(
            "einsum(): must specify the equation string and at least one operand, "
            "or at least one operand and its subscripts list"
        )
    if isinstance(args[0], engine.Tensor):
        operands: Sequence[Any]
        equation, operands = from_lists(args)
    else:
        equation, operands = args[0], args[1:]
        if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
            operands = operands[0]
    return recipe(equation, tuple(tuple(t.shape) for t in operands))(operands)


def from_lists(args: Sequence[Any]) -> tuple[str, list[Any]]:
    """The equation of the interleaved form."""

    def text(sub: Sequence[Any]) -> str:
        return "".join(
            ELLIPSIS if s is Ellipsis else (chr(ord("A") + s) if s < 26 else chr(ord("a") + s - 26))
            for s in sub
        )

    operands, terms = list(args[0 : len(args) - len(args) % 2 : 2]), [text(s) for s in args[1::2]]
    equation = ",".join(terms)
    return (equation + "->" + text(args[-1]) if len(args) % 2 else equation), operands


@composite(methods=())
def tensordot(a, b, dims=2):
    """Sums products over given dimensions of both operands.

    >>> torch.tensordot(torch.ones(2, 3), torch.ones(3, 4), 1).shape
    torch.Size([2, 4])
    """
    if isinstance(dims, engine.Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        first, second = list(range(-dims, 0)), list(range(dims))
    else:
        first, second = ([d] if isinstance(d, int) else list(d) for d in dims)
    if len(first) != len(second):
        raise RuntimeError("both dimension lists should have same length")
    for x, y in zip(first, second, strict=True):
        m, n = a.shape[wrap_dim(x, a.ndim)], b.shape[wrap_dim(y, b.ndim)]
        if m != n and 1 not in (m, n):
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {m} in dim {x} "
                f"and second has size {n} in dim {y}"
            )
    first, second = [wrap_dim(d, a.ndim) for d in first], [wrap_dim(d, b.ndim) for d in second]
    la: list[str] = [f"a{d}" for d in range(a.ndim)]
    lb = [f"b{d}" for d in range(b.ndim)]
    for k, (x, y) in enumerate(zip(first, second, strict=True)):
        la[x] = lb[y] = f"s{k}"
    output = [x for x in la if x[0] == "a"] + [x for x in lb if x[0] == "b"]
    run = contraction(la, a.shape, lb, b.shape, set(output))
    return permuted(run(a, b), run.labels, output)


@composite
def inner(input, other):
    """Sums of products over the last dimension of both.

    >>> torch.inner(torch.tensor([1, 2]), torch.tensor([3, 4]))
    tensor(11)
    """
    if input.ndim == 0 or other.ndim == 0:
        return input * other
    if input.shape[-1] != other.shape[-1]:
        raise RuntimeError(
            "inner() the last dimension must match on both input tensors but got shapes "
            f"{list(input.shape)} and {list(other.shape)}"
        )
    if input.ndim == other.ndim == 1:
        return input.dot(other)
    return tensordot.call(input, other, ([-1], [-1]))


@composite
def kron(input, other):
    """Kronecker product.

    >>> torch.kron(torch.tensor([1, 2]), torch.tensor([1, 1]))
    tensor([1, 1, 2, 2])
    """
    n = max(input.ndim, other.ndim)
    a, b = (t.reshape((1,) * (n - t.ndim) + tuple(t.shape)) for t in (input, other))
    left = a.reshape([x for size in a.shape for x in (size, 1)])
    right = b.reshape([x for size in b.shape for x in (1, size)])
    return (left * right).reshape([x * y for x, y in zip(a.shape, b.shape, strict=True)])


def chain_matmul(*matrices: Any) -> Any:
    """Product of several matrices, in the order that needs the fewest multiplications.

    >>> torch.chain_matmul(torch.ones(2, 3), torch.ones(3, 1)).shape
    torch.Size([2, 1])
    """
    if len(matrices) == 1 and isinstance(matrices[0], (list, tuple)):
        matrices = tuple(matrices[0])
    if not matrices:
        raise RuntimeError("chain_matmul(): Expected one or more matrices")
    for matrix in matrices:
        if matrix.ndim != 2:
            raise RuntimeError(f"Tensor dimension is {matrix.ndim}, expected 2 instead.")
    return matrices[0] if len(matrices) == 1 else OPS["linalg_multi_dot"].call(list(matrices))


__all__ = ["chain_matmul", "einsum"]
