# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Data loading
#
# This module builds on 01 Tensor alone. Afterwards you can
#
# - keep samples in a dataset, split it, and make batches of samples of any shape,
# - shuffle so that every epoch has another order and every run the same ones,
# - prepare the next batch in a background thread that ends when its loop does,
# - flip, crop and normalise whole batches of images,
# - read real data: scanned digits, MNIST's format, CIFAR-10's files, without running what a stranger put into them.
#
# **Build** a data loader. **Use** it on scanned digits. **Reflect** on order, waiting and fair tests.
#
# Systems reality check: a processor that waits for data computes nothing, and in production several processes often do no
# more than read, decode and batch. Here one thread will do: a batch of digits is a copy of some kilobytes.

# %%
#| default_exp core.dataloader
#| export
import gzip
import hashlib
import os
import pickle
import queue
import struct
import sys
import tarfile
import threading
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.core.tensor import Array, Tensor, as_tensor, generator, stack

# %% [markdown]
# ## Step 1: a dataset
#
# A dataset has two things to say: how many samples there are, and what the i-th one is. Anything that answers
# `len(dataset)` and `dataset[i]` will do, a list too. `Dataset` is the class to derive your own from.
#
# `TensorDataset` holds columns of equal length, here images and labels. A sample is one row of each.
#
# ```
#               images (5, 2)      labels (5,)
#   0           [0, 1]             0
#   1           [2, 3]             1           dataset[1]        ([2, 3], 1)
#   2           [4, 5]             0
#   3           [6, 7]             1           dataset.batch([3, 0])   ([[6, 7], [0, 1]], [1, 0])
#   4           [8, 9]             0
# ```
#
# `batch` takes many rows at once. Any dataset can do it sample by sample; for columns it is one indexing of each tensor,
# since `tensor[array_of_numbers]` picks those rows. A transform, if there is one, is applied to the first column of what
# was picked: to one image or to a batch of them.


# %%
#| export
class Dataset:
    """Samples by number. Derive from it and define __len__ and __getitem__."""

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} does not say how many samples it has: define __len__")

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no samples: define __getitem__(self, index)")

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def batch(self, indices: Array) -> Any:
        """The samples with these numbers as one batch."""
        return collate([self[int(index)] for index in indices])

    def start_epoch(self, epoch: int) -> None:
        """Told by a DataLoader before each pass; random transforms start anew, so that a pass can be repeated."""


def _columns(given: Sequence[Any]) -> tuple[Tensor, ...]:
    """The columns as tensors; ValueError unless there is one, and all have as many rows."""
    columns = tuple(as_tensor(each) for each in given)
    shapes = [column.shape for column in columns]
    if not shapes or () in shapes or len({shape[0] for shape in shapes}) > 1:
        listed = " and ".join(map(str, shapes)) or "none"
        raise ValueError(f"a TensorDataset needs columns with as many rows each, and was given shapes {listed}")
    return columns


# %% nbgrader={"grade": false, "grade_id": "tensor-dataset", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
class TensorDataset(Dataset):
    """Columns of equal length: sample i is row i of each. A transform is applied to the first column of what is taken."""

    def __init__(self, *columns: Any, transform: Callable[[Tensor], Tensor] | None = None) -> None:
        self.tensors = _columns(columns)
        self.transform = transform

    def __len__(self) -> int:
        """TODO: the number of rows, which is the length of any column."""
        ### BEGIN SOLUTION
        return len(self.tensors[0])
        ### END SOLUTION

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        """Row `index` of each column, as a tuple.

        TODO: index every tensor; apply the transform, if it is not None, to the first of the rows.
        Example: with columns [[0, 1], [2, 3]] and [5, 6], index 1 gives ([2, 3], 6).
        Hint: the same code serves a number and an array of numbers, and batch below relies on that.
        columns (n, ...) -> tuple of (...), or of (k, ...) for k numbers.
        """
        ### BEGIN SOLUTION
        first, *others = (tensor[index] for tensor in self.tensors)
        return (first if self.transform is None else self.transform(first), *others)
        ### END SOLUTION

    def batch(self, indices: Array) -> tuple[Tensor, ...]:
        """Many rows of each column at once."""
        return self[np.asarray(indices, dtype=np.int64)]

    def start_epoch(self, epoch: int) -> None:
        """Pass the number on to the transform."""
        _start_epoch(self.transform, epoch)


def _start_epoch(part: Any, epoch: int) -> None:
    start = getattr(part, "start_epoch", None)
    if start is not None:
        start(epoch)


# %% nbgrader={"grade": true, "grade_id": "test-tensor-dataset", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
def test_unit_tensor_dataset() -> None:
    """Rows and batches of rows, with a transform of the first column only."""
    dataset = TensorDataset(np.arange(10.0).reshape(5, 2), np.array([0, 1, 0, 1, 0]))
    assert len(dataset) == 5
    image, label = dataset[1]
    assert image.tolist() == [2.0, 3.0] and label.item() == 1 and label.dtype.kind == "i"
    images, labels = dataset.batch([3, 0])
    assert images.tolist() == [[6.0, 7.0], [0.0, 1.0]] and labels.tolist() == [1, 0]
    assert [label.item() for _, label in dataset] == [0, 1, 0, 1, 0]
    doubled = TensorDataset(np.ones((3, 2)), np.ones(3), transform=lambda x: x * 2)
    assert [column.tolist() for column in doubled[0]] == [[2.0, 2.0], 1.0]
    ### BEGIN HIDDEN TESTS
    assert [column.tolist() for column in doubled.batch([0, 2])] == [[[2.0, 2.0]] * 2, [1.0, 1.0]]
    single = TensorDataset(Tensor([[1.5], [2.5]]))
    assert len(single) == 2 and len(single[0]) == 1 and single[-1][0].tolist() == [2.5]
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_tensor_dataset()

# %% [markdown]
# ## Step 2: a batch of anything
#
# A sample need not be a row of numbers. It may be a pair, a dictionary, a pair of dictionaries. A batch has the form of
# one sample, with a tensor in each place where a sample has a number or an array:
#
# ```
#   sample 0   ({"left": [1, 2], "id": 7}, 0)
#   sample 1   ({"left": [3, 4], "id": 8}, 1)
#
#   batch      ({"left": [[1, 2], [3, 4]], "id": [7, 8]}, [0, 1])
#                        (2, 2)                   (2,)     (2,)
# ```
#
# That is a recursion. For a dictionary, collate the values of each key; for a tuple, the first members, then the second
# ones, and so on; for numbers, arrays and tensors, stack them along a new first axis. Text has no tensor and stays a
# list.
#
# The check that the samples are alike is given. `place` says where in the sample you are, for its error:
# "sample[0]['left'] has shapes (2,) and (3,)".


# %%
#| export
def _kind(value: Any) -> str:
    """What collate makes of a value: "tensor", "number", "text", "dict", "sequence", or the type's name."""
    if isinstance(value, str | bytes):
        return "text"
    if isinstance(value, np.ndarray | np.generic | int | float):
        return "number"
    named = {Tensor: "tensor", Mapping: "dict", tuple: "sequence", list: "sequence"}
    return next((name for kind, name in named.items() if isinstance(value, kind)), type(value).__name__)


def _form(value: Any) -> Any:
    """What must be alike in all samples of a batch."""
    kind = _kind(value)
    if kind in ("tensor", "number"):
        return f"shape {np.shape(value)}"
    if kind == "sequence":
        return f"length {len(value)}"
    return f"keys {sorted(map(str, value))}" if kind == "dict" else ""


def _check_alike(samples: Sequence[Any], place: str) -> str:
    """The samples' kind; TypeError for what has no batch and ValueError for samples that differ."""
    kind, form = _kind(samples[0]), _form(samples[0])
    if kind not in ("tensor", "number", "text", "dict", "sequence"):
        raise TypeError(f"{place} is a {kind}, of which no batch can be made: give the DataLoader your own collate")
    for sample in samples:
        if _kind(sample) != kind or _form(sample) != form:
            raise ValueError(
                f"{place} is a {kind} of {form} in one sample and a {_kind(sample)} of {_form(sample)} in another. "
                "Crop or pad the samples to one form, or give the DataLoader your own collate."
            )
    return kind


