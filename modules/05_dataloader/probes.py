"""Probes of 05_dataloader: calls with fresh random inputs; what they return is compared with the reference."""

import collections
import struct
import threading

import numpy as np

from tinytorch.core.tensor import Tensor

Point = collections.namedtuple("Point", ["x", "label"])


def _refusal(call, kind, *words):
    """Whether a call is refused with an error of this kind, and whether the message has each of the words."""
    try:
        call()
    except kind as error:
        text = "".join([str(error)])  # a plain str: a class of its own could claim to hold any word
        return [True, *(word in text for word in words)]
    return [False]


def _numbered(lesson, count):
    """A dataset whose samples are their own numbers."""
    return lesson.TensorDataset(np.arange(count), np.arange(count) * 0.5)


def _numbers(batches):
    """The numbers of all samples of some batches, in order."""
    return [number for x, _ in batches for number in x.tolist()]


def dataset_rows(lesson, rng):
    """Samples are rows of every column, in the columns' dtypes."""
    images, labels = rng.normal(size=(6, 2, 3)), rng.integers(0, 9, 6)
    dataset = lesson.TensorDataset(images, labels, Tensor(rng.normal(size=6)))
    alone = lesson.TensorDataset(Tensor(images))
    return {
        "length": [len(dataset), len(alone)],
        "samples": [dataset[int(rng.integers(6))], dataset[-1], alone[2]],
        "are tuples": [isinstance(dataset[0], tuple), isinstance(alone[0], tuple), isinstance(dataset[0][0], Tensor)],
        "iteration": [label for _, label, _ in dataset],
        "dtypes": [str(part.dtype) for part in dataset[1]],
    }


def dataset_batches(lesson, rng):
    """Many rows at once, in the order asked for."""
    dataset = lesson.TensorDataset(rng.normal(size=(7, 2)), rng.integers(0, 9, 7))
    order = rng.permutation(7)[:4]
    return [dataset.batch(order), dataset.batch(order.tolist()), dataset.batch([3]), dataset.batch([2, 2])]


def dataset_transform(lesson, rng):
    """A transform changes the first column of what is taken, and only that."""
    values = rng.normal(size=(5, 3))
    dataset = lesson.TensorDataset(values, values, transform=lambda x: x * 3 + 1)
    return [dataset[2], dataset.batch([4, 0]), dataset.tensors]


def collate_kinds(lesson, rng):
    """Numbers, arrays, Tensors, truths and text become batches."""
    numbers, arrays = rng.normal(size=4).tolist(), rng.normal(size=(3, 2, 2))
    whole = [int(each) for each in rng.integers(0, 9, 3)]
    return {
        "floats": lesson.collate(numbers),
        "whole": lesson.collate(whole),
        "NumPy numbers": lesson.collate(list(np.array(numbers))),
        "arrays": lesson.collate(list(arrays)),
        "Tensors": lesson.collate([Tensor(each) for each in arrays]),
        "whole Tensors": lesson.collate([Tensor([each], dtype=np.int64) for each in whole]),
        "truths": lesson.collate([True, False, bool(whole[0] > 4)]),
        "text": lesson.collate([f"a{each}" for each in whole]),
        "one": lesson.collate([whole[0]]),
    }


def collate_nested(lesson, rng):
    """Tuples, lists, dictionaries and named tuples inside one another keep their form."""
    samples = []
    for number in range(3):
        inner = {"left": rng.normal(size=2), "deep": [Tensor(rng.normal(size=(2, 1))), f"t{number}"]}
        samples.append((inner, number, [float(rng.normal()), (True,)]))
    batch = lesson.collate(samples)
    named = lesson.collate([Point(float(rng.normal()), 1), Point(2.0, 3)])
    return {
        "batch": batch,
        "forms": [type(part).__name__ for part in (batch, batch[0], batch[2], batch[2][1], batch[0]["deep"])],
        "named": [named.x, named.label],
        "named form": type(named).__name__,
    }


