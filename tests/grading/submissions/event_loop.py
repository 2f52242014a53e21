# Right, by way of an event loop.
# on: solved
# %% count-network
import asyncio


async def layer(a, b):
    await asyncio.sleep(0)
    return a * b + b


async def layers():
    return await asyncio.gather(layer(784, 256), layer(256, 128), layer(128, 10))


def count_network():
    one, two, three = asyncio.run(layers())
    flops = 2 * 32 * (784 * 256 + 256 * 128 + 128 * 10) + 32 * (256 + 128 + 10)
    total = one + two + three
    return {"layer_1": one, "layer_2": two, "layer_3": three, "total": total, "total_bytes": 4 * total,
            "forward_flops": flops}
