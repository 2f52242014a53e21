# sys.exit at the end of a right solution.
# on: solved
# %% after linear
import sys

sys.exit(0)
