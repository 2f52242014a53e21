# Overwrites small numbers of the interpreter through ctypes.
# on: solved
# %% last
import ctypes

where = id(7) + 24
ctypes.c_uint32.from_address(where).value = 8