# %% nbgrader={"grade": false, "grade_id": "collate", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def collate(samples: Sequence[Any], place: str = "sample") -> Any:
    """A batch in the form of one sample, with the samples' numbers, arrays and tensors stacked in each place.

    TODO: treat the kinds "dict", "sequence", "tensor" and "number"; text is done.
    Approach: for a dictionary {key: collate(the samples' values at key, a longer place) for each key}; for a sequence
    a list of one collate for each position, made into a tuple when the samples are tuples. Named tuples, which have
    `_fields`, become one of their own kind: type(first)(*parts).
    Example: [(1, [2.0]), (3, [4.0])] gives (Tensor([1, 3]), [Tensor([2.0, 4.0])]).
    Hint: stack(tensors) stacks tensors, as_tensor(np.stack(numbers)) numbers and arrays; zip(*samples) gives the positions.
    n samples with arrays of (...) -> one with tensors of (n, ...); integers stay integers, floats become float32. Raises
    ValueError for samples that differ in form, and TypeError for kinds that make no batch.
    """
    if len(samples) == 0:
        raise ValueError("a batch of no samples cannot be made")
    kind, first = _check_alike(samples, place), samples[0]
    if kind == "text":
        return list(samples)
    ### BEGIN SOLUTION
    if kind == "dict":
        return {key: collate([sample[key] for sample in samples], f"{place}[{key!r}]") for key in first}
    if kind == "sequence":
        positions = zip(*samples, strict=True)
        parts = [collate(part, f"{place}[{number}]") for number, part in enumerate(positions)]
        if hasattr(first, "_fields"):  # a named tuple
            return type(first)(*parts)
        return tuple(parts) if isinstance(first, tuple) else parts
    return stack(samples) if kind == "tensor" else as_tensor(np.stack(samples))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-collate", "locked": true, "points": 7, "schema_version": 3, "solution": false, "task": false}
def test_unit_collate() -> None:
    """Every kind of sample, nested, and errors that say where."""
    from collections import namedtuple

    assert collate([1, 2]).tolist() == [1, 2] and collate([1, 2]).dtype.kind == "i"
    assert collate([1.5, 2.0]).dtype == np.float32 and collate([True, False]).dtype == np.bool_
    samples = [({"left": np.array([1.0, 2.0]), "id": 7}, 0), ({"left": np.array([3.0, 4.0]), "id": 8}, 1)]
    parts, labels = collate(samples)
    assert parts["left"].tolist() == [[1.0, 2.0], [3.0, 4.0]] and parts["id"].tolist() == [7, 8]
    assert labels.tolist() == [0, 1] and isinstance(collate(samples), tuple)
    assert collate([["a", Tensor([1.0])], ["b", Tensor([2.0])]])[0] == ["a", "b"]
    pair = namedtuple("pair", "image label")
    assert collate([pair(1.0, 3), pair(2.0, 4)]).label.tolist() == [3, 4], "a named tuple keeps its names"
    try:
        collate([(0, {"x": np.zeros(2)}), (0, {"x": np.zeros(3)})])
    except ValueError as error:
        assert "sample[1]['x']" in str(error) and "(2,)" in str(error) and "(3,)" in str(error), error
    else:
        raise AssertionError("two shapes must be a ValueError")
    ### BEGIN HIDDEN TESTS
    deep = collate([([(np.float64(1.0), {"k": [Tensor([[1], [2]], dtype=np.int64)]})], "t")] * 3)
    assert deep[0][0][0].tolist() == [1.0] * 3 and deep[1] == ["t"] * 3
    assert deep[0][0][1]["k"][0].shape == (3, 2, 1) and deep[0][0][1]["k"][0].dtype == np.int64
    assert isinstance(deep[0], list) and isinstance(deep[0][0], tuple)
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_collate()

# %% [markdown]
# ## Step 3: parts of a dataset
#
# To know whether a network has learnt or only memorised, keep samples away from training. A `Subset` is a dataset and a
# list of numbers: its sample i is the dataset's sample number `indices[i]`. Nothing is copied.
#
# ```
#   dataset       a  b  c  d  e             indices of the subset   [3, 0]
#   numbers       0  1  2  3  4             subset[0] = d   subset[1] = a
# ```
#
# `random_split` shuffles all the numbers once and cuts them. With lengths 3 and 2 and the shuffled numbers 4 2 0 | 1 3
# the parts are e c a and b d. Each sample is in exactly one part, and the same seed gives the same parts. Shares such as
# 0.8 and 0.2 are allowed too: 0.8 of 7 is 5.6, so the parts get 5 and 1, and the one that is left over goes to the first
# part: 6 and 1.


# %%
#| export
def _part_lengths(count: int, lengths: Sequence[float]) -> list[int]:
    """How many of count samples each part gets; lengths are numbers that add up to count, or shares that add up to 1."""
    if any(isinstance(length, float | np.floating) for length in lengths):
        if min(lengths) < 0 or abs(sum(lengths) - 1) > 1e-6:
            raise ValueError(
                f"shares must not be negative and add up to 1, and {list(lengths)} add up to {sum(lengths):g}"
            )
        found = [int(count * share + 1e-9) for share in lengths]
        left = count - sum(found)
        return [length + (place < left) for place, length in enumerate(found)]
    if not lengths or min(lengths) < 0 or sum(lengths) != count:
        raise ValueError(f"lengths {list(lengths)} add up to {sum(lengths)}, and the dataset has {count} samples")
    return [int(length) for length in lengths]


def _draw_seed() -> int:
    """A seed from the generator that manual_seed starts."""
    return int(generator().integers(2**32))


# %% nbgrader={"grade": false, "grade_id": "split", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
class Subset(Dataset):
    """The samples of a dataset with the given numbers, in the given order."""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        numbers = np.asarray(indices).reshape(-1)
        if numbers.size and numbers.dtype.kind not in "iu":
            raise TypeError(
                f"the samples of a subset are whole numbers, not {numbers.dtype}; np.flatnonzero(mask) lists some"
            )
        self.indices = numbers.astype(np.int64)
        if self.indices.size and not 0 <= self.indices.min() <= self.indices.max() < len(dataset):
            wrong = self.indices[(self.indices < 0) | (self.indices >= len(dataset))][0]
            raise ValueError(f"a subset cannot have sample {wrong}: the dataset has {len(dataset)}, numbered from 0")

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        """TODO: the dataset's sample whose number stands at `index`. Hint: int(...) makes NumPy's number a plain one."""
        ### BEGIN SOLUTION
        return self.dataset[int(self.indices[index])]
        ### END SOLUTION

    def batch(self, indices: Array) -> Any:
        """TODO: look up the numbers, then use batch_of. Example: indices [1, 0] of numbers [3, 0] are samples 0 and 3."""
        ### BEGIN SOLUTION
        return batch_of(self.dataset, self.indices[indices])
        ### END SOLUTION

    def start_epoch(self, epoch: int) -> None:
        """Pass the number on to the dataset."""
        _start_epoch(self.dataset, epoch)


def batch_of(dataset: Any, indices: Array) -> Any:
    """The samples with these numbers as one batch: by the dataset's own way, or sample by sample."""
    if isinstance(dataset, Dataset):
        return dataset.batch(indices)
    return collate([dataset[int(index)] for index in indices])


