# Ends the process wherever modules are looked through, as a crash in C would.
# on: solved
# %% after module
def _walk(value, name, seen):
    import os
    os._exit(0)
