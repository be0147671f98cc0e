"""Linear algebra: the ops behind `torch.linalg` and the older names of the same functions.

Each module holds one topic; LAPACK runs natively, matrix by matrix (runtime.lapack), gradients are
rules in tensor algebra. `flambeau.linalg` gives the ops their public names.
"""
