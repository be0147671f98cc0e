"""Writes flambeau/ops/signatures.txt: the argument lists that torch 2.13 accepts, function by
function.

They are needed for error texts only (`flambeau.ops.arguments`). The source is the schema file that
comes with torch itself (the package `torchgen`, which needs PyYAML):

    python tools/record_signatures.py
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torchgen
from torchgen.gen import parse_native_yaml
from torchgen.packaged.autograd import gen_python_functions as bindings

SOURCE = Path(torchgen.__file__).parent / "packaged"
TARGET = Path(__file__).resolve().parent.parent / "flambeau" / "ops" / "signatures.txt"
NAMES = {
    "Scalar": "Number", "int64_t": "int", "SymInt": "int", "double": "float",
    "c10::complex<double>": "complex", "ScalarType": "torch.dtype", "Layout": "torch.layout",
    "MemoryFormat": "torch.memory_format", "Device": "torch.device", "c10::string_view": "str",
    "std::string_view": "str", "Generator": "torch.Generator", "Storage": "torch.Storage",
    "Dimname": "name", "DeviceIndex": "int", "Stream": "Stream",
}  # fmt: skip
LISTS = {
    "IntArrayRef": "tuple of ints", "SymIntArrayRef": "tuple of ints",
    "TensorList": "tuple of Tensors", "ArrayRef<double>": "tuple of floats",
    "ScalarList": "tuple of Scalars", "ArrayRef<Scalar>": "tuple of Scalars",
    "DimnameList": "tuple of names", "ITensorListRef": "tuple of Tensors",
    "c10::List<::std::optional<Tensor>>": "tuple of Tensors",
}  # fmt: skip
FOREIGN = re.compile(
    r"^_|cudnn|miopen|mkldnn|fbgemm|quantize|sparse|nested|choose_qparams|fake_|native_|sym_"
    r"|ccol|crow"
    # Python in torch too
    r"|^(broadcast_tensors|einsum|tensordot|meshgrid|norm|split|stft|istft|cdist|atleast_.d"
    r"|block_diag|cartesian_prod|chain_matmul)$"
    r"|^(q_|int_repr|batch_norm_|cuda|rnn_|lstm|gru|max_pool.d_with|to_|is_vulkan|hspmm|sspaddmm"
    r"|smm|saddmm)"
)


BY_HAND = (  # functions that torch binds by hand
    "tensor: object data, *, torch.dtype? dtype=None, torch.device? device=None, "
    "bool pin_memory=False, bool requires_grad=False",
    "as_tensor: object data, torch.dtype? dtype=None, torch.device? device=None",
    "Tensor.numpy: *, bool force=False",
    "Tensor.set_:  | Tensor source | object source, int storage_offset, tuple of ints size, "
    "tuple of ints stride=None",
)
FACTORY = (
    "torch.dtype? dtype=None, torch.layout? layout=None, torch.device? device=None, "
    "bool? pin_memory=False, "
    "bool? requires_grad=False"
)


def main() -> None:
    functions = parse_native_yaml(
        str(SOURCE / "ATen/native/native_functions.yaml"), str(SOURCE / "ATen/native/tags.yaml")
    )
    bound = [f for f in functions.native_functions if bindings.should_generate_py_binding(f)]
    free = [
        bindings.is_py_torch_function, bindings.is_py_nn_function, bindings.is_py_special_function,
        bindings.is_py_linalg_function, bindings.is_py_fft_function,
    ]  # fmt: skip
    named = signatures(bound, lambda f: any(kind(f) for kind in free), method=False)
    methods = signatures(bound, bindings.is_py_variable_method, method=True)
    lines = [f"{name}: {' | '.join(named[name])}" for name in sorted(named)]
    for name in sorted(methods):
        # What follows from the function, or for `name_` from the method `name`, is not written
        # twice.
        derived = [without_self(s) for s in named.get(name, ())] or methods.get(
            name.removesuffix("_")
        )
        if derived != methods[name] or name not in named and not name.endswith("_"):
            lines.append(f"Tensor.{name}: {' | '.join(methods[name])}")
    lines += BY_HAND
    TARGET.write_text("\n".join(lines).replace(FACTORY, "@factory") + "\n", encoding="utf-8")


def signatures(functions: Any, wanted: Callable[[Any], bool], method: bool) -> dict[str, list[str]]:
    """Every name with its argument lists, in the order in which torch tries them."""
    found: dict[str, list[Any]] = {}
    for pair in bindings.load_signatures(
        functions, str(SOURCE / "autograd/deprecated.yaml"), method=method
    ):
        if wanted(pair.function) and not FOREIGN.search(pair.signature.name):
            found.setdefault(pair.signature.name, []).append(pair)
    return {
        name: [
            rewritten(
                group.signature.signature_str(skip_outputs=method), group.signature.deprecated
            )
            for group in bindings.group_overloads(pairs, symint=True)
        ]
        for name, pairs in found.items()
    }


def rewritten(text: str, deprecated: bool) -> str:
    """`name(Tensor input, *, Scalar alpha=1)` -> `Tensor input, *, Number alpha=1`;
    `~` marks what is deprecated.
    """
    inner = text.removesuffix("|deprecated").partition("(")[2].rpartition(")")[0]
    parts = (
        []
        if not inner
        else [part if part == "*" else parameter(part) for part in re.split(r", (?![^{]*})", inner)]
    )
    return ("~" if deprecated else "") + ", ".join(parts)


def parameter(text: str) -> str:
    """`Scalar? min=None` -> `Number? min=None`;
    `IntArrayRef[2] size` -> `tuple of ints[2] size`.
    """
    kind, _, name = text.partition(" ")
    base, size, rest = re.fullmatch(r"(.*?)(\[\d*\])?(\??)", kind).groups()
    return f"{LISTS.get(base) or NAMES.get(base, base)}{size or ''}{rest} {name}"


def without_self(signature: str) -> str:
    """The same for a method: without the tensor itself and `out`."""
    mark = "~" if signature.startswith("~") else ""
    parts = [
        p
        for p in re.split(r", (?![^{]*})", signature.removeprefix("~"))
        if not re.search(r" (input|self)$| out=", p)
    ]
    if parts and parts[-1] == "*":
        parts.pop()
    return mark + ", ".join(parts)


if __name__ == "__main__":
    main()
