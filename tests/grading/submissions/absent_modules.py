# Imports what is not installed at the top of a solution's cell, and does not use it there.
# on: solved
# %% count-network
import torch
from sklearn.linear_model import LinearRegression
import pandas as pd, scipy
from tinytorch.core.layers import *


def count_network():
    one, two, three = 784 * 256 + 256, 256 * 128 + 128, 128 * 10 + 10
    flops = 2 * 32 * (784 * 256 + 256 * 128 + 128 * 10) + 32 * (256 + 128 + 10)
    total = one + two + three
    return {"layer_1": one, "layer_2": two, "layer_3": three, "total": total, "total_bytes": 4 * total,
            "forward_flops": flops}
