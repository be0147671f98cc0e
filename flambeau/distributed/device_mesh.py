"""Arrangements of processes, which are not there: names to import and to annotate with."""

from __future__ import annotations

from flambeau.distributed import ProcessGroup
from flambeau.distributed import init_device_mesh as init_device_mesh


class DeviceMesh(ProcessGroup):
    """Processes arranged as a grid."""
