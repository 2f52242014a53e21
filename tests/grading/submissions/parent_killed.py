# Kills its parent, its group and everybody else.
# on: solved
# %% last
import os
import signal

for target in (os.getppid(), 0, -1, 1):
    for number in (signal.SIGTERM, signal.SIGSTOP):
        try:
            if target > 1:
                os.kill(target, number)
        except OSError:
            pass
