"""From LLVM IR text to callable machine code, with a cache of object code on disk.

Called by runtime.native (units of native functions) and by ops.registry (generated kernels):

    name = "my_kernel_1f0c"
    address = load(name, lambda: "define void @my_kernel_1f0c(...) {...}")[name]

A symbol's text is only generated when its object code is not in memory and not on disk. Object
files are keyed by the name, the sources of what generates the text (as this process imported them,
codegen.sources), the CPU and the versions of Flambeau and LLVM; they are written atomically into a
folder that only the user can write, carry a checksum; anything damaged or foreign is ignored and
compiled anew. LLVM (45 MB) is loaded on first use.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from flambeau.codegen import half
from flambeau.codegen.sources import version_of
from flambeau.core.config import config
from flambeau.version import __version__

HALVES = "half-conversions"
MAGIC = b"flambeau-object-1\n"
#: the levels of the x86-64 ABI, as far as kernels care
X86_LEVELS = {"x86-64": {"sse2"}}
X86_LEVELS["x86-64-v2"] = X86_LEVELS["x86-64"] | {"popcnt", "sse3", "ssse3", "sse4.1", "sse4.2"}
X86_LEVELS["x86-64-v3"] = X86_LEVELS["x86-64-v2"] | {
    "avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt"
}  # fmt: skip
_lock = threading.RLock()
if hasattr(os, "register_at_fork"):  # a child must not wait for a thread that it does not have
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )
_engine: Engine | None = None
_loaded: dict[str, Mapping[str, int]] = {}
compiled: list[str] = []  # names of units compiled (not found on disk) by this process, in order


class Engine:
    """The LLVM side: target machine, optimiser, linker. One for the process, made on first use."""

    def __init__(self) -> None:
        import llvmlite
        import llvmlite.binding as binding

        self.binding = binding
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        binding.initialize_native_asmparser()
        self.cpu, self.features = processor(binding)
        self.machine, self.draft_machine = self._machine(3), self._machine(0)
        self.linker = binding.create_lljit_compiler(self.machine)
        text = (
            f"{__version__} {llvmlite.__version__} {binding.llvm_version_info} {self.cpu} "
            f"{self.features} {sys.platform}"
        )
        self.identity = hashlib.sha256(text.encode()).hexdigest()
        self.trackers: list[Any] = []
        self.lacks_halves = "+sse2" in self.features and "+f16c" not in self.features

    def _machine(self, level: int) -> Any:
        """A target machine for this processor at an optimisation level."""
        return self.binding.Target.from_default_triple().create_target_machine(
            opt=level,
            cpu=self.cpu,
            features=self.features,
            reloc="pic" if sys.platform != "win32" else "default",
            codemodel="small",
        )

    def compile(self, name: str, text: str, optimise: bool = True) -> bytes:
        """IR text -> object code; `optimise=False` for code that only hands on to other code."""
        started = time.perf_counter()
        module = self.binding.parse_assembly(text)
        module.verify()
        machine = self.machine if optimise else self.draft_machine
        if optimise:
            self._optimise(module)
        if config.debug >= 5:
            print(machine.emit_assembly(module), file=sys.stderr)
        elif config.debug >= 4:
            print(module, file=sys.stderr)
        code = machine.emit_object(module)
        if config.debug >= 1:
            seconds = time.perf_counter() - started
            print(f"flambeau: compiled {name} in {seconds * 1e3:.1f} ms", file=sys.stderr)
        return bytes(code)

    def _optimise(self, module: Any) -> None:
        """The passes of LLVM's level 3, but for those that lengthen code without making these
        loops faster.
        """
        options = self.binding.create_pipeline_tuning_options(speed_level=3)
        options.loop_vectorization = True
        options.slp_vectorization = False
        options.loop_unrolling = False
        builder = self.binding.create_pass_builder(self.machine, options)
        builder.getModulePassManager().run(module, builder)

    def link(
        self, name: str, code: bytes, exports: Iterable[str], imports: Mapping[str, int]
    ) -> dict[str, int]:
        builder = self.binding.JITLibraryBuilder().add_object_img(code)
        for symbol in exports:
            builder.export_symbol(symbol)
        for symbol, address in imports.items():
            builder.import_symbol(symbol, address)
        tracker = builder.add_current_process().link(self.linker, name)
        self.trackers.append(tracker)
        return {symbol: tracker[symbol] for symbol in exports}


def processor(binding: Any) -> tuple[str, str]:
    """The processor to compile for and its features: this one, or what config asks for of it."""
    features = binding.get_host_cpu_features()
    if not config.cpu:
        return binding.get_host_cpu_name(), features.flatten()
    wanted = X86_LEVELS[config.cpu]
    return config.cpu, ",".join(f"+{name}" for name in sorted(wanted) if features.get(name))


def engine() -> Engine:
    global _engine
    with _lock:
        if _engine is None:
            _engine = Engine()
        return _engine


def cache_folder() -> Path | None:
    """Folder of the object cache, created with 0700;
    None when it is switched off or cannot be trusted.
    """
    if config.cache is None:
        return None
    folder = Path(config.cache)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError:
        return None  # a read-only home: compile every time, as the documentation says
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022):
        return None  # somebody else could plant code there
    return folder


def _read(path: Path, identity: bytes) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    head = len(MAGIC)
    if not content.startswith(MAGIC) or len(content) < head + 64:
        return None
    checksum, owner, code = (
        content[head : head + 32],
        content[head + 32 : head + 64],
        content[head + 64 :],
    )
    if owner != identity or hashlib.sha256(code).digest() != checksum:
        return None
    return code


def _write(path: Path, identity: bytes, code: bytes) -> None:
    content = MAGIC + hashlib.sha256(code).digest() + identity + code
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    except OSError:
        return  # the cache is an optimisation: a full or read-only disk must not stop the program
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if not isinstance(error, OSError):  # an interrupt
            raise


def load(
    name: str,
    text: Callable[[], str],
    exports: Iterable[str] | None = None,
    imports: Mapping[str, int] | None = None,
    optimise: bool = True,
) -> Mapping[str, int]:
    """Machine code of `name`: symbol -> address.

    `text()` gives its IR when it is compiled for the first time.
    """
    found = _loaded.get(name)
    if found is not None:
        return found
    with _lock:
        found = _loaded.get(name)
        if found is None:
            tool = engine()
            version = version_of(getattr(text, "__func__", text).__module__)
            identity = hashlib.sha256((tool.identity + version + name).encode()).digest()
            folder = cache_folder()
            path = folder / f"{identity.hex()[:40]}.o" if folder else None
            code = _read(path, identity) if path else None
            if code is None:
                code = tool.compile(name, text(), optimise)
                compiled.append(name)
                if path:
                    _write(path, identity, code)
            needed = dict(imports or {})
            if tool.lacks_halves and name != HALVES:
                needed.update(load(HALVES, half.text, half.SYMBOLS))
            found = _loaded[name] = tool.link(name, code, list(exports or [name]), needed)
        return found


@functools.cache
def _libraries() -> tuple[Any, ...]:
    """The C API of Python, and what is linked into this process."""
    return ctypes.pythonapi, ctypes.CDLL(None) if sys.platform != "win32" else ctypes.cdll.msvcrt


def c_function(symbol: str) -> int:
    """Address of a function of Python's C API or of the C library."""
    for library in _libraries():
        function = getattr(library, symbol, None)
        if function is not None:
            address = ctypes.cast(function, ctypes.c_void_p).value
            assert address is not None
            return address
    raise OSError(f"the C function {symbol} is not in this process")
