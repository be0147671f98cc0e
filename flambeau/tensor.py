"""The class `Tensor`: a storage, a spec, an offset and a place in the graph.

Methods that are ops (`x.tanh()`, `x + y`, `x.sum(0)`) are attached from the registry when the
engine starts (flambeau.start); here stands only what belongs to the object itself: attributes,
conversions to Python, the graph, copying and pickling.

    _storage  the native storage: memory and version
    _spec     shape, strides, dtype, device (core.spec)
    _offset   the first element's place in the storage, in elements
    _node     None, a graph Node, or an Edge (autograd.graph)
    _base     the tensor that this one is a view of, or None
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau.autograd.recorded import Recorded
from flambeau.core import errors
from flambeau.core import layout as layouts
from flambeau.core.device import device
from flambeau.core.layout import layout, strided
from flambeau.core.naming import PublicType
from flambeau.core.shape import Size, wrap_dim
from flambeau.core.spec import Spec
from flambeau.core.strides import is_channels_last
from flambeau.runtime.objects import PARAMETER_TYPE
from flambeau.runtime.system import engine

if TYPE_CHECKING:
    from flambeau.core.dtype import dtype


class TensorMeta(PublicType):
    """Starts the engine when a method is asked
    of the class before any tensor exists (`torch.Tensor.add`).
    """

    def __getattr__(cls, name: str) -> Any:
        if not hasattr(engine, "core") and not name.startswith("_abc"):
            engine.start()
            return getattr(cls, name)
        raise AttributeError(f"type object '{cls.__name__}' has no attribute '{name}'")

    def __instancecheck__(cls, instance: Any) -> bool:
        return type.__instancecheck__(cls, instance)


class Tensor(Recorded, metaclass=TensorMeta):
    """A multi-dimensional array of one dtype, on one device, that can record how it was computed.

    >>> torch.tensor([[1, 2], [3, 4]]).sum()
    tensor(10)
    """

    __slots__ = (
        "_storage", "_spec", "_offset", "_edge", "_base", "_made", "__weakref__", "__dict__",
    )  # fmt: skip

    _storage: Any
    _spec: Spec
    _offset: int
    _base: Tensor | None

    def __new__(cls, *args: Any, **kwargs: Any) -> Tensor:
        from flambeau.ops.legacy import legacy_constructor

        return legacy_constructor(cls, "torch.FloatTensor", *args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any):
        pass

    def __init_subclass__(cls, plain: bool = False, **keywords: Any):
        """`plain=True` (for Parameter): calls on instances take the native path
        and give plain Tensors.
        """
        super().__init_subclass__(**keywords)
        if plain:
            engine.Parameter = cls
            if hasattr(engine, "core"):
                engine.core.world[PARAMETER_TYPE] = id(cls)

    @staticmethod
    def _empty(spec: Spec) -> Tensor:
        """A tensor of this spec with undefined contents."""
        from flambeau.ops.arrays import empty

        return empty(spec)  # type: ignore[no-any-return]

    @classmethod
    def _alias(cls, source: Tensor, kind: type | None = None) -> Any:
        """Another object for the same values, without a graph; of class `kind`."""
        alias = object.__new__(kind or cls)
        alias._storage, alias._spec, alias._offset = source._storage, source._spec, source._offset
        alias._node = alias._base = None
        return alias

    @staticmethod
    def _make_subclass(cls: type, data: Tensor, require_grad: bool = False) -> Any:
        """torch's way to make a tensor of a subclass around existing data."""
        made = Tensor._alias(data, cls)
        if require_grad and made.dtype.category < 2:
            raise errors.differentiable_dtypes_only()
        if require_grad:
            made.requires_grad_(True)
        return made

    def as_subclass(self, cls: type) -> Any:
        """The same tensor as an instance of a subclass."""
        made = Tensor._alias(self, cls)
        made._node = self._node
        return made

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """How a subclass answers torch's functions, unless it says otherwise."""
        from flambeau.ops.overriding import torch_function

        return torch_function(cls, func, types, args, kwargs)

    # ---- what the spec says ----------------------------------------------
    @property
    def shape(self) -> Size:
        """Sizes of all dimensions."""
        return self._spec.shape

    @property
    def dtype(self) -> dtype:
        """The element type."""
        return self._spec.dtype

    @property
    def device(self) -> device:
        """Where the memory is."""
        return self._spec.device

    @property
    def layout(self) -> layout:
        """torch.strided: there are no others yet."""
        return strided

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self._spec.ndim

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self._spec.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self._spec.nbytes

    def size(self, dim: int | None = None) -> Any:
        """Sizes of all dimensions, or of one.

        >>> torch.zeros(2, 3).size(), torch.zeros(2, 3).size(-1)
        (torch.Size([2, 3]), 3)
        """
        if dim is None:
            return self._spec.shape
        if not hasattr(dim, "__index__"):
            raise errors.argument_type_error("size", "dim", 1, "int", dim)
        if self._spec.ndim == 0:
            raise errors.no_dimensions(dim)
        return self._spec.shape[wrap_dim(dim, self._spec.ndim)]

    def stride(self, dim: int | None = None) -> Any:
        """Steps between neighbours along each dimension, in elements."""
        if dim is None:
            return self._spec.strides
        if self._spec.ndim == 0:
            raise errors.no_dimensions(dim)
        return self._spec.strides[wrap_dim(dim, self._spec.ndim)]

    def dim(self) -> int:
        """Number of dimensions."""
        return self._spec.ndim

    ndimension = dim

    def numel(self) -> int:
        """Number of elements."""
        return self._spec.numel

    nelement = numel

    def dim_order(self) -> tuple[int, ...]:
        """The dimensions from the outermost in memory to the innermost."""
        strides = self._spec.strides
        return tuple(sorted(range(len(strides)), key=lambda d: -strides[d]))

    def element_size(self) -> int:
        """Bytes of an element."""
        return self._spec.itemsize

    def storage_offset(self) -> int:
        """Where in its storage the tensor begins, in elements."""
        return self._offset

    def data_ptr(self) -> int:
        """Address of the first element."""
        return (
            int(self._storage.data) + self._offset * self._spec.itemsize if self._spec.numel else 0
        )

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """Whether the elements lie in memory in the order of the format (row-major by default)."""
        if memory_format is None or memory_format is layouts.contiguous_format:
            return self._spec.contiguous
        rank = {layouts.channels_last: 4, layouts.channels_last_3d: 5}.get(memory_format)
        return self._spec.ndim == rank and is_channels_last(self._spec.shape, self._spec.strides)

    def is_floating_point(self) -> bool:
        """Whether the dtype is a real floating one."""
        return self._spec.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Whether the dtype is complex."""
        return self._spec.dtype.is_complex

    def is_signed(self) -> bool:
        """Whether the dtype has negative numbers."""
        return self._spec.dtype.is_signed

    def is_conj(self) -> bool:
        """False: conj() computes at once here."""
        return False

    is_neg = is_conj

    def get_device(self) -> int:
        """Number of the device, -1 for the CPU."""
        return -1 if self._spec.device.index is None else self._spec.device.index

    is_cpu = property(lambda self: self._spec.device.type == "cpu", doc="Memory of the CPU.")
    is_cuda = property(lambda self: self._spec.device.type == "cuda", doc="Memory of a GPU.")
    is_meta = property(lambda self: self._spec.device.type == "meta", doc="No memory.")
    is_mps = is_xpu = is_ipu = is_xla = is_mtia = is_vulkan = is_maia = property(
        lambda self: False, doc="False."
    )
    is_sparse = is_sparse_csr = is_quantized = is_mkldnn = is_nested = is_mps
    names = property(lambda self: (None,) * self._spec.ndim, doc="Dimensions have no names.")

    __array_priority__ = 1000  # NumPy leaves `array + tensor` to the tensor

    # ---- as text ------------------------------------------------------
    def __repr__(self, *, tensor_contents: str | None = None) -> str:
        from flambeau.printing import tensor_repr

        return tensor_repr(self, tensor_contents=tensor_contents)

    __hash__ = object.__hash__

    def __dir__(self) -> list[str]:
        return sorted({*dir(type(self)), *self.__dict__})

    @property
    def __cuda_array_interface__(self) -> Any:
        raise AttributeError(
            "Can't get __cuda_array_interface__ on non-CUDA tensor type: "
            f"{self.type()} If CUDA data is required use tensor.cuda() to copy tensor to "
            "device memory."  # type: ignore[attr-defined]
        )


engine.Tensor = Tensor
engine.Parameter = Tensor  # until nn.parameter is imported
