# Right numbers in the other order of bytes, as a file in network order gives them.
# on: solved
# %% matmul
def matmul(A, B):
    a, b = (x.numpy() if isinstance(x, Tensor) else np.asarray(x) for x in (A, B))
    if a.ndim != 2 or b.ndim != 2:
        raise ValueError("matmul multiplies matrices")
    (rows, inner), (inner_b, columns) = a.shape, b.shape
    if inner != inner_b:
        raise ValueError(f"Incompatible matrix dimensions: A is {rows}x{inner}, B is {inner_b}x{columns}")
    c = (a @ b).astype(np.result_type(a, b).newbyteorder(">"))
    return Tensor(c, dtype=c.dtype) if isinstance(A, Tensor) or isinstance(B, Tensor) else c
