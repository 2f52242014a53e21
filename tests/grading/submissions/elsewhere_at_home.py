# Starts a cell with what works on Colab and at home: a drive, a plot's style, a download, a package, a question.
# on: solved
# %% count-network
from google.colab import drive
drive.mount("/content/drive")
import subprocess, urllib.request; import seaborn as sns; sns.set()
subprocess.check_call(["nvidia-smi-of-colab"])
urllib.request.urlretrieve("https://colab.invalid/data.npz", "data.npz")
settings = open("/content/settings.json").read()
name = input("Your name? ")
import getpass
print(f"run by {getpass.getuser()}")
import torch
device = "cuda" if torch.cuda.is_available() else "cpu"
print(device, name)


class Other(torch.nn.Module):
    pass


other = Other()


def count_network():
    one, two, three = 784 * 256 + 256, 256 * 128 + 128, 128 * 10 + 10
    flops = 2 * 32 * (784 * 256 + 256 * 128 + 128 * 10) + 32 * (256 + 128 + 10)
    total = one + two + three
    return {"layer_1": one, "layer_2": two, "layer_3": three, "total": total, "total_bytes": 4 * total,
            "forward_flops": flops}
# %% before dropout
import matplotlib.pyplot as plt
# %% dropout
plt.figure(figsize=(4, 2))


#| export
class Dropout(Module):
    """In training, set each number to zero with probability p and multiply the others by 1 / (1 - p)."""

    def __init__(self, p: float = 0.5) -> None:
        """Remember p, which must lie in [0, 1]."""
        if not 0 <= p <= 1:
            raise ValueError(f"p is the probability of dropping a number, from 0 to 1; got {p}")
        self.p = p

    def forward(self, x: Any, training: bool | None = None) -> Tensor:
        """x of any shape -> the same shape. training=None follows train() and eval().

        TODO: return x as it is when nothing is to be dropped; otherwise multiply x by a mask.
        Approach:
          1. `training` is None: take `self.training`.
          2. Not training, or p is 0: return x.
          3. Draw one number in [0, 1) for each of x's with `rand`, keep x where it is at least p.
          4. Multiply x by the mask times the scale. With p = 1 the scale would divide by zero: the result is zeros.
        Example: p = 0.5 makes each 1 a 0 or a 2.
        Hint: a comparison of Tensors is a Tensor of booleans; `astype(x.dtype)` makes it 0 and 1.
        """
        x = as_tensor(x)
        if training is None:
            training = self.training
        if not training or self.p == 0:
            return x
        scale = 1 / (1 - self.p) if self.p < 1 else 0.0
        kept = rand(*x.shape) >= self.p
        return x * (kept.astype(x.dtype) * scale)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"
