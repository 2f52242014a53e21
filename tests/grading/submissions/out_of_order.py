# Uses a function in a cell above its definition.
# on: solved
# %% before matmul
print(matmul([[1, 2]], [[3], [4]]))
