# Ends with sys.exit when its own check says so, in the middle of a cell.
# on: solved
# %% after flatten
import sys

if flatten(Tensor(np.zeros((2, 3, 4)))).shape != (1, 1):
    sys.exit("something is wrong")
