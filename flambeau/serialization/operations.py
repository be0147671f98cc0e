"""The operations of pickle streams that data needs, as functions of the machine that runs them.

`OPERATIONS` maps an operation's code to its function, or to None: what is not in here cannot
happen. `DataUnpickler.load` is the caller. Codes and meanings are those of Python's `pickletools`.

>>> [name for name in ("REDUCE", "INST", "OBJ", "EXT1") if OPERATIONS[getattr(pickle, name)[0]]]
['REDUCE']
"""

from __future__ import annotations

import pickle
import struct
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import flambeau
from flambeau.serialization.globals import check_keys
from flambeau.serialization.rebuild import REBUILD_FUNCTIONS, rebuild_from_type

if TYPE_CHECKING:
    from flambeau.serialization.unpickler import DataUnpickler

Operation = Callable[["DataUnpickler"], None]
OPERATIONS: list[Operation | None] = [None] * 256

_UINT8, _UINT16, _UINT32, _UINT64 = (struct.Struct(form) for form in ("<B", "<H", "<I", "<Q"))
_INT32, _FLOAT64 = struct.Struct("<i"), struct.Struct(">d")


def _operation(code: bytes) -> Callable[[Operation], Operation]:
    def register(function: Operation) -> Operation:
        OPERATIONS[code[0]] = function
        return function

    return register


# Numbers and text


def _text(machine: DataUnpickler, length: int) -> str:
    return str(machine.take(length), "utf-8", "surrogatepass")


def _bytes(machine: DataUnpickler, length: int) -> bytes:
    return bytes(machine.take(length))


def _bytearray(machine: DataUnpickler, length: int) -> bytearray:
    return bytearray(machine.take(length))


def _old_text(machine: DataUnpickler, length: int) -> bytes | str:
    raw = bytes(machine.take(length))
    return raw if machine.encoding == "bytes" else raw.decode(machine.encoding)


def _integer(machine: DataUnpickler, length: int) -> int:
    return int.from_bytes(machine.take(length), "little", signed=True)


_NUMBERS = {
    pickle.BININT: _INT32,
    pickle.BININT1: _UINT8,
    pickle.BININT2: _UINT16,
    pickle.BINFLOAT: _FLOAT64,
}

_SIZED = {
    pickle.LONG1: (_UINT8, _integer),
    pickle.LONG4: (_INT32, _integer),
    pickle.SHORT_BINUNICODE: (_UINT8, _text),
    pickle.BINUNICODE: (_UINT32, _text),
    pickle.BINUNICODE8: (_UINT64, _text),
    pickle.SHORT_BINBYTES: (_UINT8, _bytes),
    pickle.BINBYTES: (_UINT32, _bytes),
    pickle.BINBYTES8: (_UINT64, _bytes),
    pickle.BYTEARRAY8: (_UINT64, _bytearray),
    pickle.SHORT_BINSTRING: (_UINT8, _old_text),
    pickle.BINSTRING: (_INT32, _old_text),
}

_LINES: dict[bytes, Callable[[str], Any]] = {
    pickle.INT: lambda line: line == "01" if line in ("00", "01") else int(line),
    pickle.LONG: lambda line: int(line.rstrip("L")),
    pickle.FLOAT: float,
}

_NEW: dict[bytes, Callable[[], Any]] = {
    pickle.NONE: lambda: None,
    pickle.NEWTRUE: lambda: True,
    pickle.NEWFALSE: lambda: False,
    pickle.EMPTY_LIST: list,
    pickle.EMPTY_DICT: dict,
    pickle.EMPTY_SET: set,
    pickle.EMPTY_TUPLE: tuple,
}


def _push_number(form: struct.Struct) -> Operation:
    return lambda machine: machine.stack.append(machine.number(form))


def _push_sized(form: struct.Struct, make: Callable[[DataUnpickler, int], Any]) -> Operation:
    return lambda machine: machine.stack.append(make(machine, machine.number(form)))


def _push_line(parse: Callable[[str], Any]) -> Operation:
    return lambda machine: machine.stack.append(parse(machine.line()))


def _push_new(make: Callable[[], Any]) -> Operation:
    return lambda machine: machine.stack.append(make())


for _code, _form in _NUMBERS.items():
    _operation(_code)(_push_number(_form))
for _code, (_form, _make) in _SIZED.items():
    _operation(_code)(_push_sized(_form, _make))
for _code, _parse in _LINES.items():
    _operation(_code)(_push_line(_parse))
for _code, _new in _NEW.items():
    _operation(_code)(_push_new(_new))


