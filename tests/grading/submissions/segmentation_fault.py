# Crashes the process in a test.
# on: solved
# %% count-network
def count_network():
    import ctypes
    ctypes.string_at(0)
