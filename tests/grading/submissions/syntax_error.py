# A syntax error in one cell.
# on: solved
# %% flatten
def flatten(x, start_dim=1, end_dim=-1)
    return x.reshape(x.shape[0], -1)
