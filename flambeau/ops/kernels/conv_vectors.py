"""What the tiles of convolution that read an image as it lies are written with: vectors of floats
that may be stored in half precision, masks for borders, every second element.

    v = Vectors("bfloat16")                       # float32 in registers
    a = v.load(v.memory_place("%x", "%i"), mask)  # lanes outside the mask are zero

Used by ops.kernels.conv_winograd_tiles and conv_depthwise_tiles.
"""

from __future__ import annotations

from flambeau.ops.kernels.conv_padding import COMPUTE
from flambeau.ops.kernels.gemm_tiles import STORED, narrowed, short_name, widened
from flambeau.ops.kernels.vector_text import (
    ATTRIBUTES,
    ELEMENT,
    Text,
    machine_vectors,
    shuffle,
    splat,
)


class Vectors:
    """Text with the instructions for one kind of vector: elements are `stored` as that dtype."""

    def __init__(self, stored: str):
        self.text, self.stored = Text(), stored
        self.scalar, self.size, self.short = ELEMENT[COMPUTE[stored]]
        self.memory, self.memory_size = STORED[stored]
        self.lanes = machine_vectors()[0] // self.size
        self.kind = f"<{self.lanes} x {self.scalar}>"
        self.mask = f"<{self.lanes} x i1>"
        self.suffix = f"v{self.lanes}{self.short}"
        self.order = f"<{', '.join(f'i32 {i}' for i in range(self.lanes))}>"
        self.evens, self.odds = (range(k, 2 * self.lanes, 2) for k in (0, 1))

    def add(self, a: str, b: str) -> str:
        """a + b."""
        return self.text(f"fadd {self.kind} {a}, {b}")

    def sub(self, a: str, b: str) -> str:
        """a - b."""
        return self.text(f"fsub {self.kind} {a}, {b}")

    def multiply_add(self, a: str, b: str, total: str) -> str:
        """total + a * b."""
        k = self.kind
        return self.text(f"call {k} @llvm.fma.{self.suffix}({k} {a}, {k} {b}, {k} {total})")

    def place(self, base: str, offset: str | int) -> str:
        """The address `offset` numbers after `base`."""
        return self.text(f"getelementptr {self.scalar}, ptr {base}, i64 {offset}")

    def memory_place(self, base: str, offset: str | int) -> str:
        """The address `offset` stored elements after `base`."""
        return self.text(f"getelementptr {self.memory}, ptr {base}, i64 {offset}")

    def broadcast(self, place: str) -> str:
        """The number at an address in every lane."""
        number = self.text(f"load {self.scalar}, ptr {place}")
        return splat(self.text, number, self.scalar, self.lanes)

    def load(self, place: str) -> str:
        """A vector of numbers."""
        return self.text(f"load {self.kind}, ptr {place}, align {self.size}")

    def store(self, value: str, place: str) -> None:
        """Stores a vector of numbers."""
        self.text.do(f"store {self.kind} {value}, ptr {place}, align {self.size}")

    def load_stored(self, place: str, mask: str) -> str:
        """A vector of stored elements as numbers; lanes outside the mask are zero."""
        kind = f"<{self.lanes} x {self.memory}>"
        suffix = f"v{self.lanes}{short_name(self.memory)}"
        value = self.text(
            f"call {kind} @llvm.masked.load.{suffix}.p0(ptr {place}, i32 {self.memory_size}, "
            f"{self.mask} {mask}, {kind} zeroinitializer)"
        )
        return widened(self.text, self.stored, self.scalar, self.lanes, value)

    def store_stored(self, value: str, place: str, mask: str) -> None:
        """Stores the numbers under the mask as stored elements."""
        kind = f"<{self.lanes} x {self.memory}>"
        suffix = f"v{self.lanes}{short_name(self.memory)}"
        value = narrowed(self.text, self.stored, self.scalar, self.lanes, value)
        self.text.do(
            f"call void @llvm.masked.store.{suffix}.p0({kind} {value}, ptr {place}, "
            f"i32 {self.memory_size}, {self.mask} {mask})"
        )

    def below(self, first: str, limit: str) -> str:
        """Lanes whose number, counted from `first`, is in 0 .. limit - 1."""
        low, high = (
            splat(self.text, self.text(f"trunc i64 {value} to i32"), "i32", self.lanes)
            for value in (first, limit)
        )
        count = self.text(f"add <{self.lanes} x i32> {low}, {self.order}")
        return self.text(f"icmp ult <{self.lanes} x i32> {count}, {high}")

    def both(self, mask: str, condition: str) -> str:
        """The mask where the condition (one bit) holds."""
        wide = splat(self.text, condition, "i1", self.lanes)
        return self.text(f"and {self.mask} {mask}, {wide}")

    def interleaved(self, even: str, odd: str) -> tuple[str, str]:
        """Two vectors whose elements alternate."""
        lanes = self.lanes
        ways = [[i // 2 + lanes * (i % 2) + k * lanes // 2 for i in range(lanes)] for k in range(2)]
        low, high = (shuffle(self.text, self.kind, even, odd, way) for way in ways)
        return low, high

    def function(self, name: str, arguments: str) -> str:
        """The whole text of the function."""
        memory = f"<{self.lanes} x {self.memory}>"
        suffix = f"v{self.lanes}{short_name(self.memory)}"
        kind, mask = self.kind, self.mask
        declarations = [
            f"declare {memory} @llvm.masked.load.{suffix}.p0(ptr, i32, {mask}, {memory})",
            f"declare void @llvm.masked.store.{suffix}.p0({memory}, ptr, i32, {mask})",
            f"declare {kind} @llvm.fma.{self.suffix}({kind}, {kind}, {kind})",
            "declare i64 @llvm.smin.i64(i64, i64)",
            "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)",
        ]
        head = f'define void @"{name}"({arguments}) {ATTRIBUTES} {{'
        return "\n".join([*declarations, head, *self.text.lines, "}"])
