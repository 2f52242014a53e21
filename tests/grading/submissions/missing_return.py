# Computes everything and returns nothing.
# on: solved
# %% count-network
def count_network():
    one, two, three = 784 * 256 + 256, 256 * 128 + 128, 128 * 10 + 10
    counts = {"layer_1": one, "layer_2": two, "layer_3": three}