def random_split(dataset: Any, lengths: Sequence[float], seed: int | None = None) -> list[Subset]:
    """Parts of a dataset, each sample in exactly one of them.

    TODO: shuffle the numbers of all samples, cut them into parts of the lengths in `sizes`, make a Subset of each.
    Approach: np.random.default_rng(seed).permutation(n); a running position.
    Example: 10 samples and [7, 3], or [0.7, 0.3], give subsets of 7 and of 3 samples.
    Raises ValueError for lengths that do not add up.
    """
    sizes = _part_lengths(len(dataset), lengths)
    seed = _draw_seed() if seed is None else seed
    ### BEGIN SOLUTION
    order = np.random.default_rng(seed).permutation(len(dataset))
    return [Subset(dataset, part) for part in np.split(order, np.cumsum(sizes)[:-1])]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-split", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
def test_unit_split() -> None:
    """Subsets pick; splits share out every sample once, in another order for another seed."""
    dataset = TensorDataset(np.arange(10))
    subset = Subset(dataset, [3, 0])
    assert len(subset) == 2 and subset[0][0].item() == 3 and subset.batch(np.array([1, 0]))[0].tolist() == [0, 3]
    parts = random_split(dataset, [7, 3], seed=1)
    numbers = [sample[0].item() for part in parts for sample in part]
    assert [len(part) for part in parts] == [7, 3] and sorted(numbers) == list(range(10)) != numbers
    again = [sample[0].item() for part in random_split(dataset, [0.7, 0.3], seed=1) for sample in part]
    other = [sample[0].item() for part in random_split(dataset, [0.7, 0.3], seed=2) for sample in part]
    assert again == numbers != other
    ### BEGIN HIDDEN TESTS

    class Own(TensorDataset):
        def batch(self, indices: Array) -> Any:
            return f"rows {[int(index) for index in indices]}"

    assert Subset(Own(np.arange(5)), [4, 2]).batch(np.array([1, 0])) == "rows [2, 4]", "use the dataset's own batch"
    letters = Subset("abcde", [4, 2])
    assert list(letters) == ["e", "c"] and letters.batch(np.array([1])) == ["c"]
    assert [len(part) for part in random_split(range(7), [0.8, 0.2])] == [6, 1]
    nested = Subset(Subset(dataset, [9, 8, 7]), [2, 0])
    assert nested.batch(np.array([0, 1]))[0].tolist() == [7, 9]
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_split()

# %% [markdown]
# ## Step 4: the loader
#
# One pass over a dataset is called an epoch. The loader decides on an order, cuts it into batches and fetches one after
# the other.
#
# ```
#   10 samples, batch_size 4, shuffle
#
#   order of epoch 0     8 4 7 2 | 9 0 5 1 | 6 3           3 batches, the last with 2 samples
#   order of epoch 1     1 6 0 9 | 3 5 8 4 | 2 7           drop_last leaves the short one out: 2 batches
# ```
#
# Why shuffle? Files are often sorted, all zeros first, then all ones. A network that sees 139 zeros in a row learns to
# answer zero. Why anew in each epoch? So that a sample does not always meet the same neighbours.
#
# Why a seed? So that a run can be repeated. One could draw the orders one after the other from one generator. Then the
# order of epoch 5 would depend on whether epochs 0 to 4 were run, and training that is taken up again after a crash would
# see another order. So here each epoch has a generator of its own, made from both numbers:
#
# ```
#   np.random.default_rng([seed, epoch]).permutation(10)
# ```
#
# The number of batches is n / batch_size, rounded up, or down with `drop_last`. 10 / 4 = 2.5: 3 batches or 2.


# %% nbgrader={"grade": false, "grade_id": "loader", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
class DataLoader:
    """Batches of a dataset: each `for batch in loader` is one epoch.

    With shuffle each epoch has another order, which depends on seed and epoch only; without a seed, one is drawn from the
    generator that manual_seed starts. `epoch` counts the passes begun, and may be set to repeat one or to go on from one.
    prefetch is how many batches a background thread prepares in advance, 0 for none. Raises ValueError for a dataset or
    a batch size with which no batch comes.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        seed: int | None = None,
        drop_last: bool = False,
        collate: Callable[[list[Any]], Any] | None = None,
        prefetch: int = 0,
    ) -> None:
        for name, value, least in (("batch_size", batch_size, 1), ("prefetch", prefetch, 0)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise ValueError(f"{name} is {value!r}, and must be a whole number of at least {least}")
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0):
            raise ValueError(f"seed is {seed!r}, and must be a whole number of at least 0, or None")
        self.dataset = dataset
        self.batch_size = int(batch_size)
        self.shuffle = shuffle
        self.seed = _draw_seed() if shuffle and seed is None else seed
        self.drop_last = drop_last
        self.collate = collate
        self.prefetch = int(prefetch)
        self.epoch = 0
        if len(self) == 0:
            why = f" and drop_last leaves out the only batch of {batch_size}" if len(dataset) else ""
            raise ValueError(f"no batch would come: the dataset has {len(dataset)} samples{why}")

    def __len__(self) -> int:
        """How many batches an epoch has.

        TODO: the number of samples divided by batch_size, rounded down with drop_last and up without.
        Hint: // rounds down, and -(-a // b) rounds up.
        """
        ### BEGIN SOLUTION
        if self.drop_last:
            return len(self.dataset) // self.batch_size
        return -(-len(self.dataset) // self.batch_size)
        ### END SOLUTION

    def order(self, epoch: int) -> Array:
        """The numbers of all samples in the order of an epoch.

        TODO: 0, 1, 2, ... without shuffle, and the permutation worked out above with it.
        """
        ### BEGIN SOLUTION
        count = len(self.dataset)
        return np.random.default_rng([self.seed, epoch]).permutation(count) if self.shuffle else np.arange(count)
        ### END SOLUTION

    def batches(self, order: Array) -> Iterator[Any]:
        """The batches of an epoch, one after the other.

        TODO: yield self.fetch(numbers) for each of the len(self) batches, with the next batch_size numbers of the order.
        Example: order [2, 0, 1] and batch_size 2 fetch [2, 0], then [1].
        """
        ### BEGIN SOLUTION
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            yield self.fetch(order[start : start + self.batch_size])
        ### END SOLUTION

    def fetch(self, indices: Array) -> Any:
        """One batch: the dataset's own way, or your collate on a list of samples."""
        if self.collate is None:
            return batch_of(self.dataset, indices)
        return self.collate([self.dataset[int(index)] for index in indices])

    def __iter__(self) -> Iterator[Any]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        _start_epoch(self.dataset, epoch)
        batches = self.batches(self.order(epoch))
        return prefetched(batches, self.prefetch) if self.prefetch else batches


# %% nbgrader={"grade": true, "grade_id": "test-loader", "locked": true, "points": 9, "schema_version": 3, "solution": false, "task": false}
def test_unit_loader() -> None:
    """Sizes, orders that repeat for a seed and differ between epochs, and every sample once an epoch."""
    dataset = TensorDataset(np.arange(10), np.arange(10) * 0.5)
    plain = DataLoader(dataset, batch_size=4)
    assert len(plain) == 3 and [x.tolist() for x, _ in plain] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(DataLoader(dataset, batch_size=4, drop_last=True)) == 2
    assert [len(x) for x, _ in DataLoader(dataset, batch_size=4, drop_last=True)] == [4, 4]

    def epochs(seed: int, count: int = 2) -> list[list[int]]:
        loader = DataLoader(dataset, batch_size=3, shuffle=True, seed=seed)
        return [[n for x, _ in loader for n in x.tolist()] for _ in range(count)]

    first, second = epochs(seed=5)
    assert sorted(first) == sorted(second) == list(range(10)), "every sample comes once an epoch"
    assert first != second and epochs(5) == [first, second] and epochs(6) != [first, second]
    later = DataLoader(dataset, batch_size=3, shuffle=True, seed=5)
    later.epoch = 1
    assert [n for x, _ in later for n in x.tolist()] == second, "the order of an epoch depends on seed and epoch alone"
    asked: list[int] = []

    class Noting(Dataset):
        def __len__(self) -> int:
            return 6

        def __getitem__(self, index: int) -> int:
            asked.append(index)
            return index

    next(iter(DataLoader(Noting(), batch_size=2)))
    assert asked == [0, 1], f"one batch was asked for, and samples {asked} were fetched: yield batches one by one"
    ### BEGIN HIDDEN TESTS
    assert DataLoader(dataset, 10, shuffle=True, seed=7).order(3).tolist() == (
        np.random.default_rng([7, 3]).permutation(10).tolist()
    )
    for count, size in ((1, 1), (7, 7), (7, 8), (8, 3), (9, 3)):
        loader = DataLoader(list(range(count)), batch_size=size)
        seen = [batch.tolist() for batch in loader]
        assert len(seen) == len(loader) and [n for batch in seen for n in batch] == list(range(count))
    assert list(DataLoader("abc", 2, collate="".join)) == ["ab", "c"]
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_loader()

