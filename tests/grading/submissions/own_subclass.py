# A Tensor of its own for nicer printing, before the layers are made.
# on: solved
# %% before module
def show(self):
    return f"T{self.shape}"


Tensor.__repr__ = show
Tensor.mine = property(lambda self: self.numpy())
np.float = float
