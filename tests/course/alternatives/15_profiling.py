# ruff: noqa: F821
"""Another right solution of 15_profiling; runs after the lesson's cells, in their namespace."""


def other_matmul_macs(inputs, result):
    inner = inputs[0].shape[-1]
    total = 1
    for length in result.shape:
        total *= length
    return total * inner


def other_conv2d_macs(inputs, result):
    weight = inputs[1]
    return weight.size // weight.shape[0] * result.size


matmul_macs, conv2d_macs = other_matmul_macs, other_conv2d_macs
MAC_RULES["matmul"], MAC_RULES["conv2d"] = other_matmul_macs, other_conv2d_macs


def running_layer(frame, layers):
    found = (None, None)
    while frame is not None:
        own = _self_of(frame)
        if id(own) in layers:
            found = id(own), frame
            if _self_of(frame.f_back) is not own:
                break
        frame = frame.f_back
    return found


def other_call(self, op, inputs, params, result):
    entered = self.clock()
    if threading.get_ident() != self.thread:
        return
    layer, kind = self.called_by(op)
    reads = [self.block(each) for each in inputs if self.known(each)]
    macs, adds = macs_of(op, inputs, result), self.bias_adds(op, inputs, result)
    makes = self.block(result)
    self.products |= {makes} if macs else set()
    taken = tuple(filter(lambda each: isinstance(each, Parameter), inputs))
    elapsed = entered - self.left
    self.runs += [
        OpRun(op.name, layer, kind, self.calls, result.shape, macs, adds, tuple(reads), makes, taken, elapsed)
    ]
    self.left = self.clock()


Watch.__call__ = other_call


def largest_live(rows, sizes):
    first, last = {0: -1}, {0: -1}
    for number, row in enumerate(rows):
        for block in [*row.reads, *row.outputs]:
            first.setdefault(block, number)
            last[block] = number
    totals = [
        sum(sizes[block] for block in first if first[block] <= number <= last[block] or (block == 0 == number))
        for number in range(len(rows))
    ]
    return max(totals, default=0)


def spread_of(samples):
    ordered = np.sort(np.array(samples, dtype=np.float64)) * 1000.0
    quartiles = [np.quantile(ordered, share) for share in (0.25, 0.75)]
    return {
        "median_ms": float(np.median(ordered)),
        "iqr_ms": float(quartiles[1] - quartiles[0]),
        "min_ms": float(ordered[0]),
        "max_ms": float(ordered[-1]),
    }


def time_runs(work, warmup, iterations, clock):
    if iterations < 1 or warmup < 0:
        raise ValueError("at least")
    stamps = []
    for number in range(warmup + iterations):
        before = clock() if number >= warmup else None
        work()
        if before is not None:
            stamps.append(clock() - before)
    return stamps


Profiler.count_parameters = lambda self, model: int(sum({id(p): p.size for p in model.parameters()}.values()))
Profiler.count_flops = lambda self, model, shape: sum(2 * run.macs for run in watch(model, fed(shape))[0].runs)
