"""Compiled functions whose results can still be differentiated: a program for the forward pass, one
for the backward pass, and the graph node between them.

    pair = DifferentiableProgram(tape, survey, surroundings, results)
    found = pair.connect(replay(pair.forward.address, ...), leaves)

Called by compiler.compiled when a recorded result still has its graph. That graph is run backwards
once, on a tape of its own; what this tape needs of the forward pass is kept from call to call in
one block of memory, which the node owns. The backward pass of a compiled function cannot itself be
differentiated, as in torch; that of a fused composite can, by its unfused form.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from flambeau.autograd import engine as backward_engine
from flambeau.autograd.nodes import AccumulateGrad, Edge, Node, named, target
from flambeau.autograd.saved import modified_error
from flambeau.compiler.build import MISS, Program
from flambeau.compiler.surroundings import Surroundings
from flambeau.compiler.survey import Survey, Unsupported
from flambeau.compiler.tape import Tape, root_of, serial_of
from flambeau.core import graph_errors
from flambeau.core.spec import Spec
from flambeau.runtime import replay_block as p
from flambeau.runtime.system import engine
from flambeau.runtime.thread_modes import NO_GRAD


def unspent(tensor: Any, tape: Tape) -> bool:
    """Whether a backward pass can still go through the part of a tensor's graph that was made
    while the tape recorded.
    """
    node, _ = target(tensor._edge)
    if node is None or not made_by(tape, node):
        return False
    return all(not saves(each) or each._saved is not None for each in nodes_above([node], tape))


def saves(node: Node) -> bool:
    """Whether a node had something to free."""
    return node._plan is not None and node._plan.saves


def made_by(tape: Tape, node: Node) -> bool:
    """Whether a node was made while the tape recorded."""
    return type(node) is not AccumulateGrad and node._order < tape.first_order


def nodes_above(roots: Sequence[Node], tape: Tape) -> list[Node]:
    """The nodes of the recorded part of a graph."""
    found: dict[Node, None] = dict.fromkeys(roots)
    pending = list(roots)
    while pending:
        for edge in pending.pop()._edges:
            node, _ = target(edge)
            if node is not None and node not in found and made_by(tape, node):
                found[node] = None
                pending.append(node)
    return list(found)


class DifferentiableProgram:
    """See the module's first lines."""

    def __init__(
        self,
        tape: Tape,
        survey: Survey,
        surroundings: Surroundings,
        results: Sequence[Any],
        again: Callable[[tuple[Any, ...]], Callable[[], Any]] | None = None,
    ):
        self.again, self.name = again, "CompiledFunctionBackward"
        if again is not None:
            self.name = next(x.grad_fn.name() for x in results if unspent(x, tape))
        self.live = [i for i, x in enumerate(results) if unspent(x, tape)]
        roots = [results[i] for i in self.live]
        self.specs = [x._spec for x in roots]
        self.boundary = boundary(roots, tape)
        self.places = [place_of(edge, surroundings) for edge in self.boundary]
        grads = [engine.functions["ones_like"](x.detach()) for x in roots]
        aliases = [alias(x) for x in results]
        backward_tape, gradients = self.record(roots, grads)
        if backward_tape.broken is not None:
            raise Unsupported(f"in its backward pass {backward_tape.broken}")
        used = {b.serial for b in backward_tape.buffers.values() if not b.internal}
        returned = {serial_of(root_of(x._storage)) for x in results}
        kept = [
            buffer
            for buffer in tape.buffers.values()
            if buffer.internal and buffer.serial in used and buffer.serial not in returned
        ]
        arguments = (*grads, *aliases, *surroundings.arguments)
        self.forward = Program(
            tape, survey, surroundings, results, p.RETURN_TUPLE, kept=kept, live=self.live
        )
        around = Surroundings(arguments, Survey.of_tensors(survey.tensors))
        self.found = [i for i, x in enumerate(gradients) if x is not None]
        self.backward = Program(
            backward_tape,
            around.survey,
            around,
            [x for x in gradients if x is not None],
            p.RETURN_TUPLE,
            given=self.forward.kept_places,
            mode=NO_GRAD,
        )
        self.single = False

    def record(self, roots: Sequence[Any], grads: Sequence[Any]) -> tuple[Tape, list[Any]]:
        """Runs the graph backwards on a tape; the gradients at the boundary."""
        edges = [x._edge for x in roots]
        with plain_mode(), Tape() as tape, ending_at(self.boundary):
            found = backward_engine.run(
                edges, list(grads), retain_graph=True, inputs=list(self.boundary), accumulate=False
            )
            outside = {id(g) for g in grads}
            for i, grad in enumerate(found):
                if grad is not None and (
                    id(grad) in outside or not tape.value(grad).buffer.internal
                ):
                    found[i] = grad.clone()
        return tape, found

    # ---- at every call ---------------------------------------------------------------------------
    def connect(self, found: tuple[Any, ...], leaves: tuple[Any, ...]) -> Any:
        """Hangs the results of a forward replay on a node; the results alone."""
        *results, kept = found
        edges = tuple([self.edge_at(place, leaves) for place in self.places])
        node = named(CompiledFunction, self.name)(
            self, edges, kept, [alias(x) for x in results], leaves
        )
        for k, i in enumerate(self.live):
            results[i]._node = node if k == 0 else Edge(node, k)
        return results[0] if self.single else tuple(results)

    def edge_at(self, place: Any, leaves: tuple[Any, ...]) -> Any:
        """Where a gradient of the boundary goes."""
        return leaves[place]._edge if type(place) is int else place._edge


