"""The files that modules 01 to 14 export: core.tensor, core.activations, ... as far as they are built."""

from tinytorch._doors import files_in, open_door
from tinytorch._memory import keep_freed_memory

keep_freed_memory()
_TABLE = files_in("core")
__getattr__, __dir__ = open_door(__name__, _TABLE)
