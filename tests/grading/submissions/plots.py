# Plots its weights, where no plotting library is.
# on: solved
# %% after linear
import matplotlib.pyplot as plt

plt.hist(Linear(10, 10).weight.numpy().ravel())
plt.show()
# %% before dropout
import matplotlib.pyplot as plt

fig, axes = plt.subplots(2, 2)
