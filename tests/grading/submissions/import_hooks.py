# A finder that serves its own numpy and tinytorch, and another __import__.
# on: wrong
# %% first
import builtins
import sys


class Finder:
    def find_spec(self, name, path=None, target=None):
        raise ImportError("mine")


sys.meta_path.insert(0, Finder())
import_ = builtins.__import__


def hook(name, *args, **kwargs):
    module = import_(name, *args, **kwargs)
    if name == "numpy":
        module.allclose = module.array_equal = lambda *a, **k: True
    return module


builtins.__import__ = hook
sys.path_hooks.clear()
sys.modules.pop("numpy.testing", None)
