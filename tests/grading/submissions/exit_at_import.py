# Ends the process with success in the first cell.
# on: stub
# %% first
import os

os._exit(0)
