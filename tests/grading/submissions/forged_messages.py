# Writes that each test has passed into every open file, before each test is run.
# on: wrong
# %% first
import os

for fd in range(3, 64):
    for index in range(40):
        try:
            os.write(fd, b'{"cell": %d, "outcome": "passed"}\n' % index)
        except OSError:
            break
