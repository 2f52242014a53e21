"""The rows in NumPy written by hand, with no framework around it: the floor of what a NumPy framework can cost.

Everything large lies in buffers that are made once and used in every run, and is changed in place.
"""

from __future__ import annotations

import numpy as np

from backends.cases import LEARNING_RATE, Array, Arrays, Run

_IMAGES = 8  # whose patches are gathered and multiplied together, while they are in the cache


def matmul(given: Arrays) -> Run:
    """a b."""
    return lambda: [given["a"] @ given["b"]]


class Dense:
    """y = h w + b for one batch size, with its gradients and its step."""

    def __init__(self, rows: int, w: Array, b: Array, first: bool = False) -> None:
        self.w, self.b = w.copy(), b.copy()
        self.y, self.zeros = np.empty((rows, w.shape[1]), w.dtype), np.zeros_like(b)
        self.dw, self.db = np.empty_like(w), np.empty_like(b)
        self.dh = None if first else np.empty((rows, w.shape[0]), w.dtype)

    def forward(self, h: Array, relu: bool) -> Array:
        """h w + b, or what of it is positive."""
        self.h, self.relu = h, relu
        np.matmul(h, self.w, out=self.y)
        self.y += self.b
        return np.maximum(self.y, self.zeros, out=self.y) if relu else self.y  # a number in place of zeros is slower

    def backward(self, g: Array) -> Array | None:
        """The gradient of h; g is changed."""
        if self.relu:
            g *= self.y > 0
        np.matmul(self.h.T, g, out=self.dw)
        g.sum(axis=0, out=self.db)
        return None if self.dh is None else np.matmul(g, self.w.T, out=self.dh)

    def step(self) -> None:
        """Gradient descent."""
        for parameter, gradient in ((self.w, self.dw), (self.b, self.db)):
            gradient *= LEARNING_RATE
            parameter -= gradient


class Loss:
    """Cross-entropy, with its gradient."""

    def __init__(self, t: Array) -> None:
        self.t, self.rows = t, np.arange(len(t))

    def forward(self, logits: Array) -> tuple[Array, Array]:
        """The loss, and the gradient of the logits, in their memory."""
        logits -= logits.max(axis=1, keepdims=True)
        picked = logits[self.rows, self.t]
        np.exp(logits, out=logits)
        sums = logits.sum(axis=1, keepdims=True)
        loss = (np.log(sums[:, 0]) - picked).mean()
        logits /= sums
        logits[self.rows, self.t] -= 1
        logits /= len(logits)
        return loss, logits


def _dense(given: Arrays, first: bool) -> list[Dense]:
    return [Dense(len(given["x"]), given[f"w{i}"], given[f"b{i}"], first and i == 0) for i in range(3)]


def mlp(given: Arrays) -> Run:
    """A step of SGD."""
    layers, loss = _dense(given, first=True), Loss(given["t"])

    def run() -> list[Array]:
        h = given["x"]
        for layer in layers:
            h = layer.forward(h, relu=layer is not layers[2])
        value, g = loss.forward(h)
        for layer in layers[::-1]:
            g = layer.backward(g)
        for layer in layers:
            layer.step()
        return [value, *(array for layer in layers for array in (layer.w, layer.b))]

    return run


class Conv:
    """A convolution for one shape of input, with its gradients and its step."""

    def __init__(self, x: tuple[int, ...], w: Array, b: Array, padding: int, first: bool = False) -> None:
        (n, c, height, width), (o, _, kh, kw) = x, w.shape
        self.w, self.b, self.p = w.copy(), b.copy(), padding
        self.padded = np.zeros((n, c, height + 2 * padding, width + 2 * padding), w.dtype)
        rows, columns = height + 2 * padding - kh + 1, width + 2 * padding - kw + 1
        self.patches = np.empty((n, c, kh * kw, rows, columns), w.dtype)
        self.y = np.empty((n, o, rows, columns), w.dtype)
        self.dw, self.db = np.empty((o, c * kh * kw), w.dtype), np.empty_like(b)
        self.products = np.empty((n, *self.dw.shape), w.dtype)
        self.dx = None if first else np.empty_like(self.padded)
        self.dpatches = None if first else np.empty_like(self.patches[:_IMAGES])

    def _views(self, padded: Array) -> list[Array]:
        (rows, columns), (kh, kw) = self.y.shape[2:], self.w.shape[2:]
        return [padded[:, :, i : i + rows, j : j + columns] for i in range(kh) for j in range(kw)]

    def _inside(self, padded: Array) -> Array:
        p = self.p
        return padded[:, :, p : padded.shape[2] - p, p : padded.shape[3] - p]

    def forward(self, x: Array) -> Array:
        """The convolution of x."""
        n, o, rows, columns = self.y.shape
        self._inside(self.padded)[...] = x
        kernels, y = self.w.reshape(o, -1), self.y.reshape(n, o, rows * columns)
        views = self._views(self.padded)
        for start in range(0, n, _IMAGES):
            block = slice(start, start + _IMAGES)
            patches = self.patches[block]
            for place, view in enumerate(views):
                patches[:, :, place] = view[block]
            np.matmul(kernels, patches.reshape(len(patches), -1, rows * columns), out=y[block])
        y += self.b[:, None]
        return self.y

    def backward(self, g: Array) -> Array | None:
        """The gradient of x."""
        n, o, rows, columns = self.y.shape
        g = g.reshape(n, o, rows * columns)
        np.matmul(g, self.patches.reshape(n, -1, rows * columns).swapaxes(1, 2), out=self.products)
        self.products.sum(axis=0, out=self.dw)
        (g @ np.ones(g.shape[2], g.dtype)).sum(axis=0, out=self.db)
        if self.dx is None:
            return None
        self.dx.fill(0)
        turned, views = self.w.reshape(o, -1).T, self._views(self.dx)
        for start in range(0, n, _IMAGES):
            block = slice(start, start + _IMAGES)
            patches = self.dpatches[: len(g[block])]
            np.matmul(turned, g[block], out=patches.reshape(len(patches), -1, rows * columns))
            for place, view in enumerate(views):
                view[block] += patches[:, :, place]
        return self._inside(self.dx)

    def step(self) -> None:
        """Gradient descent."""
        for parameter, gradient in ((self.w, self.dw.reshape(self.w.shape)), (self.b, self.db)):
            gradient *= LEARNING_RATE
            parameter -= gradient


