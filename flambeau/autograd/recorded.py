"""`Recorded`: the part of Tensor that concerns the graph: requires_grad, grad, grad_fn, hooks,
backward, detach, data.

_edge: None, a graph Node, or an Edge (autograd.nodes), as native code reads and writes it
_node: the same, brought up to date where the tensor is a view of a base that was changed
(autograd.inplace)
_made: for views how they were made and when, absent where that is nothing special
(core.graph_errors)
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from types import FunctionType
from typing import Any

from flambeau.autograd.modes import is_inference_mode_enabled
from flambeau.autograd.nodes import AccumulateGrad, Node, handle, target
from flambeau.core import errors, graph_errors
from flambeau.runtime.memory import FLAG_INFERENCE
from flambeau.runtime.system import engine

NOT_A_LEAF = (
    "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad "
    "attribute won't be populated during autograd.backward(). If you indeed want the .grad field "
    "to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor. If you "
    "access the non-leaf Tensor by mistake, make sure you access the leaf Tensor instead. See "
    "github.com/pytorch/pytorch/pull/30531 for more information."
)


class Recorded:
    """What a tensor knows of the graph; Tensor adds the memory."""

    __slots__ = ()

    _storage: Any
    _spec: Any
    _offset: Any
    _edge: Any
    _base: Any
    _made: int

    @property
    def _node(self) -> Any:
        if self._base is not None and self._storage.epoch:
            return engine.present_edge(self)
        return self._edge

    @_node.setter
    def _node(self, edge: Any) -> None:
        self._edge = edge

    @property
    def _version(self) -> int:
        if self.is_inference():
            raise graph_errors.inference_version()
        return int(self._storage.version)

    @_version.setter
    def _version(self, value: int) -> None:
        raise AttributeError(
            "attribute '_version' of 'torch._C.TensorBase' objects is not writable"
        )

    def is_inference(self) -> bool:
        """Whether the tensor was made in inference mode."""
        return bool(self._storage.flags & FLAG_INFERENCE)

    def _is_view(self) -> bool:
        return self._base is not None

    # ---- leaves ----------------------------------------------------------------------------------
    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to or through this tensor."""
        return self._edge is not None or self._base is not None and self._base._edge is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self._spec.dtype.category < 2:
            raise errors.differentiable_dtypes_only("attribute")
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Turns recording of this leaf on or off, in place.

        >>> torch.ones(2).requires_grad_()
        tensor([1., 1.], requires_grad=True)
        """
        edge = self._node
        if requires_grad and edge is None:
            if self._spec.dtype.category < 2:
                raise errors.differentiable_dtypes_only("method")
            if self.is_inference() and not is_inference_mode_enabled():
                raise graph_errors.inference_leaf()
            node = AccumulateGrad(self)
            node.grad = self.__dict__.pop("_grad", None)
            self._edge = node
        elif not requires_grad and edge is not None:
            if type(edge) is not AccumulateGrad:
                raise RuntimeError(
                    "you can only change requires_grad flags of leaf variables. If you want to "
                    "use a computed variable in a subgraph that doesn't require differentiation "
                    "use var_no_grad = var.detach()."
                )
            if edge.grad is not None:
                self.__dict__["_grad"] = edge.grad
            self._edge = None
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether the tensor was not computed from others that need gradients."""
        edge = self._node
        return edge is None or type(edge) is AccumulateGrad

    @property
    def grad_fn(self) -> Node | None:
        """The graph node that made this tensor; None for leaves."""
        node, _ = target(self._node)
        return None if type(node) is AccumulateGrad else node

    @property
    def output_nr(self) -> int:
        """Which result of `grad_fn` this is."""
        return target(self._node)[1]

    # ---- the gradient ----------------------------------------------------------------------------
    @property
    def grad(self) -> Any:
        """The gradient that backward passes have added up, or None."""
        edge = self._edge
        if type(edge) is AccumulateGrad:
            return edge.grad
        found = self.__dict__.get("_grad")
        if found is None and edge is not None and "_retains" not in self.__dict__:
            warnings.warn(NOT_A_LEAF, UserWarning, stacklevel=2)
        return found

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is not None:
            self._check_grad(value)
        if type(self._edge) is AccumulateGrad:
            self._edge.grad = value
        elif value is None:
            self.__dict__.pop("_grad", None)
        else:
            self.__dict__["_grad"] = value

    @grad.deleter
    def grad(self) -> None:
        self.grad = None

    def _check_grad(self, value: Any) -> None:
        if not isinstance(value, engine.Tensor):
            raise TypeError(
                "assigned grad expected to be a Tensor or None but got grad of type "
                f"{type(value).__name__}"
            )
        if value is self:
            raise RuntimeError("can't assign Variable as its own grad")
        if value.dtype is not self._spec.dtype:
            raise RuntimeError(
                f"attempting to assign a gradient with dtype '{value.dtype.c_name}' to a tensor "
                f"with grad_dtype '{self._spec.dtype.scalar_name}'. The gradient must match the "
                "tensor's grad_dtype (defaults to the tensor's dtype). You can set the tensor's "
                "grad_dtype attribute with a specific dtype, or None to allow any dtype. Set "
                "grad_dtype with caution. Diverging the dtypes of a tensor and its gradient may "
                "break downstream systems that assume they match."
            )
        if value.shape != self._spec.shape:
            raise RuntimeError(
                f"attempting to assign a gradient of size '{errors.brackets(value.shape)}' to a "
                f"tensor of size '{errors.brackets(self._spec.shape)}'. Please ensure that the "
                "gradient and the tensor are the same size"
            )

    def _retain(self, grad: Any) -> None:
        before = self.__dict__.get("_grad")
        self.__dict__["_grad"] = grad if before is None else before + grad

    def retain_grad(self) -> None:
        """Keep `.grad` for this tensor although it is no leaf."""
        node, index = target(self._node)
        if node is None:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if type(node) is AccumulateGrad or "_retains" in self.__dict__:
            return
        self.__dict__["_retains"] = True
        node._table().retain[index] = weakref.ref(self)

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad` was called on a non-leaf."""
        return "_retains" in self.__dict__

    # ---- hooks -----------------------------------------------------------------------------------
    def register_hook(self, hook: Callable[[Any], Any]) -> Any:
        """`hook(grad)` runs when the tensor's gradient is computed and may return another one.

        >>> x = torch.ones(2, requires_grad=True)
        >>> handle = x.register_hook(lambda grad: grad * 10)
        >>> x.sum().backward()
        >>> x.grad
        tensor([10., 10.])
        """
        node, index = target(self._node)
        if node is None:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        return handle(node._table().tensor, (index, hook))

    @property
    def _backward_hooks(self) -> dict[int, Any] | None:
        """The hooks that `register_hook` set, None without any."""
        node, index = target(self._edge)
        if node is None or node._hooks is None:
            return None
        return {
            number: hook for number, (place, hook) in node._hooks.tensor.items() if place == index
        } or None

    def register_post_accumulate_grad_hook(self, hook: Callable[[Any], Any]) -> Any:
        """`hook(tensor)` runs after the leaf's `.grad` was updated."""
        leaf = self._node
        if leaf is None:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if type(leaf) is not AccumulateGrad:
            raise RuntimeError(
                "post accumulate grad hooks cannot be registered on non-leaf tensors"
            )
        leaf._table()
        if leaf._extra is None:
            leaf._extra = {}
        return handle(leaf._extra, hook)

    # ---- passes and cuts -------------------------------------------------------------------------
    def backward(
        self,
        gradient: Any = None,
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
        engine.backward_of(self, gradient, retain_graph, create_graph, inputs)

    def _as_own_class(self, alias: Any) -> Any:
        kind = type(self)
        return (
            alias if kind is engine.Tensor or kind is engine.Parameter else alias.as_subclass(kind)
        )

    def detach(self) -> Any:
        """The same memory without the graph."""
        return self._as_own_class(engine.core.make_tensor(self._storage, self._spec, self._offset))

    def detach_(self) -> Any:
        """Cuts this tensor from its graph, in place."""
        if self._base is not None:
            raise RuntimeError(
                "Can't detach views in-place. Use detach() instead. If you are using "
                "DistributedDataParallel (DDP) for training, and gradient_as_bucket_view is set "
                "as True, gradients are views of DDP buckets, and hence detach_() cannot be "
                "called on these gradients. To fix this error, please refer to the "
                "Optimizer.zero_grad() function in torch/optim/optimizer.py as the solution."
            )
        self._edge = None
        return self

    @property
    def data(self) -> Any:
        """The same memory without graph and with a version of its own: changes are not noticed by
        backward.
        """
        alias = own_version(self._storage, 0)
        return self._as_own_class(engine.core.make_tensor(alias, self._spec, self._offset))

    @data.setter
    def data(self, value: Any) -> None:
        if not isinstance(value, engine.Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
        if self._edge is not None and value.dtype.category < 2:
            raise RuntimeError(
                "data set to a tensor that requires gradients must be floating point or complex "
                "dtype"
            )
        self._storage = own_version(value._storage, self._storage.version)
        self._spec, self._offset = value._spec, value._offset


def own_version(storage: Any, version: int) -> Any:
    """Another storage object over the same memory, which counts its changes for itself."""
    owner = (
        storage.owner if type(storage.owner) is type(storage) else storage
    )  # no chains of owners
    alias = engine.core.make_borrowed(storage.address, storage.nbytes, owner, storage.flags)
    alias.version = version
    return alias


for _member in list(vars(Recorded).values()):
    if isinstance(_member, FunctionType):  # Python's own error texts name the class that users know
        _member.__qualname__ = f"Tensor.{_member.__name__}"
