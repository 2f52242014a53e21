# Recurses without end, in Python and in C.
# on: solved
# %% count-network
def count_network():
    return count_network()
# %% last
nested = []
for _ in range(1_000_000):
    nested = [nested]
repr(nested)
