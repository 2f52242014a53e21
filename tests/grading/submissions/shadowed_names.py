# Variables that hide built-in functions and modules at the top level.
# on: solved
# %% last
list = [1, 2, 3]
sum = 0
str = "text"
time = 3
