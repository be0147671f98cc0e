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

import warnings
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flambeau.autograd.graph import AccumulateGrad, Node, _handle, target
from flambeau.autograd.inplace import current
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


class Tensor(metaclass=TensorMeta):
    """A multi-dimensional array of one dtype, on one device, that can record how it was computed.

    >>> torch.tensor([[1, 2], [3, 4]]).sum()
    tensor(10)
    """

    __slots__ = (
        "_storage",
        "_spec",
        "_offset",
        "_node",
        "_base",
        "_seen",
        "__weakref__",
        "__dict__",
    )

    _storage: Any
    _spec: Spec
    _offset: int
    _node: Any
    _base: Tensor | None
    _seen: int

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

    is_cpu = property(lambda self: self._spec.device.type == "cpu", doc="Memory of the CPU.")
    is_cuda = property(lambda self: self._spec.device.type == "cuda", doc="Memory of a GPU.")
    is_meta = property(lambda self: self._spec.device.type == "meta", doc="No memory.")
    is_mps = is_xpu = is_ipu = is_xla = is_mtia = is_vulkan = is_maia = property(
        lambda self: False, doc="False."
    )
    is_sparse = is_sparse_csr = is_quantized = is_mkldnn = is_nested = is_mps
    names = property(lambda self: (None,) * self._spec.ndim, doc="Dimensions have no names.")
    is_shared = lambda self: False

    @property
    def _version(self) -> int:
        return int(self._storage.version)

    # ---- the graph -------------------------------------------------------
    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to or through this tensor."""
        return current(self) is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self._spec.dtype.category < 2:
            raise errors.differentiable_dtypes_only("attribute")
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
                    raise errors.differentiable_dtypes_only("method")
                node = AccumulateGrad(self)
                node.grad = self.__dict__.pop("_grad", None)
                self._node = node
        elif self._node is not None:
            if type(self._node) is not AccumulateGrad:
                raise RuntimeError(
                    "you can only change requires_grad flags of leaf variables. "
                    "If you want to use a computed "
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
        node, _ = target(current(self))
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
            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. "
                "Its .grad "
                "attribute won't be populated during autograd.backward(). "
                "If you indeed want the .grad "
                "field to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf "
                "Tensor. "
                "If you access the non-leaf Tensor by mistake, "
                "make sure you access the leaf Tensor "
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
            raise TypeError(
                "assigned grad expected to be a Tensor or None but got grad of type "
                f"{type(value).__name__}"
            )
        if value is self:
            raise RuntimeError("can't assign Variable as its own grad")
        if value.dtype is not self.dtype:
            raise RuntimeError(
                f"attempting to assign a gradient with dtype '{value.dtype.c_name}' to a tensor "
                f"with grad_dtype '{self.dtype.scalar_name}'. The gradient must match the tensor's "
                "grad_dtype (defaults to the tensor's dtype). You can set the tensor's grad_dtype "
                "attribute with a specific dtype, or None to allow any dtype. Set grad_dtype with "
                "caution. Diverging the dtypes of a tensor and its gradient may break downstream "
                "systems that assume they match."
            )
        if value.shape != self.shape:
            raise RuntimeError(
                f"attempting to assign a gradient of size '{errors.brackets(value.shape)}' to a "
                f"tensor of size '{errors.brackets(self.shape)}'. Please ensure that the gradient "
                "and the tensor are the same size"
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
            raise RuntimeError(
                "post accumulate grad hooks cannot be registered on non-leaf tensors"
            )
        self._node._hooks()
        if self._node.extra is None:
            self._node.extra = {}
        return _handle(self._node.extra, hook)

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
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
        alias: Tensor = engine.core.make_tensor(self._storage, self._spec, self._offset)
        return alias if type(self) in (Tensor, engine.Parameter) else alias.as_subclass(type(self))

    def detach_(self) -> Tensor:
        """Cuts this tensor from its graph, in place."""
        if self._base is not None and self._node is not None:
            raise RuntimeError(
                "Can't detach views in-place. Use detach() instead. "
                "If you are using DistributedDataParallel (DDP) "
                "for training, and gradient_as_bucket_view is set as True, "
                "gradients are views of DDP buckets, and "
                "hence detach_() cannot be called on these gradients. To fix this error, "
                "please refer to the "
                "Optimizer.zero_grad() function in torch/optim/optimizer.py as the solution."
            )
        self._node = None
        return self

    @property
    def data(self) -> Tensor:
        """The same memory without graph and with a version of its own:
        changes are not noticed by backward.
        """
        core, storage = engine.core, self._storage
        alias = core.make_borrowed(storage.data, storage.nbytes, storage, storage.flags)
        made: Tensor = core.make_tensor(alias, self._spec, self._offset)
        return made if type(self) in (Tensor, engine.Parameter) else made.as_subclass(type(self))

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
        self._storage, self._spec, self._offset = value._storage, value._spec, value._offset

    def _is_view(self) -> bool:
        return self._base is not None

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
