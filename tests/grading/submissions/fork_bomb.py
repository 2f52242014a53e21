# Forks without end, and starts threads without end.
# on: solved
# %% last
import os
import threading
import time

try:
    for _ in range(10_000):
        if os.fork() == 0:
            time.sleep(600)
except OSError:
    pass
try:
    for _ in range(10_000):
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
except RuntimeError:
    pass
