# Takes all the memory that there is, when asked.
# on: solved
# %% count-network
def count_network():
    return {"layer_1": bytearray(1 << 40)}
