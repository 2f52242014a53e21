# Leaves children, grandchildren and sessions behind.
# on: solved
# %% last
import os
import subprocess
import sys
import time

try:
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(300)
            os._exit(0)
except OSError:
    pass
try:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
except OSError:
    pass
