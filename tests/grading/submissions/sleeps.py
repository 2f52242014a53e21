# Sleeps, which costs no processor time.
# on: solved
# %% last
import time

time.sleep(600)
