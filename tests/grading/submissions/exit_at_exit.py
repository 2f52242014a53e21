# Ends in atexit, in __del__ and in a finalizer.
# on: solved
# %% last
import atexit
import os
import weakref


class Last:
    def __del__(self):
        os._exit(0)


atexit.register(os._exit, 0)
keep = Last()
weakref.finalize(keep, os._exit, 0)
