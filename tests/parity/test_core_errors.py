"""Each text of flambeau.core.errors against the exception torch raises for such a call.

The first lines must be equal, and torch's class must be a base of ours or the same.
"""

import pytest

torch = pytest.importorskip("torch")

from flambeau.core import errors, graph_errors


def differentiable(*sizes):
    return torch.ones(*sizes, requires_grad=True)


def second_backward():
    x = differentiable(2)
    y = (x * x).sum()
    y.backward()
    y.backward()


def modified_output():
    y = differentiable(2).exp()
    total = (y * y).sum()
    y.add_(1)
    total.backward()


def modified_leaf():
    x = torch.ones(2)
    total = (differentiable(2) * x).sum()
    x.add_(1)
    total.backward()


def shifted():
    x = torch.zeros(3)
    x[1:].add_(x[:-1])


Z = torch.zeros
LONG = torch.long
OUT_OF_BOUNDS = torch.tensor([5])
CASES = {
    "type": (
        lambda: torch.tanh("x"),
        errors.argument_type_error("tanh", "input", 1, "Tensor", "x"),
    ),
    "missing": (torch.tanh, errors.missing_arguments("tanh", ["input"])),
    "too many": (lambda: torch.tanh(Z(1), Z(1)), errors.too_many_arguments("tanh", 1, 2)),
    "unexpected": (lambda: torch.tanh(Z(1), foo=1), errors.unexpected_argument("tanh", "foo")),
    "twice": (lambda: torch.tanh(Z(1), input=1), errors.multiple_values("tanh", "input")),
    "no kernel": (
        lambda: torch.sum(Z(2, dtype=torch.complex32)),
        errors.not_implemented_for("sum_cpu", "ComplexHalf"),
    ),
    "sizes": (lambda: Z(2, 3) + Z(2, 5), errors.size_mismatch(3, 5, 1, (2, 3), (2, 5))),
    "matmul": (lambda: Z(2, 3) @ Z(4, 5), errors.matmul_mismatch((2, 3), (4, 5))),
    "expand rank": (
        lambda: Z(3, 1, dtype=LONG).expand(3),
        errors.expand_rank("torch.LongTensor", (3, 1), (3,)),
    ),
    "negative": (lambda: torch.empty(2, -1), errors.negative_dimension((2, -1), -1)),
    "dim": (lambda: Z(2, 3).sum(2), errors.dim_out_of_range(2, 2)),
    "scalar dim": (lambda: Z(()).size(0), errors.no_dimensions(0)),
    "repeated dim": (lambda: Z(2, 3).sum((0, -2)), errors.repeated_dim(0)),
    "view": (
        lambda: Z(2, 3).t().view(6),
        errors.incompatible_view((3, 2), (1, 3), (6,)),
    ),
    "index": (lambda: Z(2)[5], errors.index_out_of_bounds(5, 0, 2)),
    "gather": (
        lambda: torch.gather(Z(3), 0, OUT_OF_BOUNDS),
        errors.gather_out_of_bounds(5, 0, 3),
    ),
    "indices": (lambda: Z(2, 3)[0, 0, 0], errors.too_many_indices(2)),
    "cat": (lambda: torch.cat([Z(2, 2), Z(2, 3)]), errors.cat_size_mismatch(0, 2, 3, 1)),
    "stack": (lambda: torch.stack([Z(2), Z(3)]), errors.stack_size_mismatch((2,), (3,), 1)),
    "result": (lambda: Z(2, dtype=LONG).add_(1.5), errors.result_cast("Float", "Long")),
    "matmul dtype": (
        lambda: Z(2, 2) @ Z(2, 2).double(),
        errors.same_dtype_matmul("float", "double"),
    ),
    "truth": (lambda: bool(Z(2)), errors.ambiguous_truth(2)),
    "empty truth": (lambda: bool(Z(0)), errors.ambiguous_truth(0)),
    "item": (lambda: Z(2).item(), errors.not_a_scalar(2)),
    "expanded": (lambda: Z(1).expand(3).add_(1), errors.written_overlap()),
    "shifted": (shifted, errors.partial_overlap()),
    "leaf": (lambda: differentiable(2).add_(1), errors.leaf_modified()),
    "leaf view": (lambda: differentiable(2)[:1].add_(1), errors.leaf_view_modified()),
    "implicit": (lambda: differentiable(2).backward(), errors.scalar_outputs_only((2,))),
    "second backward": (second_backward, graph_errors.second_backward()),
    "no gradient": (lambda: Z(()).backward(), errors.no_gradient()),
    "modified": (
        modified_output,
        errors.modified_in_place("torch.FloatTensor", (2,), "output 0 of Add", 1, 0),
    ),
    "modified leaf": (
        modified_leaf,
        errors.modified_in_place("torch.FloatTensor", (2,), None, 1, 0),
    ),
    "integer grad": (
        lambda: Z(2, dtype=LONG, requires_grad=True),
        errors.differentiable_dtypes_only(),
    ),
    "integer grad attribute": (
        lambda: setattr(Z(2, dtype=LONG), "requires_grad", True),
        errors.differentiable_dtypes_only("attribute"),
    ),
    "integer grad method": (
        lambda: Z(2, dtype=LONG).requires_grad_(),
        errors.differentiable_dtypes_only("method"),
    ),
    "numpy": (lambda: differentiable(2).numpy(), errors.numpy_of_differentiable()),
}


@pytest.mark.parametrize("name", CASES)
def test_text(name):
    call, ours = CASES[name]
    with pytest.raises(Exception) as theirs:
        call()
    assert str(ours).split("\n")[0] == str(theirs.value).split("\n")[0]
    assert isinstance(ours, type(theirs.value))
