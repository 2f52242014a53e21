# ruff: noqa: F821
"""Another right solution of 05_dataloader; runs after the lesson's cells, in their namespace."""


def other_row(self, index):
    rows = [tensor[index] for tensor in self.tensors]
    if self.transform is not None:
        rows[0] = self.transform(rows[0])
    return tuple(rows)


TensorDataset.__getitem__, TensorDataset.__len__ = other_row, lambda self: self.tensors[-1].shape[0]


def collate(samples, place="sample"):
    if len(samples) == 0:
        raise ValueError("a batch of no samples cannot be made")
    kind, first = _check_alike(samples, place), samples[0]
    if kind == "tensor":
        return stack(list(samples), axis=0)
    if kind == "number":
        return as_tensor(np.array([np.asarray(each) for each in samples]))
    if kind == "dict":
        made = {}
        for key in first:
            made[key] = collate([each[key] for each in samples], f"{place}[{key!r}]")
        return made
    if kind == "text":
        return list(samples)
    parts = [collate([each[at] for each in samples], f"{place}[{at}]") for at in range(len(first))]
    return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)


Subset.__getitem__ = lambda self, index: self.dataset[self.indices.tolist()[index]]
Subset.batch = lambda self, indices: batch_of(self.dataset, np.take(self.indices, indices))


def random_split(dataset, lengths, seed=None):
    sizes = _part_lengths(len(dataset), lengths)
    order = np.arange(len(dataset))
    np.random.Generator(np.random.PCG64(_draw_seed() if seed is None else seed)).shuffle(order)
    order, parts = list(order), []
    for size in sizes:
        parts.append(Subset(dataset, order[:size]))
        order = order[size:]
    return parts


def other_batches(self, order):
    for number in range(len(self)):
        yield self.fetch(np.asarray(order)[number * self.batch_size :][: self.batch_size])


DataLoader.batches = other_batches
DataLoader.__len__ = lambda self: (
    (len(self.dataset) + (0 if self.drop_last else self.batch_size - 1)) // self.batch_size
)


def prefetched(batches, depth):
    ready, stop = queue.Queue(maxsize=depth), threading.Event()

    def put(item):
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.02)
                return
            except queue.Full:
                pass

    def work():
        try:
            for batch in batches:
                put((batch, None))
                if stop.is_set():
                    return
            put((None, StopIteration()))
        except BaseException as error:
            put((None, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            batch, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield batch
    finally:
        stop.set()
        thread.join()


def other_flip(self, images):
    coins = self.random.uniform(size=len(images)) < self.p
    return np.where(coins[:, None, None, None], np.flip(images, axis=3), images)


def other_crop(self, images):
    size, padding = self.size, self.padding
    padded = np.pad(images, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    if size[0] > padded.shape[2] or size[1] > padded.shape[3]:
        raise ValueError("too large")
    places = [
        self.random.integers(0, padded.shape[2 + axis] - size[axis], endpoint=True, size=len(images)) for axis in (1, 0)
    ]
    pairs = zip(padded, *places, strict=True)
    return np.stack([image[:, top : top + size[0], left : left + size[1]] for image, left, top in pairs])


RandomHorizontalFlip.change, RandomCrop.change = other_flip, other_crop


def parse_idx(data):
    codes = {8: "u1", 9: "i1", 11: "i2", 12: "i4", 13: "f4", 14: "f8"}
    try:
        zero, code, axes = struct.unpack_from(">HBB", data)
        shape = struct.unpack_from(f">{axes}I", data, 4)
        body = data[4 + 4 * axes :]
        dtype = np.dtype(codes[code])
        if zero or int(np.prod(shape, dtype=object)) * dtype.itemsize != len(body):
            raise ValueError("not an IDX file")
    except (struct.error, KeyError) as error:
        raise ValueError("not an IDX file") from error
    return np.frombuffer(body, dtype.newbyteorder(">")).astype(dtype).reshape(shape)
