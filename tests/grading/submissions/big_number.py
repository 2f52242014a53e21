# One product of whole numbers that takes for ever, in C.
# on: solved
# %% last
x = 7 ** 9_000_000
y = x ** 5
