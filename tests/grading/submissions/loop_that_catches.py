# Never ends, and catches whatever should end it.
# on: solved
# %% count-network
def count_network():
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
