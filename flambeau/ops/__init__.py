"""The ops: one module per family, one decorated function per op (see ops.registry
and ops.kinds).
"""
