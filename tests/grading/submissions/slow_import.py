# Waits a little in a cell, as a download would.
# on: solved
# %% first
import time

time.sleep(0.3)