# %% [markdown]
# ## Step 5: prefetching
#
# While the network computes, the next batch could be made. Say fetching takes 2 units of time and a training step 3:
#
# ```
#   without    |fetch 0|  step 0   |fetch 1|  step 1   |fetch 2|  step 2   |      3 x (2 + 3) = 15
#
#   loop       |wait   |  step 0   |  step 1   |  step 2   |                      2 + 3 x 3 = 11
#   thread     |fetch 0|fetch 1|   |fetch 2|
# ```
#
# The longer of the two sets the pace. NumPy lets other threads run while it copies and computes on large arrays, and so
# does reading a file, so a Python thread is good enough here.
#
# The thread puts batches into a queue, and the loop takes them out. Three things can go wrong, and each has an answer:
#
# - **It runs ahead** and fills the memory. A semaphore counts the free places: the thread takes one before each batch,
#   and the loop gives one back for each batch that it takes out. With `depth` places, at most `depth` batches wait.
# - **It fails.** The exception would end the thread, and the loop would wait for ever. So the thread puts the exception
#   into the queue, and the loop raises it. `StopIteration`, by which an iterator says that it is done, travels the same
#   way.
# - **The loop ends early**, by `break` or by an exception. Then Python closes the generator, and its `finally` block
#   runs: it tells the thread to stop, wakes it in case it waits for a place, and waits until it has ended.


# %% nbgrader={"grade": false, "grade_id": "prefetch", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def prefetched(batches: Iterator[Any], depth: int) -> Iterator[Any]:
    """The same batches, up to depth of them prepared in advance by a thread that ends when this loop does.

    TODO: write what the thread does, and the loop that takes batches out of the queue.
    Approach: the thread repeats: room.acquire(), end if stop.is_set(), ready.put((next(batches), None)); whatever is
    raised, StopIteration too, becomes ready.put((None, error)). The loop repeats: batch, error = ready.get(); a StopIteration means
    return, another error is raised; else room.release(), so that the next batch is begun, and yield batch.
    Hint: `except BaseException as error` catches everything; isinstance(error, StopIteration) tells the end.
    """
    ready: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
    room, stop = threading.Semaphore(depth), threading.Event()

    def work() -> None:
        ### BEGIN SOLUTION
        try:
            while room.acquire() and not stop.is_set():
                ready.put((next(batches), None))
        except BaseException as error:
            ready.put((None, error))
        ### END SOLUTION

    thread = threading.Thread(target=work, name="tinytorch prefetch", daemon=True)
    thread.start()
    try:
        ### BEGIN SOLUTION
        while True:
            batch, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            room.release()
            yield batch
        ### END SOLUTION
    finally:
        stop.set()
        room.release()
        # The garbage collector may close a generator in any thread, also when Python ends and no thread runs any more.
        if thread is not threading.current_thread() and not sys.is_finalizing():
            thread.join()


# %% nbgrader={"grade": true, "grade_id": "test-prefetch", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
def test_unit_prefetch() -> None:
    """The same batches in the same order; errors arrive; no thread stays, and none runs too far ahead."""
    before = threading.active_count()
    dataset = TensorDataset(np.arange(10))
    for depth in (1, 3, 100):
        loader = DataLoader(dataset, batch_size=4, shuffle=True, seed=3, prefetch=depth)
        plain = DataLoader(dataset, batch_size=4, shuffle=True, seed=3)
        assert [x.tolist() for (x,) in loader] == [x.tolist() for (x,) in plain]
    made = []

    def count_to(last: int) -> Iterator[int]:
        for number in range(last):
            made.append(number)
            yield number
        raise OSError("the disk is gone")

    for number in prefetched(count_to(1000), 2):
        if number == 5:
            break
    assert len(made) <= 8, "with 6 batches taken out and 2 places, the thread may have made 8"
    assert threading.active_count() == before, "a thread is left after break"
    begun = [threading.Event() for _ in range(3)]

    def beginning() -> Iterator[int]:
        for number, event in enumerate(begun):
            event.set()
            yield number

    for number in prefetched(beginning(), 1):
        assert number == 2 or begun[number + 1].wait(5), "the next batch must be begun while the loop uses this one"
    seen = []
    try:
        for number in prefetched(count_to(3), 2):
            seen.append(number)
    except OSError as error:
        assert "disk" in str(error) and seen == [0, 1, 2]
    else:
        raise AssertionError("an error in the thread must arrive in the loop")
    assert threading.active_count() == before, "a thread is left after an error"
    ### BEGIN HIDDEN TESTS
    try:
        for number in prefetched(count_to(1000), 3):
            raise KeyError(number)
    except KeyError:
        pass
    assert threading.active_count() == before, "a thread is left after an exception in the loop"
    worker = next(prefetched(iter([threading.current_thread]), 1))
    assert worker is threading.current_thread
    names = list(prefetched((threading.current_thread().name for _ in range(2)), 1))
    assert threading.current_thread().name not in names, "the batches must be made by another thread"
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_prefetch()

# %% [markdown]
# ## Step 6: transforms
#
# A mirrored cat is still a cat, and so is one that is shifted by two pixels. Showing an image a little different each
# time gives the network more to learn from; that is called augmentation. Images here are (C, H, W), channels first,
# batches (N, C, H, W).
#
# ```
#   flip        1 2 3      3 2 1          crop 2x2 with padding 1     0 0 0 0 0
#               4 5 6  ->  6 5 4                                      0 1 2 3 0        1 2
#                                         one of 3 x 4 places:        0 4 5 6 0   ->   4 5
#                                                                     0 0 0 0 0
# ```
#
# Each image of a batch gets its own coin and its own place, but no loop is needed. `images[coins]` with an array of
# booleans picks some images, and can be assigned to. For crops, `sliding_window_view` shows every window of an image
# without copying it:
#
# ```
#   padded (N, C, 4, 5)   windows of 2x2   ->  (N, C, 3, 4, 2, 2)     no copy: the same memory, walked in another way
#   windows[np.arange(N), :, tops, lefts]  ->  (N, C, 2, 2)           one window for each image
# ```
#
# **Normalising** gives each channel mean 0 and spread 1: (x - mean) / std. By hand with mean 5 and std 2: 9 becomes 2.
# Take both numbers from the training images alone.


# %%
#| export
class Compose:
    """Transforms one after the other."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, images: Any) -> Any:
        for transform in self.transforms:
            images = transform(images)
        return images

    def start_epoch(self, epoch: int) -> None:
        """Pass the number on to each transform."""
        for transform in self.transforms:
            _start_epoch(transform, epoch)


class RandomTransform:
    """A random change of one image (C, H, W) or of each image of a batch (N, C, H, W). Its seed and the epoch decide."""

    def __init__(self, seed: int | None = None) -> None:
        self.seed = _draw_seed() if seed is None else seed
        self.random = np.random.default_rng(self.seed)

    def start_epoch(self, epoch: int) -> None:
        """Start the random numbers anew, so that an epoch can be repeated."""
        self.random = np.random.default_rng([self.seed, epoch])

    def change(self, images: Array) -> Array:
        """The images of a batch, each changed on its own; the array itself stays."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it changes: define change(self, images)")

    def __call__(self, images: Any) -> Tensor:
        array = as_tensor(images).numpy()
        if array.ndim not in (3, 4):
            raise ValueError(
                f"{type(self).__name__} takes images (C, H, W) or (N, C, H, W), these have shape {array.shape}. "
                "For images without channels: images.unsqueeze(-3)."
            )
        changed = self.change(array) if array.ndim == 4 else self.change(array[None])[0]
        return as_tensor(changed, array.dtype)


