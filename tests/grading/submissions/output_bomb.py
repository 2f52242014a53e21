# Prints without end.
# on: solved
# %% last
import os

line = b"x" * 65536
while True:
    os.write(1, line)
    os.write(2, line)
