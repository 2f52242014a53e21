# Awaits at the top level, as notebooks allow, in one loop of events.
# on: solved
# %% before count-network
import asyncio


async def product(a, b):
    await asyncio.sleep(0.001)
    return a * b + b


later = asyncio.create_task(product(784, 256)) if await asyncio.sleep(0, "ready") else None
# %% count-network
one = await later
[two] = await asyncio.gather(asyncio.wait_for(product(256, 128), 5))


def count_network():
    three = 128 * 10 + 10
    flops = 2 * 32 * (784 * 256 + 256 * 128 + 128 * 10) + 32 * (256 + 128 + 10)
    total = one + two + three
    return {"layer_1": one, "layer_2": two, "layer_3": three, "total": total, "total_bytes": 4 * total,
            "forward_flops": flops}
