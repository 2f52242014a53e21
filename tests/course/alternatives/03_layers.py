# ruff: noqa: F821
"""Another right solution of 03_layers; runs after the lesson's cells, in their namespace."""


def matmul(A, B):
    a, b = (np.asarray(each.numpy() if isinstance(each, Tensor) else each) for each in (A, B))
    if (a.ndim, b.ndim) != (2, 2):
        raise ValueError("matrices have two axes")
    if a.shape[1] != b.shape[0]:
        sizes = f"A is {a.shape[0]}x{a.shape[1]}, B is {b.shape[0]}x{b.shape[1]}"
        raise ValueError(f"Incompatible matrix dimensions: {sizes}")
    c = np.einsum("ik,kj->ij", a, b, dtype=np.result_type(a, b))
    return Tensor(c, dtype=c.dtype) if Tensor in (type(A), type(B)) else c


def _walk(value, name, seen):
    found, stack = [], [(name, value)]
    while stack:
        path, each = stack.pop()
        if id(each) in seen or not isinstance(each, (Module, Parameter, list, tuple, dict)):
            continue
        seen.add(id(each))
        if isinstance(each, (Module, Parameter)):
            found.append((path, each))
        stack.extend([(f"{path}.{key}".lstrip("."), inner) for key, inner in _held(each)][::-1])
    return iter(found)


def other_load(self, state):
    own = self._state()
    wrong = [f"{name} is on one side only" for name in own.keys() ^ state.keys()]
    for name in own.keys() & state.keys():
        array = np.array(state[name])
        if array.shape != own[name].shape:
            wrong.append(f"{name}: {array.shape} is not {own[name].shape}")
        elif not np.can_cast(array.dtype, own[name].dtype, "same_kind"):
            wrong.append(f"{name}: {array.dtype}")
    if wrong:
        raise ValueError("; ".join(wrong))
    for name, tensor in own.items():
        tensor.data[...] = state[name]


def other_train(self, mode=True):
    for _, module in self.named_modules():
        module.training = mode is not False
    return self


Module.load_state_dict, Module.train = other_load, other_train
Module.state_dict = lambda self: {name: np.array(each.numpy()) for name, each in self._state().items()}
Module.named_parameters = lambda self: list(filter(lambda pair: isinstance(pair[1], Parameter), _walk(self, "", set())))


def other_linear(self, x):
    x = as_tensor(x)
    if x.shape[-1:] != (self.in_features,):
        raise ValueError(self._misfit(x.shape))
    columns = (x.unsqueeze(-1) * self.weight).sum(axis=-2)
    return columns if self.bias is None else self.bias + columns


Linear.forward = other_linear
Linear._scale = lambda self: self.in_features**-0.5
Dense._scale = lambda self: (0.5 * (self.in_features + self.out_features)) ** -0.5


def other_dropout(self, x, training=None):
    x = as_tensor(x)
    if not (self.training if training is None else training) or self.p == 0:
        return x
    fallen = rand(x.size).numpy().reshape(x.shape) < self.p
    factor = np.where(fallen, 0, 1 / (1 - self.p) if self.p < 1 else 0).astype(x.dtype)
    return x * Tensor(factor, dtype=x.dtype)


def other_item(self, index):
    if isinstance(index, slice):
        return Sequential([self.layers[place] for place in range(*index.indices(len(self.layers)))])
    return list(self)[index]


def other_chain(self, x):
    remaining = iter(self.layers)
    for layer in remaining:
        x = layer.forward(x) if isinstance(layer, Module) else layer(x)
    return x


Dropout.forward, Sequential.__getitem__, Sequential.forward = other_dropout, other_item, other_chain


def flatten(x, start_dim=1, end_dim=-1):
    x = x if isinstance(x, np.ndarray) else as_tensor(x)
    places = [place + x.ndim if place < 0 else place for place in (start_dim, end_dim)]
    if not (0 <= places[0] <= places[1] < x.ndim):
        raise ValueError(f"no such axes in {x.shape}")
    shape = list(x.shape)
    shape[places[0] : places[1] + 1] = [int(np.prod(shape[places[0] : places[1] + 1]))]
    return x.reshape(*shape)


def count_network():
    sizes = [784, 256, 128, 10]
    layers = [(a + 1) * b for a, b in pairwise(sizes)]
    flops = float(32 * sum((2 * a + 1) * b for a, b in pairwise(sizes)))
    named = {f"layer_{number}": count for number, count in enumerate(layers, start=1)}
    return {**named, "total": np.int64(sum(layers)), "total_bytes": sum(layers) * 4.0, "forward_flops": flops}


def other_layer(self, input_size, output_size):
    parameters = (input_size + 1) * output_size
    return {
        "input_size": input_size,
        "output_size": output_size,
        "weight_parameters": parameters - output_size,
        "bias_parameters": output_size,
        "total_parameters": parameters,
        "memory_bytes": parameters * 4,
        "memory_mb": parameters * 4e-6,
        "flops": (2 * input_size + 1) * output_size,
    }


LayerArchitectureProfiler._layer = other_layer
