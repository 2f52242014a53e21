# What was tested is deleted at the end, as some do to free memory.
# on: solved
# %% last
del matmul, Linear, Module, flatten, Tensor, np, math
