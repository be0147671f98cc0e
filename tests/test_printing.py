"""repr of tensors beside texts recorded from torch, and the printing options themselves."""

from __future__ import annotations

import json

import pytest
from printing_cases import GOLDEN, all_cases, text_of

import flambeau as torch

ENTRIES = json.loads(GOLDEN.read_text())


def by_options() -> list:
    groups: dict[str, list] = {}
    for entry in ENTRIES:
        groups.setdefault(json.dumps(entry["options"]), []).append(entry)
    return [pytest.param(entries, id=key) for key, entries in groups.items()]


@pytest.fixture(autouse=True)
def _default_options():
    yield
    torch.set_printoptions(profile="default")


@pytest.mark.parametrize("entries", by_options())
def test_text_is_the_recorded_one(entries):
    for entry in entries:
        text = text_of(torch, entry["expression"], entry["options"])
        assert text == entry["text"], entry["expression"]


def test_the_golden_file_holds_every_case():
    recorded = [(entry["expression"], entry["options"]) for entry in ENTRIES]
    assert recorded == all_cases()


def test_options_are_kept_until_changed_and_sci_mode_is_not():
    torch.set_printoptions(precision=2, sci_mode=True)
    assert torch.get_printoptions() == {
        "precision": 2,
        "threshold": 1000,
        "edgeitems": 3,
        "linewidth": 80,
        "sci_mode": True,
    }
    torch.set_printoptions(linewidth=60)
    options = torch.get_printoptions()
    assert (options["precision"], options["linewidth"], options["sci_mode"]) == (2, 60, None)


def test_context_manager_restores_the_options_after_an_error():
    from flambeau.printing import printoptions

    before = torch.get_printoptions()
    with pytest.raises(KeyError), printoptions(precision=1, edgeitems=1):
        assert repr(torch.tensor([1.25])) == "tensor([1.2])"
        raise KeyError
    assert torch.get_printoptions() == before


def test_dtype_is_shown_unless_it_is_the_default():
    try:
        torch.set_default_dtype(torch.float64)
        assert repr(torch.tensor([1.5])) == "tensor([1.5000])"
        assert repr(torch.ones(1, dtype=torch.float32)) == "tensor([1.], dtype=torch.float32)"
        assert repr(torch.ones(1, dtype=torch.complex128)) == "tensor([1.+0.j])"
    finally:
        torch.set_default_dtype(torch.float32)


def test_subclasses_print_under_their_own_name():
    class Points(torch.Tensor):
        pass

    class Weight(torch.nn.Parameter):
        pass

    assert repr(torch.ones(2).as_subclass(Points)) == "Points([1., 1.])"
    weight = repr(Weight(torch.ones(2)))
    assert weight == "Parameter containing:\nParameter(Weight([1., 1.], requires_grad=True))"


def test_contents_can_be_given():
    from flambeau.printing import tensor_repr

    assert tensor_repr(torch.ones(2, dtype=torch.int8), tensor_contents="?") == (
        "tensor(?, dtype=torch.int8)"
    )


def test_printing_records_no_gradient_history():
    x = torch.ones(2000, requires_grad=True)
    assert repr(x).endswith("requires_grad=True)")
    assert x.grad_fn is None and x.grad is None


def test_a_huge_tensor_is_summarised_without_being_converted():
    # The numbers of this view would fill 80 TB.
    huge = torch.zeros(1).expand(10**13)
    assert repr(huge) == "tensor([0., 0., 0.,  ..., 0., 0., 0.])"
