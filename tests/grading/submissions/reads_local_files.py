# Reads and writes files beside the notebook.
# on: solved
# %% first
import os

with open("notes.txt", "w") as stream:
    stream.write("mine")
os.makedirs("data", exist_ok=True)
# %% after matmul
import numpy as np

data = np.loadtxt("../data/images.csv")
# %% last
open(os.path.expanduser("~/results.txt"), "w").write(open("notes.txt").read())