def collate_refusals(lesson, rng):
    """Samples that differ are refused with their place, and so is what has no batch."""
    size = int(rng.integers(3, 9))
    shapes = [(0, {"x": np.zeros(2)}), (0, {"x": np.zeros(size)})]
    return {
        "shapes": _refusal(lambda: lesson.collate(shapes), ValueError, "sample[1]['x']", "(2,)", f"({size},)"),
        "lengths": _refusal(lambda: lesson.collate([(1, 2), (1, 2, 3)]), ValueError),
        "deep length": _refusal(lambda: lesson.collate([([1], 2), ([1, 2], 2)]), ValueError, "sample[0]"),
        "keys": _refusal(lambda: lesson.collate([{"a": 1}, {"b": 1}]), ValueError),
        "kinds": _refusal(lambda: lesson.collate([(1, "a"), (1, 2)]), ValueError, "sample[1]"),
        "objects": _refusal(lambda: lesson.collate([object(), object()]), TypeError),
        "none": _refusal(lambda: lesson.collate([]), ValueError),
        "fits": lesson.collate([(size,), (2,)]),
    }


def subset_picks(lesson, rng):
    """A subset has the numbered samples in their order, also one of a subset and one of plain text."""
    dataset, order = _numbered(lesson, 9), rng.permutation(9)[:5]
    subset = lesson.Subset(dataset, order)
    nested = lesson.Subset(subset, [3, 1, 4])
    text = lesson.Subset("abcdefghi", order.tolist())
    return {
        "length": [len(subset), len(nested), len(text)],
        "samples": [subset[place] for place in range(5)],
        "nested": [nested[2], nested.batch(np.array([2, 0]))],
        "batch": subset.batch(np.array([4, 0, 0])),
        "text": [list(text), text.batch(np.array([1, 2]))],
        "refused": [_refusal(lambda each=each: lesson.Subset(dataset, each), ValueError) for each in ([9], [0, -1])],
    }


def split_shares_out(lesson, rng):
    """Every sample is in exactly one part, and the parts have the sizes asked for."""
    count = int(rng.integers(20, 40))
    dataset, seed = _numbered(lesson, count), int(rng.integers(1000))
    found = {}
    for name, lengths in (("numbers", [count - 7, 4, 3]), ("shares", [0.5, 0.3, 0.2]), ("two", [0.8, 0.2])):
        parts = lesson.random_split(dataset, lengths, seed=seed)
        numbers = [sample[0].item() for part in parts for sample in part]
        found[name] = [[len(part) for part in parts], sorted(numbers) == list(range(count)), sorted(numbers) != numbers]
    return {**found, "are subsets": isinstance(parts[0], lesson.Subset)}


def split_repeats(lesson, rng):
    """The same seed gives the same parts, another one others; wrong lengths are refused."""
    seed, dataset = int(rng.integers(1000)), _numbered(lesson, 40)

    def first(seed):
        return [sample[0].item() for sample in lesson.random_split(dataset, [30, 10], seed=seed)[1]]

    wrong = ([30, 9], [0.5, 0.4], [-1, 41], [])
    return {
        "repeated": first(seed) == first(seed),
        "another": first(seed) != first(seed + 1),
        "drawn": first(None) != first(None),
        "refused": [_refusal(lambda each=each: lesson.random_split(dataset, each), ValueError) for each in wrong],
    }


def loader_batches(lesson, rng):
    """Batch sizes, the last batch kept or dropped, and every sample in order without shuffle."""
    found = []
    for _ in range(4):
        count, size = int(rng.integers(5, 25)), int(rng.integers(1, 5))
        for drop_last in (False, True):
            loader = lesson.DataLoader(_numbered(lesson, count), batch_size=size, drop_last=drop_last)
            batches = list(loader)
            found.append([len(loader), [len(x) for x, _ in batches], batches[-1]])
            found.append(_numbers(batches) == list(range(len(_numbers(batches)))))
    return {"random": found, "larger than all": list(lesson.DataLoader(_numbered(lesson, 3), batch_size=8))}


