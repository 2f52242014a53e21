# A recursion limit so low that nothing more can be called.
# on: solved
# %% last
import sys

sys.setrecursionlimit(50)
