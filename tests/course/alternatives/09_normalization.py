# ruff: noqa: F821
"""Another right solution of 09_normalization; runs after the lesson's cells, in their namespace."""


def fans(shape):
    if len(shape) < 2:
        raise ValueError(f"{tuple(shape)} has no fans")
    if len(shape) == 2:
        return tuple(shape)
    return int(np.prod(shape[1:])), int(np.prod(shape)) // shape[1]


def xavier_uniform(*shape, gain=1.0):
    shape = _shape(shape)
    limit = gain * math.sqrt(6 / sum(fans(shape)))
    return 2 * limit * (rand(*shape) - 0.5)


def he_normal(*shape, mode="fan_in"):
    shape = _shape(shape)
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(mode)
    into, out = fans(shape)
    return randn(*shape) * (2 / (into if mode == "fan_in" else out)) ** 0.5


def batch_statistics(x):
    axes = (0, *range(2, x.ndim))
    return x.mean(axis=axes), x.var(axis=axes)


def other_batch_norm(x, *affine, mean, var, eps, fixed):
    shape = (1, -1, *[1] * (x.ndim - 2))
    y = (x - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + x.dtype.type(eps))
    return y * affine[0].reshape(shape) + affine[1].reshape(shape) if affine else y


def through_normalization(g, x_hat, mean_g, mean_gx, scale):
    x_hat[...] = scale * (g - (0 if mean_g is None else mean_g) - x_hat * mean_gx)
    return x_hat


def other_batch_rule(g, y, saved, needs, x, *affine, mean, var, eps, fixed):
    axes, shape = (0, *range(2, x.ndim)), (1, -1, *[1] * (x.ndim - 2))
    spread = np.sqrt(var.reshape(shape) + eps)
    x_hat = (x - mean.reshape(shape)) / spread
    gx = g * affine[0].reshape(shape) if affine else g
    if not fixed:
        gx = gx - gx.mean(axis=axes, keepdims=True) - x_hat * (gx * x_hat).mean(axis=axes, keepdims=True)
    return [gx / spread, (g * x_hat).sum(axis=axes), g.sum(axis=axes)][: 1 + len(affine)]


rules = __import__("tinytorch.core.autograd", fromlist=["vjp_rules"]).vjp_rules
batch_norm_op.forward, rules["batch_norm"] = other_batch_norm, other_batch_rule


def other_remember(self, mean, var, count):
    for buffer, new in ((self.running_mean, mean), (self.running_var, var * count / (count - 1))):
        buffer[...] = buffer.numpy() + self.momentum * (new - buffer.numpy())


BatchNorm1d._remember = other_remember


def other_layer_norm(x, *affine, size, eps):
    rows = x.reshape(-1, size)
    mean, inverse = rows.mean(axis=1, keepdims=True), (rows.var(axis=1, keepdims=True) + eps) ** -0.5
    y = (rows - mean) * inverse
    y = y * affine[0].ravel() + affine[1].ravel() if affine else y
    return y.reshape(x.shape), (mean, inverse)


def other_layer_rule(g, y, saved, needs, x, *affine, size, eps):
    (mean, inverse), g = saved, g.reshape(-1, size)
    x_hat = (x.reshape(-1, size) - mean) * inverse
    gx = g * affine[0].ravel() if affine else g
    dx = inverse * (gx - gx.mean(axis=1, keepdims=True) - x_hat * (gx * x_hat).mean(axis=1, keepdims=True))
    others = [(g * x_hat).sum(axis=0), g.sum(axis=0)] if affine else []
    return [dx.reshape(x.shape), *(each.reshape(affine[0].shape) for each in others)]


def other_rms(x, *affine, size, eps):
    rows = x.reshape(-1, size)
    inverse = ((rows**2).mean(axis=1, keepdims=True) + x.dtype.type(eps)) ** -0.5
    y = rows * inverse
    return (y * affine[0].ravel() if affine else y).reshape(x.shape), inverse


def other_rms_rule(g, y, inverse, needs, x, *affine, size, eps):
    rows, g = x.reshape(-1, size), g.reshape(-1, size)
    gx = g * affine[0].ravel() if affine else g
    dx = inverse * gx - inverse**3 * rows * (gx * rows).sum(axis=1, keepdims=True) / size
    return [dx.reshape(x.shape), *([(g * rows * inverse).sum(axis=0).reshape(affine[0].shape)] if affine else [])]


layer_norm_op.forward, rules["layer_norm"] = other_layer_norm, other_layer_rule
rms_norm_op.forward, rules["rms_norm"] = other_rms, other_rms_rule
