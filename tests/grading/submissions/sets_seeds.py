# Seeds everything there is, at the top and in its functions.
# on: solved
# %% first
import random

import numpy as np
from tinytorch.core.tensor import manual_seed

random.seed(0)
np.random.seed(0)
manual_seed(0)
np.seterr(all="raise")
np.set_printoptions(precision=2)
