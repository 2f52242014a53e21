# Prints far more than anybody will read.
# on: solved
# %% before linear
import sys

for number in range(200_000):
    print(number, "x" * 40)
    print(number, file=sys.stderr)
