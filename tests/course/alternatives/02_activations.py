# ruff: noqa: F821
"""Another right solution of 02_activations; runs after the lesson's cells, in their namespace."""


def careful_sigmoid(x):
    x = _floating(x)
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def other_softmax(x, axis):
    x = _floating(x)
    top = np.maximum.reduce(x, axis=axis, keepdims=True)
    powers = np.exp((x - top).astype(np.float64))
    return (powers / np.add.reduce(powers, axis=axis, keepdims=True)).astype(x.dtype)


def other_gelu_tanh(x):
    x = _floating(x)
    return x * careful_sigmoid(2 * x.dtype.type((2 / np.pi) ** 0.5) * (x + x.dtype.type(0.044715) * x * x * x))


relu_op.forward = lambda x: np.where(x > 0, x, x.dtype.type(0))
leaky_relu_op.forward = lambda x, negative_slope: np.where(x > 0, _floating(x), _floating(x) * negative_slope)
sigmoid_op.forward = careful_sigmoid
tanh_op.forward = lambda x: 2 * careful_sigmoid(2 * _floating(x)) - 1
gelu_op.forward = lambda x: _floating(x) - _floating(x) * (1 - erf(_floating(x) / 2**0.5)) / 2
gelu_tanh_op.forward = other_gelu_tanh
softmax_op.forward = other_softmax
Softmax.forward = lambda self, x: softmax(x, dim=self.axis)
LeakyReLU.forward = lambda self, x: leaky_relu(x, negative_slope=self.negative_slope)