def _pair(size: Any) -> tuple[int, int]:
    """(3, 4) as it is, and 3 as (3, 3)."""
    height, width = (size, size) if isinstance(size, int) else size
    return int(height), int(width)


# %% nbgrader={"grade": false, "grade_id": "transforms", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
class RandomHorizontalFlip(RandomTransform):
    """Each image mirrored, left to right, with probability p."""

    def __init__(self, p: float = 0.5, seed: int | None = None) -> None:
        super().__init__(seed)
        if not 0 <= p <= 1:
            raise ValueError(f"p is {p}, and must be a probability, from 0 to 1")
        self.p = p

    def change(self, images: Array) -> Array:
        """TODO: copy the images, draw a coin for each, and mirror those whose coin shows heads.

        Approach: coins = self.random.random(n) < self.p; assign the mirrored images to result[coins].
        Hint: ::-1 walks an axis backwards. images (N, C, H, W) -> the same shape and dtype.
        """
        ### BEGIN SOLUTION
        result = images.copy()
        coins = self.random.random(len(images)) < self.p
        result[coins] = images[coins, :, :, ::-1]
        return result
        ### END SOLUTION


class RandomCrop(RandomTransform):
    """A window of the given size at a random place of each image, after a margin of zeros was put around it."""

    def __init__(self, size: Any, padding: int = 0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.size = _pair(size)
        self.padding = padding
        if min(self.size) < 1 or padding < 0:
            raise ValueError(f"size {size} must be at least 1 and padding {padding} at least 0")

    def change(self, images: Array) -> Array:
        """TODO: draw a place for each image, and take the windows at these places.

        Approach: tops = self.random.integers(number of rows where a window can begin, size=n), lefts likewise; then the two
        lines of the drawing above. Hint: 4 rows have 4 - 2 + 1 = 3 places for a window of 2.
        images (N, C, H, W) -> (N, C, *size).
        """
        margin = (self.padding, self.padding)
        padded = np.pad(images, ((0, 0), (0, 0), margin, margin))
        (height, width), (rows, columns) = self.size, padded.shape[2:]
        if height > rows or width > columns:
            raise ValueError(f"cannot crop {height} x {width} from images of {rows} x {columns}, margins included")
        ### BEGIN SOLUTION
        count = len(images)
        tops = self.random.integers(rows - height + 1, size=count)
        lefts = self.random.integers(columns - width + 1, size=count)
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.size, axis=(2, 3))
        return windows[np.arange(count), :, tops, lefts]
        ### END SOLUTION


class Normalize:
    """(images - mean) / std, by channel. Bytes from 0 to 255 need mean and std on that scale."""

    def __init__(self, mean: Any, std: Any) -> None:
        self.mean, self.std = (np.array(value, dtype=np.float32).reshape(-1, 1, 1) for value in (mean, std))
        if not (self.std > 0).all():
            raise ValueError(f"every std must be above 0, and {std} is not: leave out a channel that never changes")

    def __call__(self, images: Any) -> Tensor:
        """TODO: subtract the mean and divide by the std. Hint: (C, 1, 1) broadcasts against (N, C, H, W)."""
        images = as_tensor(images)
        channels = images.shape[-3] if images.ndim >= 3 else None
        for value in (self.mean, self.std):
            if channels is None or len(value) not in (1, channels):
                raise ValueError(f"Normalize has {len(value)} channels, the images have shape {images.shape}")
        ### BEGIN SOLUTION
        return (images - self.mean) / self.std
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-transforms", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
def test_unit_transforms() -> None:
    """Flips mirror some images and crops move them, each on its own; normalising is by channel."""
    image = np.arange(6.0).reshape(1, 2, 3)
    assert RandomHorizontalFlip(1.0)(image).tolist() == [[[2.0, 1.0, 0.0], [5.0, 4.0, 3.0]]]
    assert RandomHorizontalFlip(0.0)(image).tolist() == image.tolist() == [[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]]
    kept = Tensor(image)
    RandomHorizontalFlip(1.0)(kept)
    assert kept.tolist() == image.tolist(), "change a copy: the dataset's own image must stay as it is"
    batch = np.stack([image] * 100)
    flipped = RandomHorizontalFlip(seed=1)(batch).numpy()
    mirrored = [row.tolist() == image[..., ::-1].tolist() for row in flipped]
    assert all(m or row.tolist() == image.tolist() for m, row in zip(mirrored, flipped, strict=True))
    assert 25 <= sum(mirrored) <= 75, "each image has its own coin"
    crops = RandomCrop((2, 2), padding=1, seed=2)(np.tile(np.arange(1.0, 7.0).reshape(1, 1, 2, 3), (200, 1, 1, 1)))
    padded = np.pad(np.arange(1.0, 7.0).reshape(2, 3), 1)
    places = {str(padded[top : top + 2, left : left + 2].tolist()) for top in range(3) for left in range(4)}
    assert crops.shape == (200, 1, 2, 2) and {str(crop[0].tolist()) for crop in crops.numpy()} == places
    assert Normalize(5, 2)(np.full((1, 1, 1), 9.0)).tolist() == [[[2.0]]]
    ### BEGIN HIDDEN TESTS
    colour = np.stack([np.full((2, 2), 10), np.full((2, 2), 20), np.full((2, 2), 30)]).astype(np.uint8)
    assert Normalize([10, 10, 10], [1, 2, 4])(colour).numpy()[:, 0, 0].tolist() == [0.0, 5.0, 5.0]
    assert Normalize([10, 10, 10], [1, 2, 4])(np.stack([colour] * 2)).shape == (2, 3, 2, 2)
    both = RandomCrop(2, seed=3)
    assert both(colour).dtype == np.uint8 and both(colour).tolist() == colour.tolist()
    two = RandomHorizontalFlip(seed=9)
    two.start_epoch(4)
    once = two(batch).tolist()
    two.start_epoch(4)
    assert two(batch).tolist() == once
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_transforms()

# %% [markdown]
# ## Step 7: MNIST's file format
#
# MNIST is 70,000 handwritten digits of 28 x 28 pixels, in a format called IDX. A file begins with two zero bytes, a byte
# for the type of its numbers and a byte for the number of axes. Then comes the length of each axis, four bytes each, the
# largest first ("big-endian"), and then the numbers.
#
# ```
#   00 00   08        03         00 00 EA 60   00 00 00 1C   00 00 00 1C    then 60000 x 28 x 28 bytes
#           bytes     3 axes         60,000            28            28
# ```
#
# By hand: EA60 is 14 x 4096 + 10 x 256 + 6 x 16 = 60,000. A reader that trusts its file reads anything as numbers, so
# check: the two zeros, a known type, and that exactly as many bytes follow as the lengths promise.
#
# `struct.unpack(">3I", data)` makes three big-endian integers of 12 bytes. `np.frombuffer(data, dtype, offset=16)` makes
# an array of what follows byte 16, without copying. The types in `IDX_TYPES` are big-endian, so convert at the end.

# %%
#| export
IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