def loader_shuffles(lesson, rng):
    """The order of an epoch follows from seed and epoch, has every sample once, and differs between epochs."""
    count, seed = int(rng.integers(20, 40)), int(rng.integers(1000))
    loader = lesson.DataLoader(_numbered(lesson, count), batch_size=6, shuffle=True, seed=seed)
    first, second = _numbers(loader), _numbers(loader)
    epochs = [loader.epoch]
    loader.epoch = 1
    again = _numbers(loader)
    return {
        "first": first,
        "second": second,
        "again": again == second,
        "order": [loader.order(epoch) for epoch in (0, 5)],
        "epochs": [*epochs, loader.epoch],
        "plain order": lesson.DataLoader(_numbered(lesson, count), shuffle=False).order(3),
    }


def loader_fetches_one_by_one(lesson, rng):
    """Only the samples of the batches that were asked for have been fetched."""
    size, taken, asked = int(rng.integers(2, 5)), int(rng.integers(1, 4)), []

    class Noting(lesson.Dataset):
        def __len__(self):
            return 30

        def __getitem__(self, index):
            asked.append(index)
            return index

    batches = iter(lesson.DataLoader(Noting(), batch_size=size))
    return {"batches": [next(batches) for _ in range(taken)], "asked": list(asked)}


def loader_collates(lesson, rng):
    """Any dataset with length and samples works, with the lesson's collate or one's own."""
    count = int(rng.integers(5, 9))
    words = [f"w{each}" for each in rng.integers(0, 99, count)]
    pairs = [(float(rng.normal()), {"n": number}) for number in range(count)]
    return {
        "own": list(lesson.DataLoader(words, 2, collate="-".join)),
        "text": list(lesson.DataLoader(words, 3)),
        "pairs": list(lesson.DataLoader(pairs, 4)),
        "of a subset": list(lesson.DataLoader(lesson.Subset(_numbered(lesson, 9), [8, 1, 3]), 2)),
    }


def loader_refusals(lesson, rng):
    """Batch sizes and datasets with which no batch comes are refused."""
    dataset, size = _numbered(lesson, 4), int(rng.integers(5, 9))
    wrong = [{"batch_size": 0}, {"batch_size": 1.5}, {"prefetch": -1}, {"batch_size": size, "drop_last": True}]
    return {
        "refused": [_refusal(lambda each=each: lesson.DataLoader(dataset, **each), ValueError) for each in wrong],
        "empty": _refusal(lambda: lesson.DataLoader([], batch_size=size), ValueError),
        "fits": len(lesson.DataLoader(dataset, batch_size=size)),
    }


def prefetch_gives_the_same(lesson, rng):
    """The same batches in the same order, made by another thread, at any depth."""
    seed = int(rng.integers(1000))
    before, here = threading.active_count(), threading.current_thread()
    found, threads = [], []
    for depth in (1, 2, 50):
        loader = lesson.DataLoader(_numbered(lesson, 11), 3, shuffle=True, seed=seed, prefetch=depth)
        found.append(list(loader))
        threads += lesson.prefetched((threading.current_thread() for _ in range(2)), depth)
    return {
        "batches": found,
        "none": list(lesson.prefetched(iter([]), 2)),
        "another thread": [thread is not here for thread in threads],
        "left": threading.active_count() - before,
    }


def prefetch_keeps_its_depth(lesson, rng):
    """No more batches are prepared than there are places, and no thread stays after a break."""
    before, made = threading.active_count(), []

    def count():
        for number in range(1000):
            made.append(number)
            yield number

    depth, last = int(rng.integers(1, 4)), int(rng.integers(3, 9))
    seen = []
    for number in lesson.prefetched(count(), depth):
        seen.append(number)
        if number == last:
            break
    few = len(made) <= last + 1 + depth  # those that were taken out, and one for each place
    return {"seen": seen, "few": few, "left": threading.active_count() - before}


def prefetch_works_meanwhile(lesson, rng):
    """The next batch is begun while the loop uses the one before, with a single place too."""
    begun = [threading.Event() for _ in range(int(rng.integers(3, 20)))]

    def beginning():
        for number, event in enumerate(begun):
            event.set()
            yield number

    seen = []
    for number in lesson.prefetched(beginning(), 1):
        seen.append(number + 1 == len(begun) or begun[number + 1].wait(5))
        if not seen[-1]:
            break
    return seen


