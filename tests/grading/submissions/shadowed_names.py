# Variables that hide built-in functions, modules and solutions at the top level.
# on: solved
# %% last
list = [1, 2, 3]
sum = 0
str = "text"
time = 3
Linear = Linear(2, 3)
flatten = Flatten()
# %% before count-network
matmul = Flatten()
