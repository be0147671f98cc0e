"""Python imports this at its start when `flambeau run` has put this folder on PYTHONPATH.

It makes `torch` mean Flambeau, leaves no trace of the folder in `sys.path`, and then runs the
`sitecustomize` that it stands before, if the machine has one. Children inherit PYTHONPATH, so
workers of `multiprocessing` and of `subprocess` start here too.
"""

import importlib.machinery
import importlib.util
import os
import sys


def _load(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _install_alias(package_folder):
    # Only this file of the package: importing all of it would slow down every child process.
    _load("flambeau.alias", os.path.join(package_folder, "alias.py")).install()


def _run_next_sitecustomize():
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.origin is not None:
        _load("sitecustomize", spec.origin)


_folder = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != _folder]
_install_alias(os.path.dirname(_folder))
_run_next_sitecustomize()
