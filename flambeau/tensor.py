"""The class `Tensor`: a storage, a spec, an offset and a place in the graph.

Methods that are ops (`x.tanh()`, `x + y`, `x.sum(0)`) are attached from the registry when the engine starts (flambeau.start); here
stands only what belongs to the object itself: attributes, conversions to Python, the graph, copying and pickling.

    _storage: the native storage (memory, version)     _spec: shape, strides, dtype, device (core.spec)
    _offset: first element, in elements                _node: None, a graph Node, or an Edge (autograd.graph)
    _base: the tensor that this one is a view of, or None
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from flambeau.autograd.graph import AccumulateGrad, Edge, Node, _handle, target
from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.device import device
from flambeau.core import layout as layouts
from flambeau.core.layout import layout, strided
from flambeau.core.naming import PublicType
from flambeau.core.shape import Size, wrap_dim
from flambeau.core.spec import CPU, Spec
from flambeau.core.strides import is_channels_last
from flambeau.runtime.objects import PARAMETER_TYPE
from flambeau.runtime.scalars import read_scalar
from flambeau.runtime.system import engine

if TYPE_CHECKING:
    from flambeau.core.dtype import dtype


class TensorMeta(PublicType):
    """Starts the engine when a method is asked of the class before any tensor exists (`torch.Tensor.add`)."""

    def __getattr__(cls, name: str) -> Any:
        if not hasattr(engine, "core") and not name.startswith("_abc"):
            engine.start()
            return getattr(cls, name)
        raise AttributeError(f"type object '{cls.__name__}' has no attribute '{name}'")

    def __instancecheck__(cls, instance: Any) -> bool:
        return type.__instancecheck__(cls, instance)


class Tensor(metaclass=TensorMeta):
    """A multi-dimensional array of one dtype, on one device, that can record how it was computed.

    >>> torch.tensor([[1, 2], [3, 4]]).sum()
    tensor(10)
    """

    __slots__ = ("_storage", "_spec", "_offset", "_node", "_base", "__weakref__", "__dict__")

    _storage: Any
    _spec: Spec
    _offset: int
    _node: Any
    _base: Tensor | None

    def __new__(cls, *args: Any, **kwargs: Any) -> Tensor:
        from flambeau.ops.legacy import legacy_constructor

        return legacy_constructor(cls, "torch.FloatTensor", *args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any):
        pass

    def __init_subclass__(cls, plain: bool = False, **keywords: Any):
        """`plain=True` (for Parameter): calls on instances take the native path and give plain Tensors."""
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
        if require_grad:
            made.requires_grad_(True)
        return made

    def as_subclass(self, cls: type) -> Any:
        """The same tensor as an instance of a subclass."""
        made = Tensor._alias(self, cls)
        made._node = self._node
        return made

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
        if self._spec.ndim == 0:
            raise IndexError("Dimension specified as " + str(dim) + " but tensor has no dimensions")
        return self._spec.shape[wrap_dim(dim, self._spec.ndim)]

    def stride(self, dim: int | None = None) -> Any:
        """Steps between neighbours along each dimension, in elements."""
        if dim is None:
            return self._spec.strides
        if self._spec.ndim == 0:
            raise IndexError("Dimension specified as " + str(dim) + " but tensor has no dimensions")
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
        return int(self._storage.data) + self._offset * self._spec.itemsize if self._spec.numel else 0

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

    def is_inference(self) -> bool:
        """Whether the tensor was made in inference mode."""
        return False

    def is_conj(self) -> bool:
        """False: conj() computes at once here."""
        return False

    is_neg = is_conj

    def get_device(self) -> int:
        """Number of the device, -1 for the CPU."""
        return -1 if self._spec.device.index is None else self._spec.device.index

    is_cpu = property(lambda self: self._spec.device.type == "cpu", doc="Whether the memory is the CPU's.")
    is_cuda = property(lambda self: self._spec.device.type == "cuda", doc="Whether the memory is a GPU's.")
    is_meta = property(lambda self: self._spec.device.type == "meta", doc="Whether there is no memory.")
    is_mps = is_xpu = is_ipu = is_xla = is_mtia = is_vulkan = is_maia = property(lambda self: False, doc="False.")
    is_sparse = is_sparse_csr = is_quantized = is_mkldnn = is_nested = property(lambda self: False, doc="False.")
    names = property(lambda self: (None,) * self._spec.ndim, doc="Dimensions have no names.")
    is_shared = lambda self: False  # noqa: E731

    @property
    def _version(self) -> int:
        return int(self._storage.version)

    # ---- the graph -------------------------------------------------------
    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to or through this tensor."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Turns recording of this leaf on or off, in place.

        >>> torch.ones(2).requires_grad_()
        tensor([1., 1.], requires_grad=True)
        """
        if requires_grad:
            if self._node is None:
                kind = self._spec.dtype
                if not (kind.is_floating_point or kind.is_complex):
                    raise errors.differentiable_dtypes_only()
                node = AccumulateGrad(self)
                node.grad = self.__dict__.pop("_grad", None)
                self._node = node
        elif self._node is not None:
            if type(self._node) is not AccumulateGrad:
                raise RuntimeError(
                    "you can only change requires_grad flags of leaf variables. If you want to use a computed "
                    "variable in a subgraph that doesn't require differentiation use "
                    "var_no_grad = var.detach()."
                )
            if self._node.grad is not None:
                self.__dict__["_grad"] = self._node.grad
            self._node = None
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether the tensor was not computed from others that need gradients."""
        return self._node is None or type(self._node) is AccumulateGrad

    @property
    def grad_fn(self) -> Node | None:
        """The graph node that made this tensor; None for leaves."""
        node, _ = target(self._node)
        return None if type(node) is AccumulateGrad else node

    @property
    def output_nr(self) -> int:
        """Which result of `grad_fn` this is."""
        return target(self._node)[1]

    @property
    def grad(self) -> Tensor | None:
        """The gradient that backward passes have added up, or None."""
        node = self._node
        if type(node) is AccumulateGrad:
            return node.grad  # type: ignore[no-any-return]
        found = self.__dict__.get("_grad")
        if found is None and node is not None and "_retains" not in self.__dict__:
            import warnings

            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad "
                "attribute won't be populated during autograd.backward(). If you indeed want the .grad "
                "field to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor. "
                "If you access the non-leaf Tensor by mistake, make sure you access the leaf Tensor "
                "instead. See github.com/pytorch/pytorch/pull/30531 for more informations.",
                UserWarning,
                stacklevel=2,
            )
        return found  # type: ignore[no-any-return]

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            self._check_grad(value)
        if type(self._node) is AccumulateGrad:
            self._node.grad = value
        elif value is None:
            self.__dict__.pop("_grad", None)
        else:
            self.__dict__["_grad"] = value

    @grad.deleter
    def grad(self) -> None:
        self.grad = None

    def _check_grad(self, value: Any) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}")
        if value is self:
            raise RuntimeError("can't assign Variable as its own grad")
        if value.dtype is not self.dtype:
            raise RuntimeError(
                f"attempting to assign a gradient with dtype '{value.dtype.c_name}' to a tensor with dtype "
                f"'{self.dtype.c_name}'. The gradient must match the tensor's dtype (or the tensor's "
                f"grad_dtype attribute if explicitly set)."
            )
        if value.shape != self.shape:
            raise RuntimeError(
                f"assigned grad has data of a different size: got {errors.brackets(value.shape)}, expected {errors.brackets(self.shape)}"
            )

    def _retain(self, grad: Tensor) -> None:
        before = self.__dict__.get("_grad")
        self.__dict__["_grad"] = grad if before is None else before + grad

    def retain_grad(self) -> None:
        """Keep `.grad` for this tensor although it is no leaf."""
        if self._node is None:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        node, index = target(self._node)
        if type(node) is AccumulateGrad or "_retains" in self.__dict__:
            return
        assert node is not None
        self.__dict__["_retains"] = True
        node._hooks().retain[index] = weakref.ref(self)

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad` was called on a non-leaf."""
        return "_retains" in self.__dict__

    def register_hook(self, hook: Callable[[Tensor], Any]) -> Any:
        """`hook(grad)` runs when the tensor's gradient is computed and may return another one."""
        if self._node is None:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        node, index = target(self._node)
        assert node is not None
        return _handle(node._hooks().tensor, (index, hook))

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], Any]) -> Any:
        """`hook(tensor)` runs after the leaf's `.grad` was updated."""
        if type(self._node) is not AccumulateGrad:
            raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        self._node._hooks()
        if self._node.extra is None:
            self._node.extra = {}
        return _handle(self._node.extra, hook)

    def backward(
        self, gradient: Tensor | None = None, retain_graph: bool | None = None, create_graph: bool = False, inputs: Any = None
    ) -> None:
        """Adds the gradients of this tensor to the `.grad` of the leaves it was computed from.

        >>> x = torch.tensor(3.0, requires_grad=True)
        >>> (x * x).backward()
        >>> x.grad
        tensor(6.)
        """
        from flambeau.autograd import backward

        backward(self, gradient, retain_graph, create_graph, inputs=inputs)

    def detach(self) -> Tensor:
        """The same memory without the graph."""
        alias = engine.core.make_tensor(self._storage, self._spec, self._offset)
        return alias if type(self) is Tensor or type(self) is engine.Parameter else alias.as_subclass(type(self))  # type: ignore[no-any-return]

    def detach_(self) -> Tensor:
        """Cuts this tensor from its graph, in place."""
        if self._base is not None and self._node is not None:
            raise RuntimeError(
                "Can't detach views in-place. Use detach() instead. If you are using DistributedDataParallel (DDP) "
                "for training, and gradient_as_bucket_view is set as True, gradients are views of DDP buckets, and "
                "hence detach_() cannot be called on these gradients. To fix this error, please refer to the "
                "Optimizer.zero_grad() function in torch/optim/optimizer.py as a solution."
            )
        self._node = None
        return self

    @property
    def data(self) -> Tensor:
        """The same memory without graph and with a version of its own: changes are not noticed by backward."""
        core, storage = engine.core, self._storage
        alias = core.make_borrowed(storage.data, storage.nbytes, storage, storage.flags)
        made = core.make_tensor(alias, self._spec, self._offset)
        return made if type(self) is Tensor or type(self) is engine.Parameter else made.as_subclass(type(self))  # type: ignore[no-any-return]

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
        self._storage, self._spec, self._offset = value._storage, value._spec, value._offset

    def _is_view(self) -> bool:
        return self._base is not None

    # ---- to Python -------------------------------------------------------
    def item(self) -> Any:
        """The value of a tensor of one element as a Python number.

        >>> torch.tensor([2.5]).item()
        2.5
        """
        if self._spec.numel != 1:
            raise errors.not_a_scalar(self._spec.numel)
        return read_scalar(self)

    def tolist(self) -> Any:
        """The values as nested Python lists.

        >>> torch.eye(2).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
        """
        if self._spec.ndim == 0:
            return self.item()
        from flambeau.ops.arrays import as_array

        return as_array(self.detach()).tolist()

    def numpy(self, *, force: bool = False) -> Any:
        """The tensor as a NumPy array that shares its memory.

        >>> torch.ones(2).numpy()
        array([1., 1.], dtype=float32)
        """
        if self._node is not None:
            if not force:
                raise errors.numpy_of_differentiable()
            return self.detach().numpy()
        if self._spec.device.type != "cpu":
            raise TypeError(
                f"can't convert {self._spec.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."
            )
        if self._spec.dtype.numpy_name is None:
            raise TypeError(f"Got unsupported ScalarType {self._spec.dtype.scalar_name}")
        from flambeau.ops.arrays import as_array

        return as_array(self)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        array = self.numpy()
        if dtype is not None:
            array = array.astype(dtype, copy=False)
        return array.copy() if copy else array

    __array_priority__ = 1000

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        from flambeau.ops.creation import from_numpy

        if array.dtype == bool:
            array = array.astype("uint8")
        return from_numpy(array)

    def __len__(self) -> int:
        if self._spec.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return self._spec.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if self._spec.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))  # type: ignore[attr-defined]

    def __reversed__(self) -> Tensor:
        return self if self._spec.ndim == 0 else self.flip(0)  # type: ignore[attr-defined,no-any-return]

    def __bool__(self) -> bool:
        if self._spec.numel != 1:
            raise errors.ambiguous_truth(self._spec.numel)
        return bool(self.item())

    __nonzero__ = __bool__

    def __int__(self) -> int:
        return int(self.item())

    __long__ = __int__

    def __index__(self) -> int:
        if self._spec.dtype.category > 1 or self._spec.numel != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __format__(self, specification: str) -> str:
        if self._spec.ndim == 0 and self._spec.device.type != "meta" and type(self) is Tensor:
            return self.item().__format__(specification)  # type: ignore[no-any-return]
        return object.__format__(self, specification)

    def __contains__(self, element: Any) -> bool:
        if isinstance(element, (Tensor, int, float, complex, bool)):
            return bool((element == self).any().item())  # type: ignore[union-attr]
        raise RuntimeError(f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}.")

    def __repr__(self, *, tensor_contents: str | None = None) -> str:
        from flambeau.printing import tensor_repr

        return tensor_repr(self, tensor_contents=tensor_contents)

    __hash__ = object.__hash__

    def __dir__(self) -> list[str]:
        return sorted({*dir(type(self)), *self.__dict__})

    # ---- copying ---------------------------------------------------------
    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) in memo:
            return memo[id(self)]
        if not self.is_leaf:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the "
                "moment.  If you were attempting to deepcopy a module, this may be because of a torch.nn.utils.weight_norm "
                "usage, see https://github.com/pytorch/pytorch/pull/103001"
            )
        from copy import deepcopy

        storage = memo.get(id(self._storage))
        if storage is None:
            storage = memo[id(self._storage)] = copy_storage(self._storage)
        copy = object.__new__(type(self))
        copy._storage, copy._spec, copy._offset, copy._node, copy._base = storage, self._spec, self._offset, None, None
        if self._node is not None:
            copy.requires_grad_(True)
            if self._node.grad is not None:
                copy._node.grad = deepcopy(self._node.grad, memo)
        memo[id(self)] = copy
        copy.__dict__.update(deepcopy(self.__dict__, memo))
        return copy

    def __reduce_ex__(self, protocol: Any) -> Any:
        if not self.is_leaf:
            raise RuntimeError(
                "Cannot pickle a tensor that was computed and needs gradients: detach() it first"
            )
        state = dict(self.__dict__) or None
        args = (type(self), bytes(memoryview(self._storage)), tuple(self.shape), self._spec.strides, self._offset, self.dtype, self.requires_grad)
        return rebuild, args, state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def untyped_storage(self) -> Any:
        """The memory that this tensor is a window on."""
        from flambeau.storage import UntypedStorage

        return UntypedStorage._around(self._storage)

    def __dlpack__(self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None) -> Any:
        if self._node is not None:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        return self.numpy().__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    @property
    def __cuda_array_interface__(self) -> Any:
        raise AttributeError(
            f"Can't get __cuda_array_interface__ on non-CUDA tensor type: {self.type()} If CUDA data is required use tensor.cuda() to copy tensor to device memory."  # type: ignore[attr-defined]
        )


def copy_storage(storage: Any) -> Any:
    """A storage of its own with the same bytes."""
    import ctypes

    from flambeau.ops.arrays import allocate

    if storage.flags & 1:
        return engine.core.make_borrowed(0, storage.nbytes, None, 1)
    copy = allocate(storage.nbytes)
    if storage.nbytes:
        ctypes.memmove(copy.data, storage.data, storage.nbytes)
    return copy


def rebuild(cls: type, content: bytes, shape: Sequence[int], strides: Sequence[int], offset: int, dtype: dtype, requires_grad: bool) -> Any:
    """Unpickles a tensor."""
    import ctypes

    from flambeau.ops.arrays import allocate
    engine.start()
    storage = allocate(len(content))
    ctypes.memmove(storage.data, content, len(content))
    made = Tensor._alias(engine.core.make_tensor(storage, Spec.of(tuple(shape), tuple(strides), dtype, CPU), offset), cls)
    if requires_grad:
        made.requires_grad_(True)
    return made


__all__ = ["Edge", "Tensor", "dtypes"]

engine.Tensor = Tensor
engine.Parameter = Tensor  # until nn.parameter is imported
