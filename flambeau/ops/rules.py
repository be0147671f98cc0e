"""Gradient rules: what an op's `grad=` functions need, and how they are applied.

A rule is a function of named things: `g` (gradient of the result), `y` (the result), parameter
names of the op (their values), `NAME_like` (the spec of a parameter: nothing is saved). What it
names is what is saved. There is one rule per input:

    Rules(tanh_signature, lambda g, y: g * (1 - y * y))
    Rules(mul_signature, {
        "input": lambda g, other: g * other.conj(),
        "other": lambda g, input: g * input.conj(),
    })

Where the gradients of several inputs share work, one rule may serve them: its key is the tuple of
their names, its first parameter says for each whether a gradient is needed, and it answers with as
many gradients:

    Rules(layer_norm_signature, {("input", "weight"): lambda needed, g, input, weight: (dx, dw)})

`g` and `y` are of result 0; with several results they are `g0, g1, ...` and `y0, y1, ...` (a
missing gradient arrives as None). Rules are written once: on Tensors they record a graph themselves
(second derivatives), and for pointwise ops they are traced on scalar expressions into one fused
kernel. Called by ops.registry (plans) and autograd.engine (`Gradient.backward`).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any, NamedTuple

from flambeau.core.spec import Spec
from flambeau.runtime.plan_block import SAVE_OUTPUT

RESULT = re.compile(r"([gy])(\d*)")
# where an argument of a rule comes from: a gradient, a saved pair, a constant of the plan
INCOMING, SAVED, VALUE = range(3)


class Rules:
    """The `grad=` of an op: parameter name -> rule, with the names that each rule wants; `joint`
    has the parameters that a rule serves together with others.
    """

    def __init__(
        self,
        first: str,
        grad: Callable[..., Any] | Mapping[str | tuple[str, ...], Callable[..., Any]],
    ):
        self.functions: dict[str, Callable[..., Any]] = {}
        self.wanted: dict[str, tuple[str, ...]] = {}
        self.joint: dict[str, tuple[str, ...]] = {}
        for key, rule in (grad if isinstance(grad, Mapping) else {first: grad}).items():
            positional, named = parameter_names(rule)
            wanted = (*positional, *named)
            for name in (key,) if isinstance(key, str) else key:
                self.functions[name] = rule
                self.wanted[name] = wanted if isinstance(key, str) else wanted[1:]
                if not isinstance(key, str):
                    self.joint[name] = key


def parameter_names(function: Callable[..., Any]) -> tuple[list[str], list[str]]:
    """A function's parameters, and those that are given by name only. As `inspect.signature` says
    it, which takes fifty times as long: a start asks for two thousand functions.
    """
    if type(function) is not FunctionType or vars(function).keys() & {
        "__wrapped__",
        "__signature__",
    }:
        found = inspect.signature(function).parameters.values()
        named = [p.name for p in found if p.kind is p.KEYWORD_ONLY]
        return [p.name for p in found if p.kind is not p.KEYWORD_ONLY], named
    code = function.__code__
    plain, total = code.co_argcount, code.co_argcount + code.co_kwonlyargcount
    names = code.co_varnames
    collecting = sum(bool(code.co_flags & f) for f in (inspect.CO_VARARGS, inspect.CO_VARKEYWORDS))
    return [*names[:plain], *names[total : total + collecting]], list(names[plain:total])


class Joint(NamedTuple):
    """A rule that serves several inputs, as seen from one of them: the rule, where the inputs are
    (-1: not given), and the place of this one in the rule's answer.
    """

    function: Callable[..., Any]
    inputs: tuple[int, ...]
    place: int


class Gradient:
    """The rules of an op, bound to one plan: operands have places, options have values."""

    def __init__(
        self,
        rules: Rules,
        names: Sequence[str],
        values: Mapping[str, Any],
        specs: Sequence[Spec | type],
        outputs: Sequence[Spec],
    ):
        self.rules, self.names, self.values = rules, list(names), values
        self.specs, self.outputs = list(specs), list(outputs)
        self.differentiable = sum(
            1 << k
            for k, spec in enumerate(outputs)
            if spec.dtype.is_floating_point or spec.dtype.is_complex
        )
        self.fetch = [self._fetch(i) for i in range(len(self.names))]
        self.recipes = [self._recipe(i) for i in range(len(self.names))]
        kept = {place for _, sources, _ in self.recipes for kind, place in sources if kind == SAVED}
        self.guarded = tuple(sorted(kept))

    def _differentiable(self, i: int) -> bool:
        spec = self.specs[i]
        return isinstance(spec, Spec) and (spec.dtype.is_floating_point or spec.dtype.is_complex)

    def _fetch(self, i: int) -> tuple[tuple[str, Any], ...] | None:
        """Where the arguments of input i's rule come from: (kind, index or value)."""
        name = self.names[i].partition("[")[0]
        if name not in self.rules.functions or not self._differentiable(i):
            return None
        sources: list[tuple[str, Any]] = []
        for want in self.rules.wanted[name]:
            result = RESULT.fullmatch(want)
            if want in self.names:
                sources.append(("input", self.names.index(want)))
            elif f"{want}[0]" in self.names:  # a list of tensors
                sources.append(
                    (
                        "inputs",
                        tuple(k for k, n in enumerate(self.names) if n.partition("[")[0] == want),
                    )
                )
            elif want in self.values:
                sources.append(("value", self.values[want]))
            elif result:
                sources.append((result[1], int(result[2] or 0)))
            elif want.endswith("_like"):
                base = want[: -len("_like")]
                sources.append(
                    (
                        "value",
                        self.outputs[0]
                        if base == "y"
                        else self.specs[self.names.index(base)]
                        if base in self.names
                        else self.values.get(base),
                    )
                )
            elif want == "index":
                sources.append(("value", i))
            else:
                raise TypeError(
                    f"gradient rule of {name!r} wants {want!r}, which is no argument of the op"
                )
        return tuple(sources)

    def _recipe(self, i: int) -> tuple[Any, tuple[tuple[int, Any], ...], Any]:
        """(rule, its arguments, the input's spec);
        places of saved values count in the node's `saved` tuple.
        """
        sources = self.fetch[i]
        if sources is None:
            return None, (), self.specs[i]
        count = len(self.names)
        flat = {
            "g": lambda v: (INCOMING, v),
            "input": lambda v: (SAVED, 2 * v),
            "y": lambda v: (SAVED, 2 * (count + v)),
        }
        rule: Any = self.rule(i)
        name = self.names[i].partition("[")[0]
        if name in self.rules.joint:
            members = self.rules.joint[name]
            places = tuple(self.names.index(m) if m in self.names else -1 for m in members)
            rule = Joint(rule, places, members.index(name))
        if any(kind == "inputs" for kind, _ in sources):
            rule = grouping(
                rule, [len(value) if kind == "inputs" else 0 for kind, value in sources]
            )
            sources = tuple(
                each
                for kind, value in sources
                for each in ([("input", k) for k in value] if kind == "inputs" else [(kind, value)])
            )
        found = tuple(
            flat[kind](value) if kind in flat else (VALUE, value) for kind, value in sources
        )
        return rule, found, self.specs[i]

    def save_mask(self, i: int) -> int:
        """Bits of the operands (and, from bit 32, of the results) that input i's rule wants."""
        mask = 0
        for kind, index in self.fetch[i] or ():
            if kind == "input":
                mask |= 1 << index
            elif kind == "inputs":
                mask |= sum(1 << k for k in index)
            elif kind == "y":
                mask |= 1 << (SAVE_OUTPUT + index)
        return mask

    def arguments(
        self, i: int, grads: Sequence[Any], inputs: Sequence[Any], results: Sequence[Any]
    ) -> list[Any]:
        """The arguments of input i's rule."""
        chosen: list[Any] = []
        for kind, index in self.fetch[i] or ():
            if kind == "g":
                chosen.append(grads[index])
            elif kind == "input":
                chosen.append(inputs[index])
            elif kind == "inputs":
                chosen.append([inputs[k] for k in index])
            elif kind == "y":
                chosen.append(results[index])
            else:
                chosen.append(index)
        return chosen

    def rule(self, i: int) -> Callable[..., Any]:
        """The rule of input i."""
        return self.rules.functions[self.names[i].partition("[")[0]]


def grouping(rule: Callable[..., Any], lengths: Sequence[int]) -> Callable[..., Any]:
    """The rule for arguments in a row, some of which are the items of lists (0:
    a single argument).
    """

    def grouped(*values: Any) -> Any:
        arguments, place = [], 0
        for length in lengths:
            arguments.append(list(values[place : place + length]) if length else values[place])
            place += length or 1
        return rule(*arguments)

    return grouped


def no_derivative(text: str, error: type[Exception] = NotImplementedError) -> Callable[..., Any]:
    """A rule for what torch does not differentiate either."""

    def rule(g: Any) -> Any:
        raise error(text)

    return rule
