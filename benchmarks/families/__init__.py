"""Families of rows: one module per family, each sweeping one kind of work over sizes.

A family is a file here with a function `cases(torch)`, which yields pairs (label, build): `build()`
makes the operands and returns the step, a call without arguments that does one unit of work and
returns its result. Labels say what and how large:

    def cases(torch):
        for n in (16, 1024):
            yield f"softmax {n}x{n}", lambda n=n: softmax_step(torch, n)

`python -m benchmarks sweep FAMILY` finds a new file by its name.
"""