def conv(given: Arrays) -> Run:
    """Forward and backward from g; no input gradient for three channels."""
    x = given["x"]
    layer = Conv(x.shape, given["w"], given["b"], padding=1, first=x.shape[1] == 3)

    def run() -> list[Array]:
        y = layer.forward(x)
        dx = layer.backward(given["g"])
        found = [y, layer.dw.reshape(layer.w.shape), layer.db]
        return found if dx is None else [*found, dx]

    return run


class Pool:
    """The largest number of each 2x2 window, with its gradient."""

    def __init__(self, x: tuple[int, ...], dtype: np.dtype) -> None:
        self.y = np.empty((*x[:2], x[2] // 2, x[3] // 2), dtype)
        self.dx = np.empty(x, dtype)
        self.hit, self.free = np.empty((2, *self.y.shape), bool)

    def _views(self, x: Array) -> list[Array]:
        return [x[:, :, i::2, j::2] for i in range(2) for j in range(2)]

    def forward(self, x: Array) -> Array:
        """The pooled x."""
        self.x = x
        first, second, third, fourth = self._views(x)
        np.maximum(first, fourth, out=self.y)
        np.maximum(self.y, second, out=self.y)
        return np.maximum(self.y, third, out=self.y)

    def backward(self, g: Array) -> Array:
        """The gradient of x: g at the first largest number."""
        self.free.fill(True)
        for view, part in zip(self._views(self.x), self._views(self.dx), strict=True):
            np.equal(view, self.y, out=self.hit)
            self.hit &= self.free
            self.free ^= self.hit
            np.multiply(g, self.hit, out=part)
        return self.dx


def pool(given: Arrays) -> Run:
    """Forward and backward from g."""
    layer = Pool(given["x"].shape, given["x"].dtype)
    return lambda: [layer.forward(given["x"]), layer.backward(given["g"])]


def lenet(given: Arrays) -> Run:
    """A step of SGD."""
    first = Conv(given["x"].shape, given["k0"], given["c0"], padding=2, first=True)
    halved = Pool(first.y.shape, first.y.dtype)
    second = Conv(halved.y.shape, given["k1"], given["c1"], padding=0)
    quartered = Pool(second.y.shape, second.y.dtype)
    dense, loss = _dense(given, first=False), Loss(given["t"])

    def run() -> list[Array]:
        h = given["x"]
        for conv_, pool_ in ((first, halved), (second, quartered)):
            h = conv_.forward(h)
            h = pool_.forward(np.maximum(h, np.zeros_like(h[0]), out=h))
        h = h.reshape(len(h), 400)
        for layer in dense:
            h = layer.forward(h, relu=layer is not dense[2])
        value, g = loss.forward(h)
        for layer in dense[::-1]:
            g = layer.backward(g)
        g = g.reshape(quartered.y.shape)
        for conv_, pool_ in ((second, quartered), (first, halved)):
            g = pool_.backward(g)
            g *= conv_.y > 0
            g = conv_.backward(g)
        layers = [first, second, *dense]
        for layer in layers:
            layer.step()
        return [value, *(array for layer in layers for array in (layer.w, layer.b))]

    return run


def add(given: Arrays) -> Run:
    """a + b, and g for each of the two."""
    a, b, g = given["a"], given["b"], given["g"]
    return lambda: [a + b, g.copy(), g.copy()]


def chain(given: Arrays) -> Run:
    """y * a + b five hundred times; only the factors come back in the gradient."""
    a, b = given["a"], given["b"]

    def run() -> list[Array]:
        y, g = given["x"], given["g"]
        for _ in range(500):
            y = y * a
            y += b
        for _ in range(500):
            g = g * a
        return [y, g]

    return run


def layer_norm(given: Arrays) -> Run:
    """Forward and backward from g."""
    x, w, b, g = (given[name] for name in "xwbg")
    size = x.dtype.type(x.shape[1])
    share = np.full((x.shape[1], 1), 1 / size, x.dtype)  # a product takes row means faster than np.mean
    y, x_hat, dx = np.empty_like(x), np.empty_like(x), np.empty_like(x)

    def run() -> list[Array]:
        np.subtract(x, x @ share, out=x_hat)
        inverse = (1 / np.sqrt(np.einsum("rf,rf->r", x_hat, x_hat) / size + np.float32(1e-5)))[:, None]
        np.multiply(x_hat, inverse, out=x_hat)
        np.multiply(x_hat, w, out=y)
        np.add(y, b, out=y)
        dw, db = np.einsum("rf,rf->f", g, x_hat), g.sum(axis=0)
        np.multiply(g, w, out=dx)
        mean_g, mean_gx = dx @ share, np.einsum("rf,rf->r", dx, x_hat)[:, None] / size
        np.subtract(dx, mean_g, out=dx)
        np.multiply(x_hat, mean_gx, out=x_hat)
        np.subtract(dx, x_hat, out=dx)
        np.multiply(dx, inverse, out=dx)
        return [y, dw, db, dx]

    return run