@_operation(pickle.PROTO)
def _protocol(machine: DataUnpickler) -> None:
    version = machine.number(_UINT8)
    if version > pickle.HIGHEST_PROTOCOL:
        raise pickle.UnpicklingError(f"Unsupported pickle protocol: {version}")


@_operation(pickle.FRAME)
def _frame(machine: DataUnpickler) -> None:
    machine.number(_UINT64)


# Containers


@_operation(pickle.MARK)
def _mark(machine: DataUnpickler) -> None:
    machine.marks.append(machine.stack)
    machine.stack = []


@_operation(pickle.TUPLE)
def _tuple(machine: DataUnpickler) -> None:
    items = machine.pop_mark()
    machine.stack.append(tuple(items))


def _tuple_of(count: int) -> Operation:
    def make(machine: DataUnpickler) -> None:
        if len(machine.stack) < count:
            raise IndexError("pop from empty list")
        machine.stack[-count:] = [tuple(machine.stack[-count:])]

    return make


for _count, _code in enumerate((pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3), start=1):
    _operation(_code)(_tuple_of(_count))


@_operation(pickle.LIST)
def _list(machine: DataUnpickler) -> None:
    items = machine.pop_mark()
    machine.stack.append(items)


@_operation(pickle.DICT)
def _dict(machine: DataUnpickler) -> None:
    items = machine.pop_mark()
    machine.stack.append({})
    _store(machine, items)


@_operation(pickle.FROZENSET)
def _frozenset(machine: DataUnpickler) -> None:
    items = machine.pop_mark()
    check_keys(items)
    machine.stack.append(frozenset(items))


def _is_a(machine: DataUnpickler, target: Any, kind: type, exact: tuple[type, ...]) -> bool:
    if type(target) in exact:
        return True
    return isinstance(target, kind) and machine.table.is_allowed_type(type(target))


def _extend(machine: DataUnpickler, items: list[Any]) -> None:
    target = machine.stack[-1]
    if not _is_a(machine, target, list, (list,)):
        raise pickle.UnpicklingError(f"Can only extend lists, but got {type(target)}")
    target.extend(items)


def _store(machine: DataUnpickler, items: list[Any]) -> None:
    target = machine.stack[-1]
    if not _is_a(machine, target, dict, (dict, OrderedDict, Counter)):
        raise pickle.UnpicklingError(
            "Can only SETITEMS for dict, collections.OrderedDict, collections.Counter, "
            f"but got {type(target)}"
        )
    keys = items[::2]
    check_keys(keys)
    for key, value in zip(keys, items[1::2], strict=True):
        target[key] = value


@_operation(pickle.APPEND)
def _append(machine: DataUnpickler) -> None:
    item = machine.stack.pop()
    _extend(machine, [item])


@_operation(pickle.APPENDS)
def _appends(machine: DataUnpickler) -> None:
    _extend(machine, machine.pop_mark())


@_operation(pickle.SETITEM)
def _set_item(machine: DataUnpickler) -> None:
    value = machine.stack.pop()
    key = machine.stack.pop()
    _store(machine, [key, value])


@_operation(pickle.SETITEMS)
def _set_items(machine: DataUnpickler) -> None:
    _store(machine, machine.pop_mark())


@_operation(pickle.ADDITEMS)
def _add_items(machine: DataUnpickler) -> None:
    items = machine.pop_mark()
    target = machine.stack[-1]
    if not _is_a(machine, target, set, (set,)):
        raise pickle.UnpicklingError(f"Can only add to sets, but got {type(target)}")
    check_keys(items)
    target.update(items)


@_operation(pickle.POP)
def _pop(machine: DataUnpickler) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.pop_mark()


@_operation(pickle.POP_MARK)
def _pop_to_mark(machine: DataUnpickler) -> None:
    machine.pop_mark()


# Objects that occur more than once


@_operation(pickle.BINGET)
def _get_short(machine: DataUnpickler) -> None:
    machine.stack.append(machine.memo[machine.number(_UINT8)])


@_operation(pickle.LONG_BINGET)
def _get(machine: DataUnpickler) -> None:
    machine.stack.append(machine.memo[machine.number(_UINT32)])


@_operation(pickle.BINPUT)
def _put_short(machine: DataUnpickler) -> None:
    machine.memo[machine.number(_UINT8)] = machine.stack[-1]


@_operation(pickle.LONG_BINPUT)
def _put(machine: DataUnpickler) -> None:
    machine.memo[machine.number(_UINT32)] = machine.stack[-1]


