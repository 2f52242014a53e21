# Loads the course's package anew after all the work, as after a change of it.
# on: solved
# %% last
import importlib

import tinytorch.core.tensor as tensor

importlib.reload(tensor)
