# Cells of the student's own that fail in every way.
# on: solved
# %% first
1 / 0
# %% after matmul
assert matmul([[1]], [[1]]) is None, "just trying"
# %% after linear
def broken(:
# %% last
raise KeyboardInterrupt
