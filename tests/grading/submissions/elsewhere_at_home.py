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
    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"p lies between 0 and 1, and {p} does not")
        self.p = p

    def forward(self, x: Any, training: bool | None = None) -> Tensor:
        x = as_tensor(x)
        if not (self.training if training is None else training) or self.p == 0:
            return x
        kept = rand(*x.shape) >= self.p
        return x * (kept.astype(x.dtype) * (1 / (1 - self.p) if self.p < 1 else 0.0))