# %% nbgrader={"grade": false, "grade_id": "idx", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def parse_idx(data: bytes) -> Array:
    """The array in the bytes of an IDX file.

    TODO: read type, shape and numbers; raise ValueError where the bytes are no IDX file or are too few or too many.
    Approach: data[0:2] must be zeros, data[2] a key of IDX_TYPES, data[3] the number of axes; the lengths by struct.unpack,
    once it is sure that there are enough bytes for them; compare len(data) with what the lengths promise.
    Example: bytes 0 0 8 1, 0 0 0 2, 7 9 give [7, 9] of type uint8.
    Hint: f">{ndim}I" is the format, np.dtype(code).itemsize the bytes of a number; dtype.newbyteorder("=") is the
    machine's own order.
    """
    ### BEGIN SOLUTION
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in IDX_TYPES:
        raise ValueError(f"not in IDX format: it begins with the bytes {data[:4].hex(' ') or 'nothing'}")
    dtype, ndim = np.dtype(IDX_TYPES[data[2]]), data[3]
    start = 4 + 4 * ndim
    if len(data) < start:
        raise ValueError(f"cut off: the lengths of {ndim} axes need {start} bytes, and there are {len(data)}")
    shape = struct.unpack(f">{ndim}I", data[4:start])
    wanted = start + int(np.prod(shape, dtype=object)) * dtype.itemsize
    if len(data) != wanted:
        raise ValueError(
            f"of the wrong size: shape {shape} of {dtype.name} needs {wanted} bytes, and there are {len(data)}"
        )
    return np.frombuffer(data, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))
    ### END SOLUTION


def load_idx(path: str | os.PathLike[str]) -> Array:
    """The array in a file of MNIST's format, plain or gzipped. Raises ValueError when it is damaged or something else."""
    data = Path(path).read_bytes()
    try:
        return parse_idx(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise ValueError(
            f"{path} is {error}" if isinstance(error, ValueError) else f"{path} is damaged: {error}"
        ) from None


# %% nbgrader={"grade": true, "grade_id": "test-idx", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
def test_unit_idx() -> None:
    """The hand-made file, every type, and refusals of what is damaged."""
    small = bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9])
    assert parse_idx(small).tolist() == [7, 9] and parse_idx(small).dtype == np.uint8
    wide = bytes([0, 0, 11, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 0, 255, 255])
    assert parse_idx(wide).tolist() == [[256, -1]] and parse_idx(wide).dtype == np.int16
    for damaged in (b"", small[:-1], small + b"x", b"PK" + small[2:], bytes([0, 0, 10]) + small[3:], small[:6]):
        try:
            parse_idx(damaged)
        except ValueError:
            continue
        raise AssertionError(f"{damaged!r} is no IDX file")
    ### BEGIN HIDDEN TESTS
    for code, dtype in ((8, ">u1"), (9, ">i1"), (12, ">i4"), (13, ">f4"), (14, ">f8")):
        array = (np.arange(24).reshape(2, 3, 4) * 5 - 50).astype(dtype)
        data = bytes([0, 0, code, 3]) + struct.pack(">3I", 2, 3, 4) + array.tobytes()
        assert parse_idx(data).tolist() == array.tolist() and parse_idx(data).dtype == np.dtype(dtype).newbyteorder("=")
    assert parse_idx(bytes([0, 0, 8, 1, 0, 0, 0, 0])).shape == (0,)
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_idx()

# %% [markdown]
# ## Step 8: real data
#
# The readers of whole data sets are given. Read them for what they refuse.
#
# **Digits** come with the package: 1,797 scans of 8 x 8 pixels, by 13 people, as 47 kB. Their order was fixed once at
# random: the first 1,437 are for training, the last 360 for testing. Both parts have digits by the same people.
#
# **CIFAR-10** is 60,000 colour photographs of 32 x 32 pixels in ten classes. Its files are pickles, and a pickle is a
# small program: it may name any function of Python, and loading calls it. A file from the network could delete your own.
# So `_PlainUnpickler` knows just what these files need, numbers, text, lists, dictionaries and arrays of numbers, and
# stops at any other name.
#
# **Downloading** happens only when you ask by `download=True`. A file is kept when its SHA-256 is the known one, and only
# then gets its name.


# %%
#| export
def load_digits(train: bool = True, transform: Callable[[Tensor], Tensor] | None = None) -> TensorDataset:
    """Scanned digits: 1,437 for training or 360 for testing, images (n, 1, 8, 8) from 0 to 1 and labels (n,).

    E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998, CC BY 4.0,
    in the copy that scikit-learn distributes. No network is needed.
    """
    with resources.files("tinytorch").joinpath("datasets", "digits.npz").open("rb") as file, np.load(file) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    part = slice(None, 1437) if train else slice(1437, None)
    scaled = images[part, None].astype(np.float32) / 16
    return TensorDataset(scaled, labels[part].astype(np.int64), transform=transform)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download_file(url: str, path: str | os.PathLike[str], sha256: str, timeout: float = 60.0) -> Path:
    """Fetch a file, unless it is there already. It gets its name only when its SHA-256 is the given one."""
    path = Path(path)
    if path.exists():
        if _sha256(path) != sha256:
            raise ValueError(f"{path} is there, but is not {url}: its SHA-256 differs. Move it away, then try again.")
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response, part.open("wb") as file:
            while block := response.read(1 << 20):
                file.write(block)
        found = _sha256(part)
        if found != sha256:
            raise ValueError(f"{url} is not the file that was expected: its SHA-256 is {found}, not {sha256}")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
MNIST_FILES = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}


def _missing(what: str, path: Path) -> FileNotFoundError:
    return FileNotFoundError(f"{path} is not there: give the folder with {what}'s files, or download=True")


def _image_dataset(images: Array, labels: Any, dtype: Any, transform: Any) -> TensorDataset:
    """Images of bytes as they are for an integer dtype, else scaled to 0..1, and labels as int64."""
    dtype = np.dtype(dtype)
    scaled = np.divide(images, 255, dtype=dtype) if dtype.kind == "f" else images.astype(dtype, copy=False)
    return TensorDataset(as_tensor(scaled, dtype), np.asarray(labels, dtype=np.int64), transform=transform)


def load_mnist(
    folder: str | os.PathLike[str],
    train: bool = True,
    dtype: Any = np.float32,
    transform: Any = None,
    download: bool = False,
) -> TensorDataset:
    """MNIST from the IDX files in a folder, gzipped or not: images (n, 1, 28, 28) and labels (n,).

    Images are scaled to 0..1, or kept as bytes with dtype=np.uint8. Downloads the two files when asked to.
    """
    arrays = []
    for name in [name for name in MNIST_FILES if name.startswith("train" if train else "t10k")]:
        path = Path(folder, name)
        if download:
            download_file(MNIST_URL + name, path, MNIST_FILES[name])
        found = next((each for each in (path, path.with_suffix("")) if each.exists()), None)
        if found is None:
            raise _missing("MNIST", path)
        arrays.append(load_idx(found))
    images, labels = arrays
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise ValueError(f"{folder}: images {images.shape} and labels {labels.shape} do not belong together")
    if images.dtype != np.uint8 or labels.dtype != np.uint8:
        raise ValueError(f"{folder}: images of {images.dtype} and labels of {labels.dtype} are not MNIST's, of bytes")
    return _image_dataset(images[:, None], labels, dtype, transform)


# %%
#| export
CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
CIFAR10_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
CIFAR10_FOLDER = "cifar-10-batches-py"


class _PlainUnpickler(pickle.Unpickler):
    """Reads numbers, text, lists, dictionaries and arrays of numbers; any other name in the file is an error."""

    def find_class(self, module: str, name: str) -> Any:
        """A stand-in for each of the four names that pickled arrays need, made afresh so that no file can change it."""
        asked = f"{module.replace('numpy._core', 'numpy.core')}.{name}"
        if asked == "numpy.core.multiarray._reconstruct":
            return lambda *_: np.empty(0, dtype=np.uint8)  # what follows in the file fills it
        if asked == "numpy.ndarray":
            return "numpy.ndarray"  # only ever handed to _reconstruct
        if asked == "numpy.dtype":
            return lambda code, *_: _number_dtype(code)
        if asked == "_codecs.encode":
            return lambda text, *_: text.encode("latin1")
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is neither an array nor a plain type")


def _number_dtype(code: Any) -> np.dtype:
    dtype = np.dtype(code.decode("ascii") if isinstance(code, bytes) else code, False, True)
    if dtype.kind not in "fiub":
        raise pickle.UnpicklingError(f"it has an array of {dtype.name}, which are no numbers")
    return dtype


