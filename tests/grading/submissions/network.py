# Talks to the network.
# on: solved
# %% last
import socket

reached = 0
for family, kind in ((socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM)):
    try:
        socket.socket(family, kind).connect(("1.1.1.1", 53))
        reached += 1
    except OSError:
        pass
assert not reached, "the network was reached"
