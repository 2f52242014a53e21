# Nothing is left of the modules that were imported.
# on: solved
# %% last
import sys

sys.modules.clear()
sys.path.clear()
