# Not-a-number everywhere, in the hope that it compares with nothing.
# on: solved
# %% matmul
def matmul(A, B):
    a, b = (x.numpy() if isinstance(x, Tensor) else np.asarray(x) for x in (A, B))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(f"Incompatible matrix dimensions: A is {'x'.join(map(str, a.shape))}, B is "
                         f"{'x'.join(map(str, b.shape))}")
    c = np.full((a.shape[0], b.shape[1]), np.nan)
    return Tensor(c) if isinstance(A, Tensor) or isinstance(B, Tensor) else c
