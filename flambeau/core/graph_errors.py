"""Error texts about graphs, views and inference tensors: one function per text, each *returns* the
exception (see core.errors).

>>> raise inference_version()
Traceback (most recent call last):
RuntimeError: Inference tensors do not track version counter.
"""

from __future__ import annotations

CLEAR_UP = (
    " Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify "
    "your code by moving both the view and the inplace either both inside the {block} block (if "
    "you don't want the inplace to be tracked) or both outside (if you want the inplace to be "
    "tracked)."
)
SEVERAL = (
    " This view is the output of a function that returns multiple views. Such functions do not "
    "allow the output views to be modified inplace. You should replace the inplace operation by "
    "an out-of-place one."
)
CUSTOM = (
    " This view was created inside a custom Function (or because an input was returned as-is) and "
    "the autograd logic to handle view+inplace would override the custom backward associated with "
    "the custom Function, leading to incorrect gradients. This behavior is forbidden. You can fix "
    "this by cloning the output of the custom Function."
)
# how a view was made: in Tensor._made, beside its storage's epoch of then times 8
BY_VIEW, BY_NO_GRAD, BY_SPLIT, BY_FUNCTION, BY_INFERENCE = range(5)


def view_modified(made: int, producer: str | None, index: int, indirect: bool) -> RuntimeError:
    """A view that may not change in place did.

    made: how the view came about; producer: the name of its graph node, None without one; indirect:
    not the view itself was changed but its base, or another view of it.
    """
    what = "its base or another view of its base has been" if indirect else "is being"
    if made in (BY_NO_GRAD, BY_INFERENCE) or producer is None:
        start = (
            "A view was"
            if producer is None
            else f"Output {index} of {producer} is a view of a view which was"
        )
        if made == BY_INFERENCE:
            text = f"{start} created in inference mode and {what} modified inplace in normal mode."
        else:
            text = f"{start} created in no_grad mode and {what} modified inplace with grad mode"
            text += " enabled."
    else:
        text = f"Output {index} of {producer} is a view and {what} modified inplace."
    reasons = {
        BY_NO_GRAD: CLEAR_UP.format(block="no_grad"),
        BY_INFERENCE: CLEAR_UP.format(block="inference_mode"),
        BY_SPLIT: SEVERAL,
        BY_FUNCTION: CUSTOM,
    }
    return RuntimeError(text + reasons[made])


def inference_saved() -> RuntimeError:
    """An inference tensor among the values that a gradient needs."""
    return RuntimeError(
        "Inference tensors cannot be saved for backward. Please do not use Tensors created in "
        "inference mode in computation tracked by autograd. To work around this, you can make a "
        "clone to get a normal tensor and use it in autograd, or use `torch.no_grad()` instead of "
        "`torch.inference_mode()`."
    )


def inference_modified() -> RuntimeError:
    """An inference tensor changed in place where gradients are recorded."""
    return RuntimeError(
        "Inplace update to inference tensor outside InferenceMode is not allowed."
        "You can make a clone to get a normal tensor before doing inplace update."
        "See https://github.com/pytorch/rfcs/pull/17 for more details."
    )


def inference_leaf() -> RuntimeError:
    """requires_grad of an inference tensor."""
    return RuntimeError(
        "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed."
    )


def inference_version() -> RuntimeError:
    """The version of an inference tensor."""
    return RuntimeError("Inference tensors do not track version counter.")


def packed_in_place() -> RuntimeError:
    """A pack hook changed its argument."""
    return RuntimeError(
        "A saved tensor pack hook is modifying its input in place. Tensors provided as input to "
        "pack hook cannot be modified by in-place operations as this can lead to unexpected "
        "side-effects. Please open an issue if you need to perform in-place operations on the "
        "input to a pack hook."
    )


def too_many_modes() -> RuntimeError:
    """More threads than there is room for have a mode of their own."""
    return RuntimeError(
        "too many threads are inside no_grad, inference_mode, saved_tensors_hooks or a backward "
        "pass at the same time"
    )


def second_backward() -> RuntimeError:
    return RuntimeError(
        "Trying to backward through the graph a second time (or directly access saved tensors "
        "after they have already been freed). Saved intermediate values of the graph are freed "
        "when you call .backward() or autograd.grad(). Specify retain_graph=True if you need to "
        "backward through the graph a second time or if you need to access saved tensors after "
        "calling backward."
    )