@contextlib.contextmanager
def plain_mode() -> Iterator[None]:
    """A block that records nothing and casts nothing: a backward pass is the same program whether
    it runs inside the forward pass's autocast or not.
    """
    before = engine.core.get_mode()
    engine.core.set_mode(NO_GRAD)
    try:
        yield
    finally:
        engine.core.set_mode(before)


class CompiledFunction(Node):
    """One call of a compiled function in the graph."""

    __slots__ = ("pair", "kept", "results", "leaves", "versions")

    def __init__(
        self,
        pair: DifferentiableProgram,
        edges: tuple[Any, ...],
        kept: Any,
        results: list[Any],
        leaves: tuple[Any, ...],
    ):
        super().__init__(None, edges, ())
        self.pair, self.kept, self.results, self.leaves = pair, kept, results, leaves
        self.versions = [x._storage.version for x in self.operands()]

    @property
    def _outputs(self) -> int:
        return len(self.pair.specs)

    def operands(self) -> list[Any]:
        """The tensors outside the kept memory that the backward program reads."""
        given = (*[None] * len(self.pair.specs), *self.results, *self.leaves)
        rows = self.pair.backward.externals.values()
        found = [given[ref] if how == p.FOUND_ARGUMENT else ref for how, ref, *_ in rows]
        return [x for x in found if x is not None]

    def apply(self, grads: list[Any]) -> list[Any]:
        """The gradients of the boundary, by a replay."""
        if not engine.core.get_mode() & NO_GRAD and self.pair.again is not None:
            return self.unfused(grads)
        if not engine.core.get_mode() & NO_GRAD:
            raise RuntimeError(
                "torch.compile with aot_autograd does not currently support double backward\n"
                "  call the function that was compiled instead: it can be differentiated twice"
            )
        if self.kept is None:
            raise graph_errors.second_backward()
        for tensor, version in zip(self.operands(), self.versions, strict=True):
            if tensor._storage.version != version:
                maker, index = target(tensor._edge)
                raise modified_error(tensor, maker, index, version)
        given = [as_expected(g, spec) for g, spec in zip(grads, self.pair.specs, strict=True)]
        arguments = (*given, *self.results, *self.leaves)
        with plain_mode():
            found = engine.core.replay(self.pair.backward.address, arguments, self.kept)
        if found is MISS:
            raise RuntimeError(
                "the tensors that a compiled function was called with have been replaced by "
                "others of another kind before its backward pass"
            )
        gradients: list[Any] = [None] * len(self._edges)
        for i, gradient in zip(self.pair.found, found, strict=True):
            gradients[i] = gradient
        return gradients

    def unfused(self, grads: list[Any]) -> list[Any]:
        """The same gradients as functions of the operands, for a second derivative."""
        assert self.pair.again is not None
        again = self.pair.again(self.leaves)()
        results = [again] if isinstance(again, engine.Tensor) else list(again)
        pairs = [(results[i], g) for i, g in zip(self.pair.live, grads, strict=True)]
        edges = [result._edge for result, g in pairs if g is not None]
        with ending_at(self._edges):
            return backward_engine.run(
                edges,
                [g for _, g in pairs if g is not None],
                retain_graph=True,
                create_graph=True,
                inputs=list(self._edges),
                accumulate=False,
            )

    def _release(self) -> None:
        self.kept = None


@contextlib.contextmanager
def ending_at(edges: Sequence[Any]) -> Iterator[None]:
    """Meanwhile backward passes do not go beyond these edges: one may lead to another."""
    nodes = {target(edge)[0] for edge in edges}
    cut = {node: node._edges for node in nodes if node is not None}
    for node in cut:
        node._edges = ()
    try:
        yield
    finally:
        for node, below in cut.items():
            node._edges = below


def alias(tensor: Any) -> Any:
    """The same memory without the graph."""
    return engine.core.make_tensor(tensor._storage, tensor._spec, tensor._offset)


def as_expected(grad: Any, spec: Spec) -> Any:
    """A gradient laid out in memory as the backward program expects it."""
    if grad is None:
        return engine.Tensor._empty(spec).zero_()
    if grad._spec is spec and grad._edge is None:
        return grad
    return engine.Tensor._empty(spec).copy_(grad)


def boundary(roots: Sequence[Any], tape: Tape) -> list[Any]:
    """The edges that lead from the recorded part of the graph to what was there before."""
    starts = [target(x._edge)[0] for x in roots]
    found: dict[tuple[Node, int], Any] = {}
    for node in nodes_above([each for each in starts if each is not None], tape):
        for edge in node._edges:
            below, index = target(edge)
            if below is not None and not made_by(tape, below):
                found[below, index] = edge
    return list(found.values())


def place_of(edge: Any, surroundings: Surroundings) -> Any:
    """The argument (by number) or the tensor whose place in the graph an edge is."""
    for i, value in enumerate(surroundings.arguments):
        if isinstance(value, engine.Tensor) and target(value._edge) == target(edge):
            return i
    for tensor in surroundings.all_tensors():
        if target(tensor._edge) == target(edge):
            return tensor
    raise Unsupported("its result depends on a graph from outside that cannot be found again")
