# Takes all the memory that there is.
# on: solved
# %% last
held = []
try:
    while True:
        held.append(np.ones(1 << 22))
except MemoryError:
    held.clear()
    raise
