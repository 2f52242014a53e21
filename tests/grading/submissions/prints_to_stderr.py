# Prints to stderr and stdout wherever it is called, and warns.
# on: solved
# %% count-network
import sys
import warnings


def count_network():
    print("counting ...", file=sys.stderr)
    warnings.warn("this is a lot", stacklevel=2)
    print("done")
    one, two, three = 784 * 256 + 256, 256 * 128 + 128, 128 * 10 + 10
    flops = 2 * 32 * (784 * 256 + 256 * 128 + 128 * 10) + 32 * (256 + 128 + 10)
    total = one + two + three
    return {"layer_1": one, "layer_2": two, "layer_3": three, "total": total, "total_bytes": 4 * total,
            "forward_flops": flops}
