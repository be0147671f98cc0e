"""Derivatives of functions, as functions: `grad`, `vjp`, `jvp`, `jacrev`, `jacfwd`, `hessian`.

Each call gives the function its own copies of the arguments to differentiate by (`Level`). Nested
calls, and tensors from outside that need gradients, stay connected: a result is part of an outer
graph exactly where something outside needs it. All of them run the backward pass; forward products
(`jvp`) are the derivative of the backward pass by its own argument.

>>> torch.func.jacrev(torch.sin)(torch.zeros(2))
tensor([[1., 0.],
        [0., 1.]])
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import flambeau
from flambeau.utils._pytree import tree_flatten, tree_map, tree_unflatten

Argnums = int | tuple[int, ...]


class Level:
    """The arguments of one differentiated call, as tensors of its own.

    `copies` has the structure of `arguments`. `outer` says (after `finish`) whether derivatives
    must be part of a graph, because something outside needs a gradient.
    """

    def __init__(self, arguments: Any, name: str):
        leaves, self.spec = tree_flatten(arguments)
        self.recorded = flambeau.is_grad_enabled()
        self.outer = False
        self.leaves = [self._own(leaf, name) for leaf in leaves]
        self.copies = tree_unflatten(self.leaves, self.spec)

    def _own(self, leaf: Any, name: str) -> Any:
        if not isinstance(leaf, flambeau.Tensor):
            raise ValueError(
                f"{name}: Expected all elements of the arguments to differentiate by to be "
                f"Tensors, got: {type(leaf)}"
            )
        with flambeau.enable_grad():
            if leaf.requires_grad and self.recorded:
                self.outer = True
                return leaf.view_as(leaf)
            return leaf.detach().requires_grad_()

    def call(self, function: Callable[[], Any]) -> Any:
        """The result of a function of the copies."""
        with flambeau.enable_grad():
            return function()

    def finish(self, outputs: list[Any]) -> None:
        """Looks for what else the outputs depend on."""
        if self.recorded and not self.outer:
            own = {id(leaf) for leaf in self.leaves}
            self.outer = _depends_on_others([o for o in outputs if is_tensor(o)], own)

    def result(self, value: Any) -> Any:
        """A value without this level's graph, unless that is part of an outer one."""
        return tree_map(lambda x: x.detach() if is_tensor(x) and not self.outer else x, value)

    def gradients(self, outputs: list[Any], weights: list[Any] | None, keep: bool) -> list[Any]:
        """d(outputs, weights) / d(copies), zeros where there is no dependence."""
        pairs = [
            (o, None if weights is None else weights[i])
            for i, o in enumerate(outputs)
            if is_tensor(o) and o.requires_grad
        ]
        if not pairs:
            return [flambeau.zeros_like(leaf) for leaf in self.leaves]
        with flambeau.enable_grad():
            return list(
                flambeau.autograd.grad(
                    [o for o, _ in pairs],
                    self.leaves,
                    None if weights is None else [w for _, w in pairs],
                    retain_graph=keep or self.outer,
                    create_graph=self.outer,
                    allow_unused=True,
                    materialize_grads=True,
                )
            )


def is_tensor(value: Any) -> bool:
    """Whether a value is a Tensor."""
    return isinstance(value, flambeau.Tensor)


def _depends_on_others(outputs: list[Any], own: set[int]) -> bool:
    """Whether a graph reaches leaves that are not in `own`."""
    waiting = [o.grad_fn for o in outputs if o.grad_fn is not None]
    if any(o.grad_fn is None and o.requires_grad and id(o) not in own for o in outputs):
        return True
    seen = set()
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)
        if variable is not None and id(variable) not in own:
            return True
        waiting += [before for before, _ in node.next_functions if before is not None]
    return False


def _pick(args: tuple[Any, ...], argnums: Argnums) -> Any:
    """The arguments to differentiate by."""
    if isinstance(argnums, int):
        if not -len(args) <= argnums < len(args):
            raise RuntimeError(f"Got argnum={argnums}, but only {len(args)} positional inputs")
        return args[argnums]
    return tuple(_pick(args, n) for n in argnums)


def _replace(args: tuple[Any, ...], argnums: Argnums, values: Any) -> list[Any]:
    """The arguments with some of them replaced."""
    new = list(args)
    if isinstance(argnums, int):
        new[argnums] = values
    else:
        for n, value in zip(argnums, values, strict=True):
            new[n] = value
    return new


def _split_aux(result: Any, has_aux: bool, name: str) -> tuple[Any, Any]:
    """A function's result and its auxiliary part."""
    if not has_aux:
        return result, None
    if not (isinstance(result, tuple) and len(result) == 2):
        raise RuntimeError(
            f"{name}: output of function f should be a tuple: (output, aux) if has_aux is True"
        )
    return result


