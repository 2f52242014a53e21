# Awaits at the top level, as notebooks allow.
# on: solved
# %% count-network
async def product(a, b):
    return a * b + b


one = await product(784, 256)
two = await product(256, 128)


def count_network():
    three = 128 * 10 + 10
    flops = 2 * 32 * (784 * 256 + 256 * 128 + 128 * 10) + 32 * (256 + 128 + 10)
    total = one + two + three
    return {"layer_1": one, "layer_2": two, "layer_3": three, "total": total, "total_bytes": 4 * total,
            "forward_flops": flops}
