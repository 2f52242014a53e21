# display, get_ipython, help and the like in the middle of a solution's cell, before the function.
# on: solved
# %% count-network
get_ipython().run_line_magic("matplotlib", "inline")
display({"layers": 3}, raw=True)
get_ipython().system("ls")
help(count_network) if "count_network" in globals() else help(str)
license, exit, quit


def count_network():
    display("counting")
    one, two, three = 784 * 256 + 256, 256 * 128 + 128, 128 * 10 + 10
    flops = 2 * 32 * (784 * 256 + 256 * 128 + 128 * 10) + 32 * (256 + 128 + 10)
    total = one + two + three
    return {"layer_1": one, "layer_2": two, "layer_3": three, "total": total, "total_bytes": 4 * total,
            "forward_flops": flops}