def prefetch_passes_errors_on(lesson, rng):
    """An error of the thread arrives after the batches before it, and no thread stays."""
    before, word, seen = threading.active_count(), f"disk {int(rng.integers(1000))}", []

    def broken():
        yield from range(3)
        raise OSError(word)

    def walk():
        for number in lesson.prefetched(broken(), 2):
            seen.append(number)

    refused = _refusal(walk, OSError, word)
    inside = _refusal(lambda: [{}[number] for number in lesson.prefetched(iter(range(9)), 2)], KeyError)
    return {"refused": refused, "seen": seen, "inside": inside, "left": threading.active_count() - before}


def flips(lesson, rng):
    """Each image of a batch is mirrored with its own coin, an image alone too, and the input stays."""
    images = rng.normal(size=(4000, 1, 1, 3)).astype(np.float32)
    p, seed = float(rng.uniform(0.3, 0.7)), int(rng.integers(1000))
    flip = lesson.RandomHorizontalFlip(p, seed=seed)
    flipped = flip(images).numpy()
    alone = Tensor(images[0])  # not copied on its way into the transform
    lesson.RandomHorizontalFlip(1.0)(alone)
    mirrored = (flipped == images[..., ::-1]).all(axis=(1, 2, 3))
    stayed = (flipped == images).all(axis=(1, 2, 3))
    return {
        "share": float(mirrored.mean()),
        "one or the other": bool((mirrored ^ stayed).all()),
        "p = 1": [lesson.RandomHorizontalFlip(1.0)(images[:2]), lesson.RandomHorizontalFlip(1.0)(images[0])],
        "p = 0": lesson.RandomHorizontalFlip(0.0)(images[:2]),
        "bytes": lesson.RandomHorizontalFlip(1.0)(np.arange(6, dtype=np.uint8).reshape(1, 2, 3)),
        "input": [images[:2], alone],
    }


def crops(lesson, rng):
    """Windows come from all places, margins of zeros included, and keep the dtype."""
    image = rng.uniform(1, 2, (2, 3, 4)).astype(np.float32)
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
    cut = lesson.RandomCrop((2, 3), padding=1, seed=int(rng.integers(1000)))(np.stack([image] * 600)).numpy()
    windows = [padded[:, top : top + 2, left : left + 3] for top in range(4) for left in range(4)]
    counts = np.array([(cut == window).all(axis=(1, 2, 3)).sum() for window in windows])
    whole = np.arange(9, dtype=np.uint8).reshape(1, 3, 3)
    return {
        "shape": list(cut.shape),
        "from every place": (counts > 0).tolist(),
        "from there alone": int(counts.sum()),
        "whole": lesson.RandomCrop(3)(whole),
        "one image": list(lesson.RandomCrop(2)(image).shape),
        "too large": _refusal(lambda: lesson.RandomCrop(9)(image), ValueError),
    }


def normalizing(lesson, rng):
    """Normalize subtracts and divides by channel, for one image and for a batch."""
    images = rng.normal(size=(4, 3, 2, 2))
    mean, std = rng.normal(size=3), rng.uniform(0.5, 2, 3)
    normalize = lesson.Normalize(mean.tolist(), std.tolist())
    whole = lesson.Normalize(float(mean[0]), 2)
    colour = rng.integers(0, 255, (3, 2, 2)).astype(np.uint8)
    return [normalize(images), normalize(Tensor(images[0])), whole(images), normalize(colour)]


def transforms_repeat(lesson, rng):
    """An epoch can be repeated, differs from the next one, and Compose passes it on."""
    images = rng.normal(size=(40, 1, 4, 4))
    both = lesson.Compose([lesson.RandomHorizontalFlip(seed=3), lesson.RandomCrop(3, padding=1, seed=4)])
    found = []
    for epoch in (2, 2, 3):
        both.start_epoch(epoch)
        found.append(both(images).numpy())
    simple = lesson.Compose([lesson.Normalize(0, 2), lambda x: x + 1])
    return {
        "repeated": bool(np.array_equal(found[0], found[1])),
        "another": not np.array_equal(found[0], found[2]),
        "in order": simple(images[:2]),
    }


