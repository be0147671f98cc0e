"""Where torch keeps the class of compiled modules; libraries ask whether a module is one.

>>> isinstance(torch.compile(torch.nn.ReLU()), torch._dynamo.eval_frame.OptimizedModule)
True
"""

from __future__ import annotations

from flambeau.nn.optimized_module import OptimizedModule as OptimizedModule