def grad_and_value(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """The gradient of a scalar function and its value.

    >>> torch.func.grad_and_value(lambda x: x * x)(torch.tensor(3.0))
    (tensor(6.), tensor(9.))
    """

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        level = Level(_pick(args, argnums), "grad_and_value(f, argnums)(*args)")
        result = level.call(lambda: func(*_replace(args, argnums, level.copies), **kwargs))
        output, aux = _split_aux(result, has_aux, "grad_and_value(f)(*args)")
        if not is_tensor(output):
            raise RuntimeError(f"Expected f(*args) to return a tensor, got {type(output)}")
        if output.dim() != 0:
            raise RuntimeError(
                "Expected f(*args) to return a scalar tensor, got tensor with "
                f"{output.dim()} dims. Maybe you wanted to use the vjp or jacrev APIs instead?"
            )
        level.finish([output, *tree_flatten(aux)[0]])
        gradients = tree_unflatten(level.gradients([output], None, False), level.spec)
        value = level.result(output)
        return (gradients, (value, level.result(aux))) if has_aux else (gradients, value)

    return wrapper


def grad(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """The gradient of a scalar function by its argument `argnums` (or by several).

    >>> torch.func.grad(torch.func.grad(torch.sin))(torch.tensor(0.0))
    tensor(-0.)
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        gradients, value = both(*args, **kwargs)
        return (gradients, value[1]) if has_aux else gradients

    return wrapper


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value of a function, and a function from weights of the value to gradients.

    >>> value, pull = torch.func.vjp(torch.exp, torch.zeros(2))
    >>> pull(torch.ones(2))
    (tensor([1., 1.]),)
    """
    level = Level(tuple(primals), "vjp(f, *primals)")
    result = level.call(lambda: func(*level.copies))
    output, aux = _split_aux(result, has_aux, "vjp(f, *primals)")
    outputs, spec = tree_flatten(output)
    for value in outputs:
        if not is_tensor(value):
            raise RuntimeError(
                f"vjp(f, *primals): Expected f(*primals) to return only tensors, got {type(value)}"
            )
    level.finish([*outputs, *tree_flatten(aux)[0]])

    def pull(cotangents: Any, retain_graph: bool | None = None, create_graph: Any = None) -> Any:
        weights, given = tree_flatten(cotangents)
        if given != spec:
            raise RuntimeError(
                "Expected pytree structure of cotangents to be the same as pytree structure of "
                "outputs to the function."
            )
        level.outer = (
            level.outer or flambeau.is_grad_enabled() and any(w.requires_grad for w in weights)
        )
        gradients = level.gradients(outputs, weights, True)
        return tree_unflatten(gradients, level.spec)

    value = level.result(output)
    return (value, pull, level.result(aux)) if has_aux else (value, pull)


class _Pushed:
    """A function's value, and its derivative along tangents: the backward pass, differentiated by
    its weights, which it is linear in.
    """

    def __init__(self, func: Callable[..., Any], primals: Any, has_aux: bool, name: str):
        self.level = level = Level(tuple(primals), name)
        result = level.call(lambda: func(*level.copies))
        self.output, self.aux = _split_aux(result, has_aux, name)
        self.outputs, self.spec = tree_flatten(self.output)
        level.finish([*self.outputs, *tree_flatten(self.aux)[0]])
        self.weights = [flambeau.zeros_like(o).requires_grad_() for o in self.outputs]
        pairs = [(o, w) for o, w in zip(self.outputs, self.weights, strict=True) if o.requires_grad]
        self.gradients: list[Any] = []
        if pairs:
            with flambeau.enable_grad():
                self.gradients = list(
                    flambeau.autograd.grad(
                        [o for o, _ in pairs],
                        level.leaves,
                        [w for _, w in pairs],
                        create_graph=True,
                        allow_unused=True,
                    )
                )

    def along(self, tangents: list[Any]) -> Any:
        """The derivative along tangents, one for each argument."""
        pairs = (
            [
                (g, t)
                for g, t in zip(self.gradients, tangents, strict=True)
                if g is not None and g.requires_grad
            ]
            if self.gradients
            else []
        )
        if not pairs:
            pushed = [flambeau.zeros_like(o) for o in self.outputs]
        else:
            outer = (
                self.level.outer
                or flambeau.is_grad_enabled()
                and any(t.requires_grad for _, t in pairs)
            )
            with flambeau.enable_grad():
                pushed = list(
                    flambeau.autograd.grad(
                        [g for g, _ in pairs],
                        self.weights,
                        [t for _, t in pairs],
                        retain_graph=True,
                        create_graph=outer,
                        allow_unused=True,
                        materialize_grads=True,
                    )
                )
        return tree_unflatten(pushed, self.spec)


def jvp(
    func: Callable[..., Any], primals: Any, tangents: Any, *, strict: bool = False,
    has_aux: bool = False,
) -> Any:  # fmt: skip
    """The value of a function, and its derivative along `tangents`.

    >>> torch.func.jvp(torch.sin, (torch.zeros(1),), (torch.ones(1),))
    (tensor([0.]), tensor([1.]))
    """
    if not isinstance(primals, tuple):
        raise RuntimeError(
            "jvp(f, primals, tangents): Expected primals to be a tuple. E.g. it should be valid "
            "to call f(*primals)."
        )
    leaves, spec = tree_flatten(tangents)
    pushed = _Pushed(func, primals, has_aux, "jvp(f, primals, tangents)")
    if spec != pushed.level.spec:
        raise RuntimeError(
            "jvp(f, primals, tangents): Expected primals and tangents to have the same python "
            "structure."
        )
    tangent = pushed.along(leaves)
    value = pushed.level.result(pushed.output)
    return (value, tangent, pushed.level.result(pushed.aux)) if has_aux else (value, tangent)


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """The value of a function, and its derivative as a function of tangents.

    >>> value, push = torch.func.linearize(torch.exp, torch.zeros(1))
    >>> push(torch.ones(1))
    tensor([1.])
    """
    pushed = _Pushed(func, primals, False, "linearize(f, *primals)")
    return pushed.level.result(pushed.output), lambda *tangents: pushed.along(
        tree_flatten(tangents)[0]
    )


def jacrev(
    func: Callable[..., Any], argnums: Argnums = 0, *, has_aux: bool = False,
    chunk_size: int | None = None, _preallocate_and_copy: bool = False,
) -> Callable[..., Any]:  # fmt: skip
    """The Jacobian, row by row: one backward pass for each element of the result.

    >>> torch.func.jacrev(lambda x: x * x)(torch.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    if not (chunk_size is None or chunk_size > 0):
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        level = Level(_pick(args, argnums), "jacrev(f, argnums)(*args)")
        result = level.call(lambda: func(*_replace(args, argnums, level.copies), **kwargs))
        output, aux = _split_aux(result, has_aux, "jacrev(f)(*args)")
        outputs, spec = tree_flatten(output)
        level.finish([*outputs, *tree_flatten(aux)[0]])
        jacobians = []
        for value in outputs:
            rows = [level.gradients([value], [unit], True) for unit in _units(value)]
            blocks = [
                flambeau.stack(column).reshape(*value.shape, *leaf.shape)
                if column
                else leaf.new_zeros((*value.shape, *leaf.shape))
                for leaf, column in zip(
                    level.leaves,
                    list(zip(*rows, strict=True)) or [()] * len(level.leaves),
                    strict=True,
                )  # fmt: skip
            ]
            jacobians.append(tree_unflatten(blocks, level.spec))
        jacobian = tree_unflatten(jacobians, spec)
        return (jacobian, level.result(aux)) if has_aux else jacobian

    return wrapper


def _units(like: Any) -> list[Any]:
    """The tensors of the shape of `like` with a single 1."""
    n = like.numel()
    eye = flambeau.eye(n, dtype=like.dtype, device=like.device)
    return [eye[i].reshape(like.shape) for i in range(n)]


def jacfwd(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, *,
    randomness: str = "error",
) -> Callable[..., Any]:  # fmt: skip
    """The Jacobian, column by column: one derivative along each element of the argument.

    >>> torch.func.jacfwd(lambda x: x * x)(torch.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        picked = _pick(args, argnums)
        inner = lambda values: func(*_replace(args, argnums, values), **kwargs)
        pushed = _Pushed(inner, (picked,), has_aux, "jacfwd(f, argnums)(*args)")
        leaves = pushed.level.leaves
        blocks = []
        for i, leaf in enumerate(leaves):
            zeros = [flambeau.zeros_like(other) for other in leaves]
            columns = []
            for unit in _units(leaf):
                tangents = [*zeros[:i], unit, *zeros[i + 1 :]]
                columns.append(tree_flatten(pushed.along(tangents))[0])
            blocks.append(
                [
                    flambeau.stack(column, -1).reshape(*value.shape, *leaf.shape)
                    for value, column in zip(
                        pushed.outputs, zip(*columns, strict=True), strict=True
                    )
                ]
            )
        (structure,) = pushed.level.spec.children
        jacobians = [
            tree_unflatten([block[k] for block in blocks], structure)
            for k in range(len(pushed.outputs))
        ]
        jacobian = tree_unflatten(jacobians, pushed.spec)
        return (jacobian, pushed.level.result(pushed.aux)) if has_aux else jacobian

    return wrapper


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The matrix of second derivatives.

    >>> torch.func.hessian(lambda x: (x**3).sum())(torch.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacrev(jacrev(func, argnums), argnums)


def functionalize(func: Callable[..., Any], *, remove: str = "mutations") -> Callable[..., Any]:
    """The function itself: graphs here follow in-place work as it is."""
    return func
