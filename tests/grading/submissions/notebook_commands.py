# Commands of the notebook in the cells of solutions.
# on: solved
# %% count-network
%matplotlib inline
!pip install numpy
files = !ls
print(len(files))
%time numbers = [784 * 256 + 256, 256 * 128 + 128, 128 * 10 + 10]
print?


def count_network():
    one, two, three = numbers
    flops = 2 * 32 * (784 * 256 + 256 * 128 + 128 * 10) + 32 * (256 + 128 + 10)
    total = one + two + three
    return {"layer_1": one, "layer_2": two, "layer_3": three, "total": total, "total_bytes": 4 * total,
            "forward_flops": flops}
# %% last
%%bash
ls | wc -l
# %% first
%load_ext autoreload
%autoreload 2
import numpy as np
?np.sum
