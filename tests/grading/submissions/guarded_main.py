# Guards its own trials by __name__, and one of them would never end.
# on: solved
# %% after matmul
if __name__ == "__main__":
    print(matmul([[1]], [[2]]))
    while True:
        pass
