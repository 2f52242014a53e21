# ruff: noqa: F821
"""Another right solution of 07_optimizers; runs after the lesson's cells, in their namespace."""


def other_step(self):
    for group, slab, blocks in self._ready():
        for block in blocks:
            parts = block.parts()
            for _, grad, g, _ in parts:
                np.copyto(g, grad)
            if group.get("weight_decay"):
                for w, _, g, step in parts:
                    self._decay(w, g, step, group)
            block.step.fill(np.nan)
            self._rule(block.g, block.state, block.step, block.t, group)
            for w, _, _, step in parts:
                np.subtract(w, step, out=w)
        slab.done()


def other_decay(self, w, g, scratch, group):
    scratch[...] = w
    scratch *= group["weight_decay"]
    np.add(scratch, g, out=g)


def other_zero(self):
    for parameter in [each for group in self.param_groups for each in group["params"]]:
        parameter.grad = None


Optimizer.step, Optimizer._decay, Optimizer.zero_grad = other_step, other_decay, other_zero


def other_sgd(self, g, state, step, t, group):
    ahead = g
    if group["momentum"]:
        v = state["velocity"]
        v[...] = group["momentum"] * v + g
        ahead = g + group["momentum"] * v if group["nesterov"] else v
    step[...] = group["lr"] * ahead


def _average(mean, new, keep, scratch):
    mean[...] = mean + (1 - keep) * (new - mean)


def other_rmsprop(self, g, state, step, t, group):
    v, alpha = state["v"], group["alpha"]
    v += (1 - alpha) * (g * g - v)
    step[...] = group["lr"] * g / (v**0.5 + group["eps"])


def other_adam(self, g, state, step, t, group):
    (one, two), m, v = group["betas"], state["m"], state["v"]
    m[...] = one * m + (1 - one) * g
    v[...] = two * v + (1 - two) * g**2
    step[...] = group["lr"] * (m / (1 - one**t)) / (np.sqrt(v / (1 - two**t)) + group["eps"])


def other_adamw_decay(self, w, g, scratch, group):
    w -= w * (group["lr"] * group["weight_decay"])


SGD._rule, RMSprop._rule, Adam._rule, AdamW._decay = other_sgd, other_rmsprop, other_adam, other_adamw_decay


def other_saved(self, slab, i):
    arrays = {name: np.array(slab.view(name, i)) for name in slab.state}
    return {**arrays, "step": int(slab.updates[i])}


def other_restore(self, slab, i, entry):
    arrays = {name: value for name, value in entry.items() if name != "step"}
    slab.remember(arrays)
    slab.updates[i] = entry["step"]
    for name in slab.state:
        np.copyto(slab.view(name, i), arrays.get(name, 0))


Optimizer._saved, Optimizer._restore = other_saved, other_restore
