"""The framework that the lessons build, under the names that PyTorch uses.

Names are looked up on first use, so this imports nothing that is not built yet: `tinytorch.Tensor` needs 01_tensor,
`tinytorch.nn.Linear` needs 03_layers, and each says so as long as it is missing.
"""

from tinytorch._workspace import become, learners_package

_other = learners_package(__file__)
if _other is not None:
    become(_other)
else:
    from tinytorch._doors import files_in, open_door, places

    _TABLE = places(
        {
            "core.tensor": "Tensor Parameter tensor=Tensor as_tensor zeros ones full arange randn rand manual_seed "
            "cat stack where is_grad_enabled",
            "core.activations": "relu sigmoid tanh softmax",
            "core.layers": "flatten",  # its matmul is a lesson in loops: products are a @ b
            "core.losses": "log_softmax logsumexp",
            "core.autograd": "no_grad grad gradcheck",
            "core.training": "Trainer History save_checkpoint load_checkpoint",
        }
    ) | files_in("")
    __getattr__, __dir__ = open_door(__name__, _TABLE, ("core", "data", "functional", "nn", "optim", "perf"))