def _cifar_batch(path: Path) -> tuple[Array, list[int]]:
    """Images (n, 3, 32, 32) of bytes, and labels; ValueError for anything but such a batch."""
    try:
        with path.open("rb") as file:
            batch = _PlainUnpickler(file, encoding="bytes").load()
        images, labels = (batch[key if key in batch else key.decode()] for key in (b"data", b"labels"))
        if images.dtype != np.uint8 or images.shape != (len(labels), 3072) or not set(labels) <= set(range(10)):
            raise ValueError(f"images {images.shape} of {images.dtype} and {len(labels)} labels do not fit")
    except FileNotFoundError:
        raise _missing("CIFAR-10", path) from None
    except Exception as error:  # a damaged pickle raises nearly anything
        raise ValueError(f"{path} is no batch of CIFAR-10: {error}") from error
    return images.reshape(-1, 3, 32, 32), labels


def _unpack_cifar10(archive: Path, folder: Path, names: Sequence[str]) -> None:
    """Take the named files, and nothing else, out of the archive."""
    with tarfile.open(archive) as tar:
        for name in names:
            member = tar.extractfile(f"{CIFAR10_FOLDER}/{name}")
            if member is None:
                raise ValueError(f"{archive} has no file {name}")
            part = folder / f"{name}.{os.getpid()}.part"
            part.write_bytes(member.read())
            part.replace(folder / name)


def load_cifar10(
    folder: str | os.PathLike[str],
    train: bool = True,
    dtype: Any = np.float32,
    transform: Any = None,
    download: bool = False,
) -> TensorDataset:
    """CIFAR-10 from the pickled batches in a folder, or in cifar-10-batches-py in it: images (n, 3, 32, 32), labels (n,).

    Images are scaled to 0..1, or kept as bytes with dtype=np.uint8, which takes a quarter of the memory. Downloads and
    unpacks the archive when asked to.
    """
    names = [f"data_batch_{number}" for number in range(1, 6)] if train else ["test_batch"]
    place = Path(folder)
    if (place / CIFAR10_FOLDER).is_dir():
        place = place / CIFAR10_FOLDER
    if download and not all((place / name).exists() for name in names):
        archive = download_file(CIFAR10_URL, place / "cifar-10-python.tar.gz", CIFAR10_SHA256)
        _unpack_cifar10(archive, place, names)
    batches = [_cifar_batch(place / name) for name in names]
    images = np.concatenate([images for images, _ in batches])
    return _image_dataset(images, [label for _, labels in batches for label in labels], dtype, transform)


# %% [markdown]
# ## Step 9: Count
#
# CIFAR-10 has 50,000 training images of 3 x 32 x 32 bytes. You train with batches of 128, in float32 (4 bytes a number).
#
# By hand for a smaller one: 10 samples in batches of 4 make 3 batches, the last of 2; with `drop_last` 2 batches, and 2
# samples are left out.


