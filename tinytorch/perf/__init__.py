"""The files that modules 15 to 19 export: perf.profiling, perf.acceleration, ... as far as they are built."""

from tinytorch._doors import files_in, open_door

_TABLE = files_in("perf")
__getattr__, __dir__ = open_door(__name__, _TABLE)