def _idx(code, array):
    """The bytes of an IDX file."""
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def idx_values(lesson, rng):
    """Every type of number and every number of axes, in the machine's own byte order."""
    found = []
    for code, dtype in ((8, ">u1"), (9, ">i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")):
        for shape in ((5,), (2, 3), (2, 1, 2), (0,)):
            array = rng.integers(0, 120, shape) if code == 8 else rng.integers(-120, 120, shape)
            found.append(lesson.parse_idx(_idx(code, array.astype(dtype))))
    return {"arrays": found, "native": all(each.dtype.isnative for each in found)}


def idx_refusals(lesson, rng):
    """Files that are cut off, too long or something else are refused."""
    data = _idx(8, rng.integers(0, 255, (2, 3)).astype(">u1"))
    cut = int(rng.integers(1, len(data)))
    damaged = [b"", data[:-1], data + b"x", b"PK" + data[2:], data[:2] + bytes([10]) + data[3:], data[:6], data[:cut]]
    huge = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**31, 2**31, 2**31)
    refused = [_refusal(lambda each=each: lesson.parse_idx(each), ValueError) for each in (*damaged, huge)]
    return {"refused": refused, "fits": lesson.parse_idx(data)}


def loading_count_answers(lesson, rng):
    """Your six numbers."""
    counts = lesson.loading_counts()
    names = ("batches", "last_batch", "left_out", "byte_set", "float_set", "float_batch")
    return {name: counts[name] for name in names}


def loading_an_epoch(lesson, rng):
    """Split, shuffled, transformed and prefetched, an epoch has every image once and can be repeated."""
    images, labels = rng.uniform(size=(50, 1, 4, 4)), np.arange(50)
    seed = int(rng.integers(1000))
    augment = lesson.Compose([lesson.RandomCrop(4, padding=1, seed=seed), lesson.Normalize(0.3, 0.4)])
    plain, moved = lesson.TensorDataset(images, labels), lesson.TensorDataset(images, labels, transform=augment)

    def epoch(dataset, number, prefetch):
        loader = lesson.DataLoader(dataset, 8, shuffle=True, seed=seed, prefetch=prefetch)
        loader.epoch = number
        return list(loader)

    def same(a, b):
        return all(np.array_equal(x.numpy(), y.numpy()) for (x, _), (y, _) in zip(a, b, strict=True))

    train, valid = lesson.random_split(plain, [40, 10], seed=seed)
    labels = [label.item() for part in (train, valid) for _, label in part]
    first = epoch(plain, 2, 2)
    return {
        "labels": [label for _, label in first],
        "sum": sum(x.numpy().sum(dtype=np.float64) for x, _ in first),
        "repeated": same(epoch(moved, 1, 0), epoch(moved, 1, 2)),
        "another": not same(epoch(moved, 1, 0), epoch(moved, 2, 0)),
        "split": sorted(labels) == list(range(50)),
    }


PROBES = {
    "test-tensor-dataset": [dataset_rows, dataset_batches, dataset_transform],
    "test-collate": [collate_kinds, collate_nested, collate_refusals],
    "test-split": [subset_picks, split_shares_out, split_repeats],
    "test-loader": [
        loader_batches,
        loader_shuffles,
        loader_fetches_one_by_one,
        loader_collates,
        loader_refusals,
    ],
    "test-prefetch": [
        prefetch_gives_the_same,
        prefetch_keeps_its_depth,
        prefetch_works_meanwhile,
        prefetch_passes_errors_on,
    ],
    "test-transforms": [flips, crops, normalizing, transforms_repeat],
    "test-idx": [idx_values, idx_refusals],
    "test-counts": [loading_count_answers],
    "test-module": [loading_an_epoch],
}
TOLERANCES = {
    "flips": {"atol": 0.08},  # 4,000 coins: 7 standard deviations of a difference of two such shares
    "loading_an_epoch": {"rtol": 1e-5},
}
PARTIAL = ["test-tensor-dataset", "test-collate", "test-split", "test-loader", "test-prefetch", "test-transforms"]
