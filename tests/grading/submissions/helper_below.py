# A helper in a cell of its own, below the solution that needs it and above the test.
# on: solved
# %% matmul
def matmul(A, B):
    a, b = (x.numpy() if isinstance(x, Tensor) else np.asarray(x) for x in (A, B))
    c = checked_product(a, b)
    return Tensor(c, dtype=c.dtype) if isinstance(A, Tensor) or isinstance(B, Tensor) else c
# %% after matmul
def checked_product(a, b):
    if a.ndim != 2 or b.ndim != 2:
        raise ValueError("matmul multiplies matrices")
    if a.shape[1] != b.shape[0]:
        sizes = [f"{name} is {rows}x{columns}" for name, (rows, columns) in (("A", a.shape), ("B", b.shape))]
        raise ValueError(f"Incompatible matrix dimensions: {', '.join(sizes)}")
    return a @ b