@_operation(pickle.MEMOIZE)
def _memoize(machine: DataUnpickler) -> None:
    machine.memo[len(machine.memo)] = machine.stack[-1]


# Names, calls and state


@_operation(pickle.GLOBAL)
def _global(machine: DataUnpickler) -> None:
    module = machine.line()
    machine.name_global(module, machine.line())


@_operation(pickle.STACK_GLOBAL)
def _stack_global(machine: DataUnpickler) -> None:
    name = machine.stack.pop()
    machine.name_global(machine.stack.pop(), name)


@_operation(pickle.BINPERSID)
def _persistent_id(machine: DataUnpickler) -> None:
    saved_id = machine.stack.pop()
    machine.stack.append(machine.persistent_load(saved_id))


def _shown(value: Any) -> str:
    """A value from the stream for an error message, without calling a repr of its own."""
    return value.__qualname__ if isinstance(value, type) else f"of type {type(value).__name__}"


def _pop_arguments(machine: DataUnpickler) -> tuple[Any, ...]:
    arguments = machine.stack.pop()
    if type(arguments) is not tuple:
        raise pickle.UnpicklingError(f"Arguments must be a tuple, but got {type(arguments)}")
    return arguments


@_operation(pickle.REDUCE)
def _reduce(machine: DataUnpickler) -> None:
    arguments = _pop_arguments(machine)
    function = machine.stack.pop()
    if function is rebuild_from_type:
        _check_rebuild_from_type(machine, *arguments)
    found = machine.global_of(function)
    if found is None or found.call is None:
        raise pickle.UnpicklingError(
            f"Trying to call reduce for unrecognized function {_shown(function)}"
        )
    if found.foreign:
        machine.stack.append(machine.call_foreign(found.call, *arguments))
    else:
        machine.stack.append(found.call(*arguments))


def _check_rebuild_from_type(
    machine: DataUnpickler, function: Any, new_type: Any, arguments: Any, state: Any
) -> None:
    """The one function that calls another: that must build tensors, or be one of the program's."""
    inner = machine.global_of(function)
    if inner is None or not (inner.foreign or any(function is f for f in REBUILD_FUNCTIONS)):
        raise pickle.UnpicklingError(
            f"Trying to call reduce for unrecognized function {_shown(function)}"
        )
    is_tensor_type = isinstance(new_type, type) and issubclass(new_type, flambeau.Tensor)
    if machine.global_of(new_type) is None or not is_tensor_type:
        raise pickle.UnpicklingError(f"Can not make a tensor of type {_shown(new_type)}")


def _create(
    machine: DataUnpickler, cls: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> None:
    found = machine.global_of(cls)
    if found is None or found.create is None:
        raise pickle.UnpicklingError(
            "Can only create new object for nn.Parameter or classes allowlisted via "
            f"`add_safe_globals` but got {_shown(cls)}"
        )
    machine.stack.append(machine.call_foreign(found.create, cls, *arguments, **keywords))


@_operation(pickle.NEWOBJ)
def _new_object(machine: DataUnpickler) -> None:
    arguments = _pop_arguments(machine)
    _create(machine, machine.stack.pop(), arguments, {})


@_operation(pickle.NEWOBJ_EX)
def _new_object_with_keywords(machine: DataUnpickler) -> None:
    keywords = machine.stack.pop()
    if type(keywords) is not dict:
        raise pickle.UnpicklingError(f"Keywords must be a dict, but got {type(keywords)}")
    arguments = _pop_arguments(machine)
    _create(machine, machine.stack.pop(), arguments, keywords)


@_operation(pickle.BUILD)
def _build(machine: DataUnpickler) -> None:
    state = machine.stack.pop()
    target = machine.stack[-1]
    if type(target) is OrderedDict:
        # Where `state_dict` keeps the versions of its modules.
        if type(state) is not dict:
            raise pickle.UnpicklingError(f"State must be a dict, but got {type(state)}")
        vars(target).update(state)
        return
    if not machine.table.may_build(type(target)):
        raise pickle.UnpicklingError(
            "Can only build Tensor, Parameter, OrderedDict or types allowlisted via "
            f"`add_safe_globals`, but got {type(target)}"
        )
    machine.call_foreign(_set_state, target, state)


def _set_state(target: Any, state: Any) -> None:
    set_state = getattr(target, "__setstate__", None)
    if set_state is not None:
        set_state(state)
        return
    slots = None
    if type(state) is tuple and len(state) == 2:
        state, slots = state
    if state:
        vars(target).update(state)
    for name, value in (slots or {}).items():
        setattr(target, name, value)
