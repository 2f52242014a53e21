# ruff: noqa: F821
"""Another right solution of 08_training; runs after the lesson's cells, in their namespace."""


def accuracy(logits, target):
    scores, wanted = (np.array(each.numpy() if isinstance(each, Tensor) else each) for each in (logits, target))
    if scores.shape == wanted.shape and scores.ndim:
        wanted = np.argmax(wanted, axis=-1)
    if not scores.ndim or scores.shape[:-1] != wanted.shape or wanted.size == 0:
        raise ValueError("shapes")
    right = 0
    for row, label in zip(scores.reshape(-1, scores.shape[-1]), wanted.ravel(), strict=True):
        right += int(row.argmax() == label)
    return right / wanted.size


def clip_grad_norm(parameters, max_norm):
    if not max_norm > 0:
        raise ValueError("max_norm")
    gradients = [each.grad for each in parameters if each.grad is not None]
    norm = _norm(gradients)
    if not np.isfinite(norm):
        raise ValueError("overflow")
    scale = min(1.0, max_norm / norm) if norm else 1.0
    for gradient in gradients:
        np.multiply(gradient, scale, out=gradient)
    return norm


def other_step_rate(self, base, t):
    for _ in range(t // self.size):
        base = base * self.gamma
    return base


def other_cosine_rate(self, base, t):
    done = min(1.0, t / self.total)
    return self.min_lr + (base - self.min_lr) * math.cos(math.pi * done / 2) ** 2


def other_warmup_rate(self, base, t):
    if t >= self.steps:
        return self.after.rate(base, t - self.steps) if self.after else base
    return (t + 1) * (base / self.steps)


StepSchedule.rate, CosineSchedule.rate = other_step_rate, other_cosine_rate
WarmupSchedule.rate = other_warmup_rate


def other_update(self, batches, tally=None):
    pairs = [_pair(batch) for batch in batches]
    samples, mean = sum(len(y) for _, y in pairs), 0.0
    for parameter in self._parameters():
        parameter.grad = None
    for x, y in pairs:
        output = self.model(x)
        loss = self._loss(output, y)
        weighed = loss * (len(y) / samples)
        weighed.backward()
        mean += weighed.item()
        if tally is not None:
            tally.add(loss.item(), output, y)
    if self.clip is not None:
        clip_grad_norm(self._parameters(), self.clip)
    self.optimizer.step()
    self.step += 1
    if self.schedule is not None:
        self.schedule.step()
    return mean


def other_evaluate(self, loader):
    tally, before = Tally(), {module: module.training for module in self.model.modules()}
    try:
        for module in before:
            module.training = False
        for batch in loader:
            x, y = _pair(batch)
            with no_grad():
                output = self.model(x)
                tally.add(self._loss(output, y).item(), output, y)
    finally:
        for module in before:
            module.training = before[module]
    if not tally.samples:
        raise ValueError("no batches")
    return tally


def other_used_up(self, loss):
    self.waited += 1
    if loss < self.best:
        self.waited, self.best = 0, loss
        self.weights = {name: array.copy() for name, array in self.model.state_dict().items()}
    return self.waited >= self.limit


Trainer.update, Trainer.evaluate, Patience.used_up = other_update, other_evaluate, other_used_up


def unpack(value, arrays):
    if isinstance(value, list):
        return [unpack(inner, arrays) for inner in value]
    if not isinstance(value, dict):
        return value
    place = value.get("__array__") if len(value) == 1 else None
    return arrays[place] if place is not None else {key: unpack(value[key], arrays) for key in value}


def write_atomically(path, write):
    path = Path(path)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        Path(part).unlink(missing_ok=True)
