# ruff: noqa: F821
"""Another right solution of 10_spatial; runs after the lesson's cells, in their namespace."""


def conv2d_naive(input, kernel):
    x, k = (np.asarray(each.numpy() if isinstance(each, Tensor) else each) for each in (input, kernel))
    if x.ndim != 2 or k.ndim != 2:
        raise ValueError("two axes each")
    output_size(x.shape, k.shape)
    windows = np.lib.stride_tricks.sliding_window_view(x, k.shape)
    y = np.tensordot(windows, k, axes=2).astype(x.dtype if x.dtype.kind == "f" else np.result_type(x, k))
    return Tensor(y, dtype=y.dtype) if Tensor in (type(input), type(kernel)) else y


def other_simple(self, x):
    x = as_tensor(x)
    if x.ndim not in (2, 3):
        raise ValueError(f"got {x.shape}")
    rows, columns = output_size(x.shape[-2:], self.kernel_size)
    kh, kw = self.kernel_size
    parts = [x[..., i : i + rows, j : j + columns] * self.kernel[i, j] for j in range(kw) for i in range(kh)]
    total = parts.pop()
    while parts:
        total = parts.pop() + total
    return total


SimpleConv2D.forward = other_simple


def conv2d_by_loops(x, weight, bias):
    kh, kw = weight.shape[2:]
    windows = np.lib.stride_tricks.sliding_window_view(x, (kh, kw), axis=(2, 3))
    return np.einsum("ncyxij,ocij->noyx", windows, weight).astype(x.dtype) + bias[:, None, None]


def kernel_views(x, kernel, stride=(1, 1)):
    output_size(x.shape[-2:], kernel, stride)
    windows = np.lib.stride_tricks.sliding_window_view(x, tuple(kernel), axis=(-2, -1), writeable=True)
    windows = windows[..., :: stride[0], :: stride[1], :, :]
    return [windows[..., i, j] for i in range(kernel[0]) for j in range(kernel[1])]


def gather(x, patches, kernel, stride):
    patches[...] = np.stack(kernel_views(x, kernel, stride), axis=2)


def other_convolution(x, weight, *bias, stride=(1, 1), padding=(0, 0)):
    (kh, kw), (top, left) = weight.shape[2:], padding
    padded = np.pad(x, ((0, 0), (0, 0), (top, top), (left, left)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kh, kw), axis=(2, 3))[:, :, :: stride[0], :: stride[1]]
    y = np.einsum("ncyxij,ocij->noyx", windows, weight, optimize=True).astype(x.dtype)
    return (y + bias[0][:, None, None] if bias else y), None


def other_rule(g, y, saved, needs, x, weight, *bias, stride, padding):
    (kh, kw), (top, left) = weight.shape[2:], padding
    padded = np.pad(x, ((0, 0), (0, 0), (top, top), (left, left)))
    dx, dw = np.zeros_like(padded), np.zeros_like(weight)
    for i in range(kh):
        for j in range(kw):
            rows = slice(i, i + stride[0] * (y.shape[2] - 1) + 1, stride[0])
            columns = slice(j, j + stride[1] * (y.shape[3] - 1) + 1, stride[1])
            dx[:, :, rows, columns] += np.einsum("noyx,oc->ncyx", g, weight[:, :, i, j])
            dw[:, :, i, j] = np.einsum("noyx,ncyx->oc", g, padded[:, :, rows, columns])
    inner = dx[:, :, top : top + x.shape[2], left : left + x.shape[3]]
    found = [inner, dw, g.sum(axis=(0, 2, 3))][: len(needs)]
    return [each if need else None for each, need in zip(found, needs, strict=True)]


rules = __import__("tinytorch.core.autograd", fromlist=["vjp_rules"]).vjp_rules
conv2d_op.forward, rules["conv2d"] = other_convolution, other_rule


def _windows(x, kernel, stride):
    windows = np.lib.stride_tricks.sliding_window_view(x, tuple(kernel), axis=(-2, -1))
    return windows[..., :: stride[0], :: stride[1], :, :]


def other_max(x, kernel, stride, padding):
    return _windows(_pad_lowest(x, padding), kernel, stride).max(axis=(-2, -1))


def other_max_rule(g, y, x, kernel, stride, padding):
    padded = _pad_lowest(x, padding)
    windows = _windows(padded, kernel, stride)
    first = windows.reshape(*windows.shape[:-2], -1).argmax(axis=-1)
    total = np.zeros(padded.shape, g.dtype)
    for index in np.ndindex(g.shape):
        i, j = divmod(int(first[index]), kernel[1])
        total[(*index[:-2], index[-2] * stride[0] + i, index[-1] * stride[1] + j)] += g[index]
    return total[..., padding[0] : padding[0] + x.shape[-2], padding[1] : padding[1] + x.shape[-1]]


def other_avg(x, kernel, stride, padding):
    wide = x if x.dtype.kind == "f" else x.astype(np.int64)
    y = _windows(pad(wide, padding), kernel, stride).mean(axis=(-2, -1), dtype=None if x.dtype.kind == "f" else float)
    return y if x.dtype.kind == "f" else np.trunc(y).astype(x.dtype)


def other_avg_rule(g, y, x, kernel, stride, padding):
    total = np.zeros((*x.shape[:-2], *(n + 2 * p for n, p in zip(x.shape[-2:], padding, strict=True))), g.dtype)
    for row in range(g.shape[-2]):
        for column in range(g.shape[-1]):
            top, left = row * stride[0], column * stride[1]
            part = total[..., top : top + kernel[0], left : left + kernel[1]]
            part += g[..., row, column][..., None, None] / math.prod(kernel)
    return total[..., padding[0] : padding[0] + x.shape[-2], padding[1] : padding[1] + x.shape[-1]]


max_pool2d_op.forward, rules["max_pool2d"] = other_max, (other_max_rule,)
avg_pool2d_op.forward, rules["avg_pool2d"] = other_avg, (other_avg_rule,)


def cifar_network():
    net = Sequential()
    for into, out in ((3, 32), (32, 64)):
        net.add(Conv2d(into, out, (3, 3))).add(ReLU()).add(MaxPool2d(kernel_size=2, stride=2))
    return net.add(Flatten(1)).add(Linear(64 * 6 * 6, 10))
