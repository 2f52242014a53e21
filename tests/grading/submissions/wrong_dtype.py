# Right numbers in float64, whatever came in.
# on: solved
# %% matmul
def matmul(A, B):
    a, b = (x.numpy() if isinstance(x, Tensor) else np.asarray(x) for x in (A, B))
    if not (a.ndim == b.ndim == 2):
        raise ValueError("two axes each, please")
    if a.shape[1] != b.shape[0]:
        sizes = ["x".join(map(str, each.shape)) for each in (a, b)]
        raise ValueError(f"Incompatible matrix dimensions: A is {sizes[0]}, B is {sizes[1]}")
    c = (a @ b).astype(np.float64)
    return Tensor(c, dtype=c.dtype) if isinstance(A, Tensor) or isinstance(B, Tensor) else c
