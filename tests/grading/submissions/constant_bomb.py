# A constant that the compiler would work out.
# on: solved
# %% last
x = 9**9**9
