"""The parts every other folder stands on: dtypes, shapes, devices, error texts, switches.

Standard library only; imports nothing of Flambeau outside this folder. Import what is needed from
its module, e.g. ``from flambeau.core.shape import broadcast_shapes``.
"""