# %% nbgrader={"grade": false, "grade_id": "counts", "locked": false, "schema_version": 3, "solution": true, "task": false}
def loading_counts() -> dict[str, int]:
    """Six numbers, by name.

    TODO: assign each of them, as a number or as a product.
    batches: how many batches an epoch has.
    last_batch: how many samples the last one has.
    left_out: how many samples an epoch leaves out with drop_last.
    byte_set: bytes of all images, kept as bytes.
    float_set: bytes of all images in float32.
    float_batch: bytes of one full batch of images in float32.
    """
    ### BEGIN SOLUTION
    batches = -(-50_000 // 128)
    last_batch = 50_000 - (batches - 1) * 128
    left_out = 50_000 % 128
    byte_set = 50_000 * 3 * 32 * 32
    float_set = 4 * byte_set
    float_batch = 128 * 3 * 32 * 32 * 4
    ### END SOLUTION
    return {
        "batches": batches,
        "last_batch": last_batch,
        "left_out": left_out,
        "byte_set": byte_set,
        "float_set": float_set,
        "float_batch": float_batch,
    }


# %% nbgrader={"grade": true, "grade_id": "test-counts", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
def test_unit_counts() -> None:
    """The six numbers of step 9."""
    counts = loading_counts()
    assert 128 * (counts["batches"] - 1) + counts["last_batch"] == 50_000, "all batches together have every sample"
    assert counts["float_set"] == 4 * counts["byte_set"], "a float32 takes as much as four bytes"
    ### BEGIN HIDDEN TESTS
    assert counts == {
        "batches": 391,
        "last_batch": 80,
        "left_out": 80,
        "byte_set": 153_600_000,
        "float_set": 614_400_000,
        "float_batch": 1_572_864,
    }
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_counts()

# %% [markdown]
# ## Together: an epoch of digits
#
# Scans from the package, split, shifted at random, shuffled, prefetched and in batches: what training will see.
#
# ```
#   load_digits  ->  random_split  ->  DataLoader(shuffle, prefetch)  ->  images (64, 1, 8, 8)  labels (64,)
#    1,437           1,237 | 200        20 batches: 19 x 64 + 21
# ```


# %% nbgrader={"grade": true, "grade_id": "test-module", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
def test_module_dataloader() -> None:
    """Every training scan comes once an epoch as a tensor, and training can be repeated to the bit."""
    digits, tests = load_digits(), load_digits(train=False)
    assert (len(digits), len(tests)) == (1437, 360)
    train, valid = random_split(digits, [1237, 200], seed=0)
    loader = DataLoader(train, batch_size=64, shuffle=True, seed=1, prefetch=2)
    sizes, labels = [], []
    for images, answers in loader:
        assert isinstance(images, Tensor) and images.dtype == np.float32 and images.shape[1:] == (1, 8, 8)
        sizes.append(len(images))
        labels += answers.tolist()
    assert sizes == [64] * 19 + [21] and len(loader) == 20
    assert sorted(labels + [label.item() for _, label in valid]) == sorted(digits.tensors[1].tolist())

    def epoch(number: int, prefetch: int) -> list[Any]:
        shifted = load_digits(transform=Compose([RandomCrop(8, padding=1, seed=4), Normalize(0.3, 0.4)]))
        loader = DataLoader(shifted, batch_size=500, shuffle=True, seed=2, prefetch=prefetch)
        loader.epoch = number
        return [images.tolist() for images, _ in loader]

    assert epoch(1, prefetch=0) == epoch(1, prefetch=2) != epoch(2, prefetch=0)
    ### BEGIN HIDDEN TESTS
    first = next(iter(DataLoader(tests, batch_size=360)))
    assert first[0].numpy().min() == 0.0 and first[0].numpy().max() == 1.0
    assert set(first[1].tolist()) == set(range(10))
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_module_dataloader()

# %% [markdown]
# ## What it costs
#
# First the batch size. A loop fetches all 1,437 digits, once sample by sample with `collate`, once by rows. How many
# times as many samples a second come with batches of 256 as with batches of 1? For `collate`, write your guess: ___. For
# rows, write your guess: ___


# %%
def analyze_batch_size() -> None:
    """Print samples a second by batch size, stacked one by one and picked as rows."""
    from time import perf_counter

    digits = load_digits()
    print("batch size   one by one (samples/s)   by rows (samples/s)")
    for size in (1, 4, 16, 64, 256):
        speeds = []
        for own in (collate, None):
            best = float("inf")
            for _ in range(3):
                begin = perf_counter()
                for _ in DataLoader(digits, batch_size=size, shuffle=True, seed=0, collate=own):
                    pass
                best = min(best, perf_counter() - begin)
            speeds.append(len(digits) / best)
        print(f"{size:>10} {speeds[0]:>24,.0f} {speeds[1]:>21,.0f}")


if __name__ == "__main__":
    analyze_batch_size()

# %% [markdown]
# One by one, a larger batch gains a factor of 2 or 3: each sample is still indexed, wrapped and checked on its own. By
# rows the calls are paid once a batch, so with small batches the speed grows nearly in proportion. A dataset that can
# hand out many samples at once should.
#
# Now the order. Picking rows of an array in shuffled order jumps about in memory. How many times as long does it take as
# picking them in order, for rows of 16 bytes? write your guess: ___. And for rows of 12,288 bytes, a CIFAR-10 image in
# float32? write your guess: ___


# %%
def analyze_shuffling() -> None:
    """Print the time to pick all rows of a 24 MB array, in order and shuffled, by the size of a row."""
    from time import perf_counter

    total = 24 * 2**20
    print("row (bytes)      rows   in order (ns/row)   shuffled (ns/row)   ratio")
    for size in (16, 64, 256, 3_072, 12_288):
        rows = total // size
        data = np.ones((rows, size // 4), dtype=np.float32)
        orders = (np.arange(rows), np.random.default_rng(0).permutation(rows))
        best = [float("inf"), float("inf")]
        for _ in range(3):
            for place, order in enumerate(orders):
                begin = perf_counter()
                for start in range(0, rows, 4096):
                    data[order[start : start + 4096]]
                best[place] = min(best[place], perf_counter() - begin)
        ordered, shuffled = (seconds * 1e9 / rows for seconds in best)
        print(f"{size:>11,} {rows:>9,} {ordered:>19,.1f} {shuffled:>19,.1f} {shuffled / ordered:>7.1f}")


if __name__ == "__main__":
    analyze_shuffling()

# %% [markdown]
# Where these lines were written, the first ratio was about 6 and the last 1.4. Memory comes in lines of 64 bytes. A row
# of 16 bytes uses a quarter of its line, and in order the rest serves the next rows, while a jump throws it away. And a
# processor fetches ahead when you walk in order, but cannot guess a permutation. A row of 12,288 bytes is 192 lines in
# order anyway: one jump for 192 lines is cheap.

# %% [markdown]
# ## Reflection 1
#
# Fetching a batch takes 30 ms and a training step 50 ms; an epoch has 1,000 batches. How long is an epoch without
# prefetching, with `prefetch=1`, and with `prefetch=10`? Then the disk gets slower, and fetching takes 80 ms. What do the
# three cost now, what would help, and what does a larger prefetch cost in memory? 150 to 300 words, with numbers.
#
# - (4 points) 80 s without and about 50 s with prefetching, since the longer of the two sets the pace; 10 is no faster
#   than 1
# - (3 points) with 80 ms: 130 s and about 80 s; only faster fetching or several fetchers help, not more depth
# - (3 points) memory: about depth + 1 batches are alive, with a number; says what depth is good for, uneven fetching
#   times

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-1", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# Without prefetching the two add up: 1,000 x (30 + 50) ms = 80 s. With one batch in advance the thread fetches the next
# while the step runs. After the first 30 ms the step is never kept waiting, and the epoch takes 30 ms + 1,000 x 50 ms,
# about 50 s. With ten in advance it takes the same. The step is the slower of the two, and nine more batches only lie in
# the queue.
#
# With 80 ms for fetching, the plain loop takes 130 s and any prefetching about 80 s: now the step waits 30 ms for each
# batch. Depth does not help, because the queue is always empty. The fetching itself has to get faster: store the data as
# bytes and convert them later, read large pieces in order, decode once and keep the result, or let two threads or
# processes fetch, which would give 40 ms a batch and bring the epoch back to 50 s. Two threads gain only while each waits
# for the disk or computes inside NumPy, since Python's own code runs in one thread at a time.
#
# Depth is good against uneven times. If nine batches take 20 ms and each tenth 120 ms, the mean is 30 ms, but with depth
# 1 the loop waits at each tenth. Some batches in store bridge that. The price is memory: up to `depth` batches wait
# or are in the making, and the loop uses one more. For CIFAR-10 in batches of 128 a batch is 1.57 MB in float32, so
# depth 10 costs about 17 MB, which is nothing. With batches of large photographs, 150 MB each, it would be 1.65 GB.

# %% [markdown]
# ## Reflection 2
#
# `load_digits` splits at random, and its 13 writers appear in both parts. Someone trains on the 1,437 scans, tries 40
# settings, keeps the one that is best on the 360 test scans, 99.2%, and also takes mean and std for `Normalize` from all
# 1,797. What does 99.2% say, and what does it not say? How would you do it? 150 to 300 words.
#
# - (4 points) choosing among 40 settings by the test scans makes the number too good; a validation part is for choosing
# - (3 points) writers in both parts: the number says nothing about a new writer; split by writer
# - (3 points) statistics from test scans leak, here little; take them from the training part; names the size of a
#   difference that 360 scans can show

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-2", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# 99.2% of 360 is 357 right and 3 wrong. It says that this network reads scans of these 13 people well. It does not say
# what it reads of other people, and it is likely to be a little too good even for these.
#
# First, the choice. With 40 settings that are in truth equally good, say 98.5%, chance alone spreads the results: with
# 360 scans the standard deviation is sqrt(0.985 x 0.015 / 360) = 0.64 points. The best of 40 draws lies about two of
# these above the mean, so 99.2% or more is what one expects from choosing alone. I would keep 200 of the training scans
# for validation by `random_split`, choose by them, and look at the test scans once, at the end.
#
# Second, the writers. People write in their own manner, and a network may recognise the hand along with the digit. If a
# user of the program is somebody new, the test must have new people: some writers for training, others for testing. This
# file does not name the writers, so it cannot be done here. It should be said next to the number.
#
# Third, mean and std from all scans carry information of the test part into training. For two numbers out of 115,008
# pixels the effect is tiny. With statistics that have many numbers, or with features that were chosen by looking at all
# the labels, it is not. So the rule is to compute everything that is learnt, averages included, on the training part
# alone.

# %% [markdown]
# ## Reflection 3
#
# A dataset of 200 GB lies on a disk as one file, sorted by class, and memory holds 16 GB. Picking samples in fully
# shuffled order takes a jump on the disk for each. Propose a way of shuffling that reads in large pieces, say what it
# costs, and what goes wrong if you do not shuffle at all. 150 to 300 words.
#
# - (4 points) a way that works: shuffled pieces and a buffer, or shuffling once and writing anew, with sizes that fit 16
#   GB
# - (3 points) what it costs: time, disk, or an order that is less random, and how to see whether that matters
# - (3 points) sorted by class: each batch pulls towards one class; the network forgets the others; batch statistics are
#   wrong

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-3", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# Without shuffling each batch has samples of one class. Its gradient asks for one thing only, to answer that class, and
# for thousands of steps nothing contradicts it. When the next class comes, the network turns to that and forgets the
# first. The loss within an epoch looks excellent and the test result is that of guessing. Averages over a batch, which
# module 09 uses, would also be those of one class, and not fit the mixture met in testing.
#
# I would shuffle once and write the file anew, since it is read many times. Go through the file in order and put each
# sample into one of 100 pieces, chosen at random. Each gets about 2 GB. Then read the pieces one after the other, shuffle
# each in memory, and write it back. That reads and writes 200 GB twice, in large pieces, and the result is a full
# shuffle. It needs room for a second copy on the disk.
#
# For each epoch then take the pieces in a new random order, hold four of them in memory at a time, 8 GB, and draw the
# batches from these at random. All reading is in pieces of 2 GB, as fast as the disk goes. The order is less random than
# a full shuffle: samples of different groups of pieces never meet in one batch within an epoch. As the pieces are
# themselves random samples, each group holds all classes in nearly the right shares, and the groups differ from epoch to
# epoch. Whether that matters can be measured on a part that fits into memory: train once with a full shuffle and once
# with pieces, with several seeds each.

# %% [markdown]
# ## Summary
#
# You built a loader: datasets and their parts, batches of anything, orders that can be repeated, a thread that works
# ahead and goes when its loop does, transforms of whole batches, and readers that check what they read. In PyTorch's
# words they are in `tinytorch.data`.
#
# Now there are data, layers and a loss. Module 06 computes how the loss changes with every weight, which is what training
# needs.
