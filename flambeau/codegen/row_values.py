"""Takes the parts of a row program that are one number for the whole row out of its sweeps.

`(x - mean) * rsqrt(variance + eps)` would compute the root in every lane of a vector. Called by
codegen.row_writer, which computes such parts once, as scalars, before the sweep that needs them:

    program, values = with_row_values(program)      # values[k]: (slot, expression) before sweep k
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flambeau.codegen.dtypes import KIND
from flambeau.codegen.expr import Expr, postorder
from flambeau.codegen.monoids import Values

if TYPE_CHECKING:
    from flambeau.codegen.rows import RowProgram

OF_THE_ROW = ("stage", "fold", "size", "param", "given")  # how the slots of a row's numbers begin
RowValue = tuple[str, Expr]


class _Splitter:
    """Replaces the greatest parts of expressions that belong to the row."""

    def __init__(self) -> None:
        self.slots: dict[Expr, Expr] = {}
        self.fresh: list[RowValue] = []
        self.varies: dict[Expr, bool] = {}
        self.inside: frozenset[str] = frozenset()  # stages whose results are those of a block

    def varying(self, node: Expr) -> bool:
        """Whether a value differs between the elements of a row."""
        known = self.varies.get(node)
        if known is None:
            if node.op == "slot":
                name = str(node.value)
                known = not name.startswith(OF_THE_ROW) or name.split(".")[0] in self.inside
            else:
                known = node.op == "input" or any(map(self.varying, node.args))
            self.varies[node] = known
        return known

    def split(self, node: Expr) -> Expr:
        """The expression with slots in place of such parts."""
        if self.varying(node):
            if not node.args:
                return node
            args = tuple(self.split(arg) for arg in node.args)
            return Expr.make(node.op, args, node.dtype, node.value)
        if node.op in ("slot", "constant") or KIND[node.dtype] == "c":
            return node
        if node not in self.slots:
            self.slots[node] = Expr.slot(f"row{len(self.slots)}", node.dtype)
            self.fresh.append((self.slots[node].value, node))
        return self.slots[node]

    def all(self, exprs: Values) -> Values:
        """The expressions, split."""
        return tuple(self.split(expr) for expr in exprs)

    def take(self) -> list[RowValue]:
        """The values that were found since the last call."""
        found, self.fresh = self.fresh, []
        return found


def with_row_values(program: RowProgram) -> tuple[RowProgram, list[list[RowValue]]]:
    """The program without such parts, and these for each sweep: the stages, then the outputs. What
    a fold's stages need is found before the first of them, since they run block after block.
    """
    splitter = _Splitter()
    elements, stages = list(program.elements), []
    values: list[list[RowValue]] = [[] for _ in (*program.stages, program.outputs)]
    inside = {
        number: fold.first
        for fold in program.folds
        for number in range(fold.first, fold.first + len(fold.reduction.stages))
    }
    splitter.inside = frozenset(f"stage{number}" for number in inside)
    split: set[int] = set()

    def taken(sweep: int, exprs: Values) -> Values:
        wanted = {node.value for node in postorder(exprs) if node.op == "slot"}
        for k in range(len(elements)):
            if k not in split and f"x{k}" in wanted:
                split.add(k)
                elements[k] = splitter.split(elements[k])
        result = splitter.all(exprs)
        values[inside.get(sweep, sweep)] += splitter.take()
        return result

    for number, stage in enumerate(program.stages):
        stages.append(replace(stage, step=taken(number, stage.step)))
    outputs = taken(len(stages), program.outputs)
    changed = replace(program, elements=tuple(elements), stages=tuple(stages), outputs=outputs)
    return changed, values
