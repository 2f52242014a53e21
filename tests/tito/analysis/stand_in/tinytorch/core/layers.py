"""A stand-in for the layers of modules 02, 03, 09, 10, 12 and 13."""

import numpy as np

from tinytorch.core.tensor import Parameter, Tensor, wrap


class Module:
    def __init__(self):
        object.__setattr__(self, "_parameters", {})
        object.__setattr__(self, "_modules", {})

    def __setattr__(self, name, value):
        if isinstance(value, Parameter):
            self._parameters[name] = value
        elif isinstance(value, Module):
            self._modules[name] = value
        object.__setattr__(self, name, value)

    def __call__(self, *inputs):
        return self.forward(*inputs)

    def modules(self):
        yield self
        for child in self._modules.values():
            yield from child.modules()

    def parameters(self):
        found = {}
        for module in self.modules():
            found |= {id(parameter): parameter for parameter in module._parameters.values()}
        return list(found.values())


class Linear(Module):
    def __init__(self, in_features, out_features, bias=True):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(np.zeros((in_features, out_features)))
        self.bias = Parameter(np.zeros(out_features)) if bias else None

    def forward(self, x):
        y = x @ self.weight
        return y if self.bias is None else y + self.bias


class Dense(Linear):
    def __init__(self, input_size, output_size, use_bias=True):
        super().__init__(input_size, output_size, use_bias)
        self.input_size, self.output_size = input_size, output_size


class Activation(Module):
    def forward(self, x):
        return wrap(np.maximum(x.data, 0))


class ReLU(Activation):
    pass


class GELU(Activation):
    pass


class Softmax(Activation):
    pass


class Dropout(Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        return x


class Flatten(Module):
    def forward(self, x):
        return x.reshape(x.shape[0], -1)


class Sequential(Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = list(layers)
        for number, layer in enumerate(layers):
            self._modules[str(number)] = layer

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class Conv2D(Module):
    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, bias=True):
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        sides = kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size)
        self.weight = Parameter(np.zeros((out_channels, in_channels, *sides)))
        self.bias = Parameter(np.zeros(out_channels)) if bias else None

    def forward(self, x):
        n, _, h, w = x.shape
        kh, kw = self.weight.shape[2:]
        size = [(side + 2 * self.padding - k) // self.stride + 1 for side, k in ((h, kh), (w, kw))]
        return wrap(np.zeros((n, self.out_channels, *size), np.float32))


class MaxPool2D(Module):
    def __init__(self, pool_size=(2, 2), stride=None):
        super().__init__()
        self.pool_size, self.stride = pool_size, stride

    def forward(self, x):
        n, c, h, w = x.shape
        return wrap(np.zeros((n, c, h // self.pool_size[0], w // self.pool_size[1]), np.float32))


class BatchNorm2d(Module):
    def __init__(self, width):
        super().__init__()
        self.gamma, self.beta = Parameter(np.ones(width)), Parameter(np.zeros(width))
        self.running_mean, self.running_var = np.zeros(width), np.ones(width)

    def forward(self, x):
        return wrap(x.data.copy())


class LayerNorm(Module):
    def __init__(self, width):
        super().__init__()
        self.gamma, self.beta = Parameter(np.ones(width)), Parameter(np.zeros(width))

    def forward(self, x):
        return wrap(x.data.copy())


class Embedding(Module):
    def __init__(self, vocab_size, embed_dim):
        super().__init__()
        self.vocab_size, self.embed_dim = vocab_size, embed_dim
        self.weight = Parameter(np.zeros((vocab_size, embed_dim)))

    def forward(self, ids):
        return wrap(self.weight.data[ids.data])


class MultiHeadAttention(Module):
    def __init__(self, embed_dim, num_heads):
        super().__init__()
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.q_proj, self.k_proj = Linear(embed_dim, embed_dim), Linear(embed_dim, embed_dim)
        self.v_proj, self.out_proj = Linear(embed_dim, embed_dim), Linear(embed_dim, embed_dim)

    def forward(self, x):
        b, t, d = x.shape

        def heads(y):
            parts = y.data.reshape(b, t, self.num_heads, d // self.num_heads).transpose(0, 2, 1, 3)
            return Tensor(parts)

        q, k, v = heads(self.q_proj(x)), heads(self.k_proj(x)), heads(self.v_proj(x))
        mixed = (q @ k.T) @ v
        return self.out_proj(Tensor(mixed.data.transpose(0, 2, 1, 3).reshape(b, t, d)))
