"""Datasets, batches, orders, the thread that works ahead, transforms, and files that cannot be trusted."""

from __future__ import annotations

import functools
import gc
import gzip
import hashlib
import http.server
import io
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter, namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tinytorch.core import dataloader
from tinytorch.core.dataloader import (
    Compose,
    DataLoader,
    Dataset,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    Subset,
    TensorDataset,
    collate,
    download_file,
    load_cifar10,
    load_digits,
    load_idx,
    load_mnist,
    prefetched,
    random_split,
)
from tinytorch.core.tensor import Tensor, manual_seed

Pair = namedtuple("Pair", "left right")


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    """Catches a background thread that any of these tests leaves behind."""
    before = set(threading.enumerate())
    yield
    gc.collect()
    assert set(threading.enumerate()) <= before


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any request is an error."""

    def refuse(*args: Any, **options: Any) -> None:
        raise AssertionError(f"a request nobody asked for: {args}")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


def numbers_of(loader: Any) -> list[list[int]]:
    return [batch[0].tolist() for batch in loader]


def counted(count: int) -> TensorDataset:
    return TensorDataset(np.arange(count), np.arange(count) * 0.5)


# --- datasets -----------------------------------------------------------------------------------------------------


def test_rows_are_copies_in_a_batch() -> None:
    """Catches batches that are views: a transform in place would change the dataset for good."""
    dataset = counted(6)
    for batch in (dataset.batch(np.array([0, 1, 2])), next(iter(DataLoader(dataset, 3)))):
        batch[0][:] = 99
    assert dataset.tensors[0].tolist() == [0, 1, 2, 3, 4, 5]


def test_dtypes_of_columns() -> None:
    """Catches labels that become floats, and bytes that become four times as large."""
    dataset = TensorDataset(np.zeros((2, 3)), np.zeros(2, np.uint8), [1.5, 2.5], Tensor([1, 2], dtype=np.float64))
    assert [column.dtype for column in dataset[0]] == [np.float32, np.uint8, np.float32, np.float64]
    assert [column.shape for column in dataset.batch([0, 1])] == [(2, 3), (2,), (2,), (2,)]


@pytest.mark.parametrize(
    "columns", [(), (np.zeros(3), np.zeros(2)), (np.float32(1.0),), (np.zeros((0, 2)), np.ones(1))]
)
def test_columns_that_do_not_fit_are_refused_by_shape(columns: tuple[Any, ...]) -> None:
    """Catches labels that end before the images do."""
    with pytest.raises(ValueError, match=r"shapes (none|\()"):
        TensorDataset(*columns)


def test_a_dataset_without_its_methods_says_which() -> None:
    """Catches a bare NotImplementedError."""

    class Half(Dataset):
        def __len__(self) -> int:
            return 2

    with pytest.raises(NotImplementedError, match="Half has no samples: define __getitem__"):
        Half()[0]
    with pytest.raises(NotImplementedError, match="Dataset does not say how many samples"):
        len(Dataset())


def test_iteration_ends() -> None:
    """Catches `for sample in dataset` that runs past the end of a dataset without IndexError."""

    class Endless(Dataset):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> int:
            return index

    assert list(Endless()) == [0, 1, 2] and list(Subset(Endless(), [2, 2, 0])) == [2, 2, 0]
    assert [batch.tolist() for batch in DataLoader(Endless(), 2)] == [[0, 1], [2]]


@given(st.integers(1, 60), st.data())
def test_random_split_shares_out_every_sample_once(count: int, data: st.DataObject) -> None:
    """Catches a sample that is in two parts, and so in training and in the test."""
    cut = data.draw(st.integers(0, count))
    parts = random_split(range(count), [cut, count - cut], seed=data.draw(st.integers(0, 9)))
    assert sorted([*parts[0], *parts[1]]) == list(range(count)) and len(parts[0]) == cut


@pytest.mark.parametrize(
    ("count", "shares", "wanted"),
    [  # torch.utils.data.random_split of PyTorch 2.13
        (7, [0.8, 0.2], [6, 1]),
        (10, [1 / 3] * 3, [4, 3, 3]),
        (11, [0.25] * 4, [3, 3, 3, 2]),
        (5, [0.5, 0.5, 0.0], [3, 2, 0]),
        (1797, [0.1] * 10, [180] * 7 + [179] * 3),
    ],
)
def test_shares_are_rounded_as_in_pytorch(count: int, shares: list[float], wanted: list[int]) -> None:
    """Catches lengths that do not add up after rounding."""
    assert [len(part) for part in random_split(range(count), shares, seed=0)] == wanted


@pytest.mark.parametrize("lengths", [[3, 3], [], [-1, 11], [0.5, 0.4], [1.5, -0.5], [5, 6]])
def test_lengths_that_do_not_add_up_are_refused(lengths: list[float]) -> None:
    """Catches samples that silently stay out."""
    with pytest.raises(ValueError, match="add up to"):
        random_split(range(10), lengths)


def test_shares_may_be_numbers_of_numpy() -> None:
    """Catches np.float32(0.5) read as a count of samples."""
    assert [len(part) for part in random_split(range(10), [np.float32(0.5), np.float32(0.5)])] == [5, 5]


def test_split_follows_manual_seed() -> None:
    """Catches a split that differs from run to run although everything was seeded."""
    manual_seed(3)
    once = list(random_split(range(50), [25, 25])[0])
    manual_seed(3)
    assert list(random_split(range(50), [25, 25])[0]) == once
    assert list(random_split(range(50), [25, 25])[0]) != once


@pytest.mark.parametrize("indices", [[0, 5], [-1]])
def test_a_subset_of_samples_that_are_not_there_is_refused(indices: list[int]) -> None:
    """Catches -1 taken as the last sample, and an IndexError in the middle of an epoch."""
    with pytest.raises(ValueError, match=f"sample {indices[-1]}: the dataset has 5"):
        Subset(range(5), indices)


@pytest.mark.parametrize("indices", [[False, True, True], np.array([0.0, 1.7]), ["1"]])
def test_a_subset_takes_whole_numbers_only(indices: Any) -> None:
    """Catches a mask, which chose samples 0 and 1 over and over, and fractions that were cut off."""
    with pytest.raises(TypeError, match=r"whole numbers, not .*flatnonzero\(mask\)"):
        Subset(range(5), indices)


def test_a_subset_of_nothing_has_no_samples() -> None:
    """Catches an empty list of numbers that becomes an array of floats."""
    assert len(Subset(range(5), [])) == 0 and list(Subset(range(5), [])) == []


# --- batches ------------------------------------------------------------------------------------------------------


def test_collate_keeps_every_container() -> None:
    """Catches named tuples, lists and dictionaries that come back as something else."""
    sample = (Pair(1, [2.0, "word"]), {"x": np.zeros((2, 3), np.uint8), "deep": {"y": Tensor([1.0])}}, True)
    batch = collate([sample] * 4)
    assert type(batch) is tuple and type(batch[0]) is Pair and type(batch[0].right) is list
    assert batch[0].left.tolist() == [1] * 4 and batch[0].left.dtype == np.int64
    assert batch[0].right[1] == ["word"] * 4
    assert batch[1]["x"].shape == (4, 2, 3) and batch[1]["x"].dtype == np.uint8
    assert batch[1]["deep"]["y"].shape == (4, 1)
    assert batch[2].dtype == np.bool_


@given(arrays(np.float32, array_shapes(max_dims=3, max_side=4), elements=st.floats(-9, 9, width=32)), st.integers(1, 5))
def test_collate_stacks(array: np.ndarray, count: int) -> None:
    """Catches samples that are joined along one of their own axes."""
    batch = collate([array * number for number in range(count)])
    assert batch.shape == (count, *array.shape)
    assert [row.tolist() for row in batch] == [(array * number).tolist() for number in range(count)]


def test_numbers_of_two_kinds_in_one_place() -> None:
    """Catches an int in the first sample that makes integers of all the others."""
    assert collate([1, 2.5]).tolist() == [1.0, 2.5] and collate([np.float64(1.5), 2]).tolist() == [1.5, 2.0]


def test_gradients_reach_samples_that_want_them() -> None:
    """Catches tensors that are stacked behind the back of the graph."""
    assert collate([Tensor([1.0], requires_grad=True)] * 2).requires_grad


ODD = [
    ([np.zeros(2), np.zeros(3)], r"sample is .*shape \(2,\).*shape \(3,\).*[Cc]rop or pad"),
    ([(1, 2), (1, 2, 3)], "sample is .*length 2.*length 3"),
    ([{"a": 1}, {"b": 1}], r"sample is .*keys \['a'\].*keys \['b'\]"),
    ([(0, {"a": [1, np.zeros(2)]}), (0, {"a": [1, np.zeros(1)]})], r"sample\[1\]\['a'\]\[1\] is .*\(2,\).*\(1,\)"),
    ([1, "one"], "sample is a number .* a text"),
    ([Tensor([1.0]), np.ones(1)], "a tensor .* a number"),
    ([], "no samples"),
]


@pytest.mark.parametrize(("samples", "said"), ODD, ids=[said[:30] for _, said in ODD])
def test_samples_that_differ_are_refused_with_their_place(samples: list[Any], said: str) -> None:
    """Catches NumPy's "all input arrays must have the same shape", which says neither where nor which."""
    with pytest.raises(ValueError, match=said):
        collate(samples)


@pytest.mark.parametrize("value", [None, object(), {1, 2}, 1 + 2j])
def test_what_has_no_batch_is_a_type_error(value: Any) -> None:
    """Catches None, for an image that could not be read, turned into an array of objects."""
    with pytest.raises(TypeError, match=r"sample\[0\] is a .* your own collate"):
        collate([(value, 1), (value, 2)])


# --- the loader ---------------------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(1, 12), st.booleans(), st.booleans(), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_each_epoch_has_every_sample_once(count: int, size: int, shuffle: bool, drop: bool, prefetch: int) -> None:
    """Catches lost, doubled and reordered samples at every combination of settings."""
    if drop and count < size:
        return
    loader = DataLoader(counted(count), size, shuffle=shuffle, seed=1, drop_last=drop, prefetch=prefetch)
    for _ in range(2):
        batches = numbers_of(loader)
        seen = [number for batch in batches for number in batch]
        assert len(batches) == len(loader) and all(len(batch) == size for batch in batches[:-1])
        assert len(set(seen)) == len(seen) == (count // size * size if drop else count)
        assert shuffle or seen == sorted(seen)


def test_every_order_is_equally_likely() -> None:
    """Catches a shuffle that favours some orders: 24 orders of 4 samples over 2,400 epochs."""
    loader = DataLoader(counted(4), 4, shuffle=True, seed=0)
    times = Counter(tuple(loader.order(epoch)) for epoch in range(2_400))
    assert len(times) == 24 and all(60 <= number <= 145 for number in times.values())


def test_an_epoch_depends_on_seed_and_number_alone() -> None:
    """Catches orders drawn one after the other: training taken up again would see other batches."""
    one = DataLoader(counted(20), 6, shuffle=True, seed=8)
    epochs = [numbers_of(one) for _ in range(4)]
    assert one.epoch == 4 and len({str(each) for each in epochs}) == 4
    other = DataLoader(counted(20), 6, shuffle=True, seed=8)
    other.epoch = 3
    assert numbers_of(other) == epochs[3]
    next(iter(other))  # begun, not finished
    assert other.epoch == 5


def test_two_loops_over_one_loader_do_not_disturb_each_other() -> None:
    """Catches a position kept in the loader itself."""
    loader = DataLoader(counted(4), 2)
    assert [(a[0].tolist(), b[0].tolist()) for a, b in zip(loader, loader, strict=True)] == [
        ([0, 1],) * 2,
        ([2, 3],) * 2,
    ]


def test_without_a_seed_manual_seed_decides() -> None:
    """Catches a loader that cannot be repeated, and two loaders that shuffle alike."""

    def orders() -> list[Any]:
        manual_seed(5)
        return [numbers_of(DataLoader(counted(30), 30, shuffle=True)) for _ in range(2)]

    assert orders() == orders() and orders()[0] != orders()[1]


def test_rows_and_single_samples_give_the_same_batches() -> None:
    """Catches a fast path that differs from the plain one, through subsets too."""
    dataset = Subset(counted(9), [8, 1, 7, 3, 2])
    fast = DataLoader(dataset, 2, shuffle=True, seed=3)
    slow = DataLoader(dataset, 2, shuffle=True, seed=3, collate=collate)
    for a, b in zip(fast, slow, strict=True):
        assert [x.tolist() for x in a] == [x.tolist() for x in b] and [x.dtype for x in a] == [x.dtype for x in b]


def test_batches_are_tensors() -> None:
    """Catches arrays that get through to the layers."""
    for loader in (DataLoader(counted(3), 2), DataLoader([(np.ones(2), 1)] * 3, 2)):
        assert all(isinstance(part, Tensor) for batch in loader for part in batch)


REFUSED = [
    ({"batch_size": 0}, "batch_size is 0, and must be a whole number of at least 1"),
    ({"batch_size": 2.0}, r"batch_size is 2\.0"),
    ({"batch_size": True}, "batch_size is True"),
    ({"prefetch": -1}, "prefetch is -1, and must be a whole number of at least 0"),
    ({"shuffle": True, "seed": -1}, "seed is -1, and must be a whole number of at least 0"),
    ({"shuffle": True, "seed": "7"}, "seed is '7'"),
    ({"batch_size": 6, "drop_last": True}, "no batch would come: the dataset has 5 samples and drop_last"),
]


@pytest.mark.parametrize(("options", "said"), REFUSED)
def test_settings_that_give_no_batch_are_refused(options: dict[str, Any], said: str) -> None:
    """Catches training on nothing, which reports a fine loss of 0."""
    with pytest.raises(ValueError, match=said):
        DataLoader(counted(5), **options)


def test_an_empty_dataset_is_refused() -> None:
    """Catches the same for a filter that kept no sample."""
    for empty in ([], Subset(counted(5), [])):
        with pytest.raises(ValueError, match="the dataset has 0 samples"):
            DataLoader(empty, 4)


# --- the thread that works ahead ----------------------------------------------------------------------------------


class Slow(Dataset):
    """Samples that note when they are fetched, and by which thread; one of them may fail."""

    def __init__(self, fails: int = -1, error: BaseException | None = None) -> None:
        self.fetched: list[int] = []
        self.threads: set[str] = set()
        self.fails, self.error = fails, error

    def __len__(self) -> int:
        return 100

    def __getitem__(self, index: int) -> int:
        self.fetched.append(index)
        self.threads.add(threading.current_thread().name)
        if index == self.fails and self.error is not None:
            raise self.error
        return index


def alive() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "prefetch" in thread.name]


def test_the_thread_works_ahead_but_not_too_far() -> None:
    """Catches a queue without bounds, and prefetching that prefetches nothing."""
    for depth in (1, 4):
        dataset = Slow()
        loop = iter(DataLoader(dataset, 1, prefetch=depth))
        assert dataset.fetched == [] and alive() == [], "nothing is begun before the first batch is asked for"
        next(loop)
        deadline = time.monotonic() + 5
        while len(dataset.fetched) < 1 + depth and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.02)
        assert len(dataset.fetched) == 1 + depth
        assert dataset.threads == {"tinytorch prefetch"}
        loop.close()
        assert alive() == []


def test_fetching_and_computing_overlap() -> None:
    """Catches a thread that waits for the loop: ten events pass between the two only if both run at once."""
    started = [threading.Event() for _ in range(10)]

    def batches() -> Iterator[int]:
        for number in range(10):
            started[number].set()
            yield number

    for number in prefetched(batches(), 1):
        if number < 9:
            assert started[number + 1].wait(5), "batch n + 1 must be begun while batch n is in use"


@pytest.mark.parametrize("depth", [1, 2, 50, 1000])
def test_break_ends_the_thread(depth: int) -> None:
    """Catches a thread that waits for ever on a full queue."""
    for batch in DataLoader(Slow(), 5, prefetch=depth):
        if batch.tolist()[0] == 10:
            break
    assert alive() == []


def test_an_exception_in_the_loop_ends_the_thread() -> None:
    """Catches a thread that outlives a training step that fails."""
    with pytest.raises(ZeroDivisionError):
        for _ in DataLoader(Slow(), 5, prefetch=2):
            raise ZeroDivisionError
    gc.collect()  # pytest keeps the traceback, and with it the loop's frame
    assert alive() == []


def test_a_forgotten_loop_ends_its_thread() -> None:
    """Catches a thread that holds on to its own generator."""
    loop = iter(DataLoader(Slow(), 5, prefetch=2))
    next(loop)
    assert len(alive()) == 1
    del loop
    gc.collect()
    assert alive() == []


@pytest.mark.parametrize("error", [OSError("disk"), KeyError(3), KeyboardInterrupt(), SystemExit(2), MemoryError()])
def test_errors_of_the_thread_arrive_in_the_loop(error: BaseException) -> None:
    """Catches errors that end the thread in silence and leave the loop waiting."""
    seen = []
    with pytest.raises(type(error)) as caught:
        for batch in DataLoader(Slow(fails=25, error=error), 10, prefetch=2):
            seen.append(batch.tolist()[0])
    assert caught.value is error and seen == [0, 10]
    assert any(frame.name == "__getitem__" for frame in caught.traceback), "the traceback shows the dataset's line"


def test_a_dataset_that_raises_stop_iteration_does_not_end_the_epoch() -> None:
    """Catches an epoch that is silently cut short."""
    for prefetch in (0, 2):
        with pytest.raises(RuntimeError, match="StopIteration"):
            list(DataLoader(Slow(fails=25, error=StopIteration()), 10, prefetch=prefetch))


def test_an_abandoned_loop_does_not_keep_the_program_alive() -> None:
    """Catches a program that never exits."""
    program = (
        "from tinytorch.core.dataloader import DataLoader\n"
        "loop = iter(DataLoader(range(1000), 1, prefetch=2)); next(loop); print('end')"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


# --- transforms ---------------------------------------------------------------------------------------------------

images4 = arrays(np.uint8, st.tuples(*(st.integers(1, 5) for _ in range(4))))


@given(images4, st.integers(0, 99))
@settings(max_examples=50)
def test_flips_mirror_whole_images_only(images: np.ndarray, seed: int) -> None:
    """Catches channels or rows that are mirrored apart, and a dtype that is lost."""
    result = RandomHorizontalFlip(0.5, seed)(images)
    assert result.dtype == np.uint8
    for before, after in zip(images, result.numpy(), strict=True):
        assert np.array_equal(after, before) or np.array_equal(after, before[:, :, ::-1])
    assert RandomHorizontalFlip(1.0)(images).tolist() == images[..., ::-1].tolist()


@given(images4, st.integers(0, 2), st.data())
@settings(max_examples=50)
def test_crops_are_windows_of_the_padded_image(images: np.ndarray, padding: int, data: st.DataObject) -> None:
    """Catches channels cropped at different places, and windows that reach past the margin."""
    padded = np.pad(images, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    rows, columns = padded.shape[2:]
    height, width = data.draw(st.integers(1, rows)), data.draw(st.integers(1, columns))
    result = RandomCrop((height, width), padding, seed=1)(images)
    assert result.shape == (*images.shape[:2], height, width) and result.dtype == np.uint8
    for before, after in zip(padded, result.numpy(), strict=True):
        windows = (
            before[:, top : top + height, left : left + width]
            for top in range(rows - height + 1)
            for left in range(columns - width + 1)
        )
        assert any(np.array_equal(after, window) for window in windows)


def test_crops_reach_every_place_about_as_often() -> None:
    """Catches a last row or column at which no window ever begins."""
    image = np.arange(12.0).reshape(1, 1, 3, 4)
    corners = RandomCrop((2, 2), padding=1, seed=0)(np.tile(image + 1, (4_000, 1, 1, 1))).numpy()
    times = Counter(str(crop.tolist()) for crop in corners)
    assert len(times) == 4 * 5 and all(140 <= number <= 270 for number in times.values())


def test_transforms_leave_the_images_they_are_given() -> None:
    """Catches a dataset that is mirrored for good."""
    images = np.arange(24.0).reshape(2, 1, 3, 4)
    kept = images.copy()
    for transform in (RandomHorizontalFlip(1.0), RandomCrop(2, 1), Normalize(1, 2)):
        transform(images), transform(Tensor(images)), transform(images[0])
    assert np.array_equal(images, kept)


def test_images_change_one_by_one_and_from_epoch_to_epoch() -> None:
    """Catches one coin for a whole batch, and the same coins in every epoch."""
    images = np.tile(np.arange(8.0).reshape(1, 1, 8), (64, 1, 1, 1))
    flip = RandomHorizontalFlip(seed=0)
    coins = []
    for epoch in (0, 1, 0):
        flip.start_epoch(epoch)
        coins.append(tuple(flip(images).numpy()[:, 0, 0, 0] == 7))
    assert 16 < sum(coins[0]) < 48 and coins[0] != coins[1] and coins[0] == coins[2]


@pytest.mark.parametrize("prefetch", [0, 3])
def test_augmented_epochs_can_be_repeated_after_a_break(prefetch: int) -> None:
    """Catches random numbers that depend on how far a thread ran ahead before the loop ended."""
    transform = Compose([RandomHorizontalFlip(seed=1), RandomCrop(3, padding=1, seed=2)])
    images = TensorDataset(np.arange(40 * 9.0).reshape(40, 1, 3, 3), transform=transform)
    train, _ = random_split(images, [30, 10], seed=0)
    loader = DataLoader(train, 4, shuffle=True, seed=3, prefetch=prefetch)
    for _ in loader:
        break
    second = [batch[0].tolist() for batch in loader]
    loader.epoch = 1
    assert [batch[0].tolist() for batch in loader] == second


def test_normalize_is_arithmetic_by_channel() -> None:
    """Catches means along the wrong axis."""
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 4)).astype(np.uint8)
    mean, std = images.mean(axis=(0, 2, 3)), images.std(axis=(0, 2, 3))
    result = Normalize(mean, std)(images)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result.numpy().mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(result.numpy().std(axis=(0, 2, 3)), 1, atol=1e-5)
    np.testing.assert_allclose(Normalize(mean, std)(images[1]).numpy(), result.numpy()[1])


WRONG = [
    (lambda: RandomHorizontalFlip(1.5), "p is 1.5"),
    (lambda: RandomHorizontalFlip()(np.zeros((8, 8))), r"RandomHorizontalFlip takes images.*\(8, 8\).*unsqueeze"),
    (lambda: RandomCrop(0), "size 0 must be at least 1"),
    (lambda: RandomCrop(4, padding=-1), "padding -1 at least 0"),
    (lambda: RandomCrop(9)(np.zeros((1, 8, 8))), "cannot crop 9 x 9 from images of 8 x 8"),
    (lambda: Normalize([0, 0], 1)(np.zeros((3, 8, 8))), r"Normalize has 2 channels, the images have shape \(3, 8, 8\)"),
    (lambda: Normalize(0, [1, 1])(np.zeros((3, 8, 8))), "Normalize has 2 channels"),
    (lambda: Normalize(0, 1)(np.zeros((8, 8))), r"shape \(8, 8\)"),
    (lambda: Normalize(0, [1, 0, 1]), "every std must be above 0"),
]


@pytest.mark.parametrize(("call", "said"), WRONG, ids=[said[:30] for _, said in WRONG])
def test_wrong_images_and_settings_are_refused(call: Any, said: str) -> None:
    """Catches an image without channels whose rows are taken for channels, and a division by zero."""
    with pytest.raises(ValueError, match=said):
        call()


# --- digits -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("offline")
def test_digits_are_scikit_learns() -> None:
    """Catches a lost, doubled or mislabelled scan: the hash was computed from sklearn.datasets.load_digits() 1.9.1."""
    parts = [load_digits(train=train).tensors for train in (True, False)]
    assert [images.shape for images, _ in parts] == [(1437, 1, 8, 8), (360, 1, 8, 8)]
    assert all(images.dtype == np.float32 and labels.dtype == np.int64 for images, labels in parts)
    rows = sorted(
        bytes((image * 16).astype(np.uint8).ravel()) + bytes([label])
        for images, labels in parts
        for image, label in zip(images.numpy(), labels.numpy(), strict=True)
    )
    assert (
        hashlib.sha256(b"".join(rows)).hexdigest() == "f67d6a29d0e1f70e7f0cd9dcf25816b694881f4b8f27f5cc1db59551f0499fb8"
    )


def test_the_split_of_the_digits_is_fixed_and_fair() -> None:
    """Catches a split that changes with NumPy's generator, and a part that lacks a digit."""
    train, test = load_digits().tensors[1].numpy(), load_digits(train=False).tensors[1].numpy()
    assert train[:10].tolist() == [6, 6, 6, 2, 5, 6, 6, 2, 2, 1]
    assert np.bincount(test).tolist() == [39, 37, 47, 28, 42, 32, 37, 27, 30, 41]
    assert np.bincount(train).min() > 100


def test_digits_can_be_learnt_by_their_nearest_neighbour() -> None:
    """Catches images and labels that are shuffled apart: a neighbour knows 98% of these digits."""
    (x, y), (a, b) = (tuple(t.numpy() for t in load_digits(train=train).tensors) for train in (True, False))
    x, a = x.reshape(len(x), -1), a.reshape(len(a), -1)
    distances = (x * x).sum(1) - 2 * a @ x.T
    assert (y[distances.argmin(axis=1)] == b).mean() > 0.97


# --- MNIST's format -----------------------------------------------------------------------------------------------


def idx(array: np.ndarray, code: int = 8) -> bytes:
    """An IDX file written as Y. LeCun describes it."""
    return struct.pack(">HBB", 0, code, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@given(
    st.sampled_from([(8, ">u1"), (9, ">i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")]),
    array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    st.booleans(),
    st.data(),
)
@settings(max_examples=60)
def test_idx_files_of_every_type_come_back(kind: Any, shape: Any, zipped: bool, data: st.DataObject) -> None:
    """Catches a byte order taken for the machine's, and an array that cannot be written to."""
    code, dtype = kind
    array = data.draw(arrays(np.dtype(dtype), shape))
    content = gzip.compress(idx(array, code)) if zipped else idx(array, code)
    file = io.BytesIO(content)
    read = dataloader.parse_idx(gzip.decompress(file.read()) if zipped else file.read())
    assert read.dtype == np.dtype(dtype).newbyteorder("=") and read.shape == shape
    assert read.tobytes() == array.astype(read.dtype).tobytes() and read.flags.writeable


@pytest.mark.parametrize("zipped", [False, True])
def test_load_idx_reads_plain_and_gzipped_files(tmp_path: Path, zipped: bool) -> None:
    """Catches a reader that goes by the file's name: browsers unpack .gz without renaming it."""
    array = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    for name in ("images-idx3-ubyte.gz", "images-idx3-ubyte"):
        (tmp_path / name).write_bytes(gzip.compress(idx(array)) if zipped else idx(array))
        assert np.array_equal(load_idx(tmp_path / name), array) and np.array_equal(
            load_idx(str(tmp_path / name)), array
        )


WHOLE = idx(np.arange(6, dtype=np.uint8).reshape(2, 3))
DAMAGED = {
    "nothing": (b"", "begins with the bytes nothing"),
    "a page of HTML": (b"<html><body>404</body></html>", "begins with the bytes 3c 68 74 6d"),
    "a type of no meaning": (b"\0\0\x0a\x01\0\0\0\0", "begins with the bytes 00 00 0a 01"),
    "cut off in the lengths": (WHOLE[:9], "2 axes need 12 bytes, and there are 9"),
    "cut off in the numbers": (WHOLE[:-1], r"shape \(2, 3\) of uint8 needs 18 bytes, and there are 17"),
    "something behind it": (WHOLE + b"!", "needs 18 bytes, and there are 19"),
    "lengths of a lie": (b"\0\0\x08\x03" + b"\xff" * 12, r"needs \d{20,} bytes, and there are 16"),
    "a gzip file cut off": (gzip.compress(WHOLE)[:-9], "is damaged"),
    "a gzip file with a wrong sum": (gzip.compress(WHOLE)[:-8] + b"\0" * 8, "is damaged"),
    "a gzip file with a wrong middle": (gzip.compress(WHOLE)[:12] + b"\xff" * 20, "is damaged"),
}


@pytest.mark.parametrize(("content", "said"), DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_idx_files_are_refused_by_name(tmp_path: Path, content: bytes, said: str) -> None:
    """Catches noise that is read as images, and memory asked for on the word of a damaged file."""
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=said) as caught:
        load_idx(tmp_path / "file")
    assert str(tmp_path / "file") in str(caught.value)


@pytest.mark.usefixtures("offline")
def test_load_mnist_reads_a_folder(tmp_path: Path) -> None:
    """Catches training files taken for test files, wrong scaling and missing channels."""
    images = np.random.default_rng(0).integers(0, 256, (4, 28, 28)).astype(np.uint8)
    images[0, 0, :2] = 0, 255
    labels = np.array([5, 0, 4, 1], np.uint8)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(labels))
    dataset = load_mnist(tmp_path)
    x, y = dataset.batch(np.arange(4))
    assert x.shape == (4, 1, 28, 28) and x.dtype == np.float32 and y.tolist() == [5, 0, 4, 1] and y.dtype == np.int64
    np.testing.assert_allclose(x.numpy()[:, 0] * 255, images, atol=1e-4)
    assert x.numpy().min() == 0 and x.numpy().max() == 1
    kept = load_mnist(tmp_path, dtype=np.uint8).tensors[0]
    assert kept.dtype == np.uint8 and np.array_equal(kept.numpy()[:, 0], images)
    with pytest.raises(FileNotFoundError, match=r"t10k-images.*download=True"):
        load_mnist(tmp_path, train=False)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(labels[:3]))
    with pytest.raises(ValueError, match=r"images \(4, 28, 28\) and labels \(3,\) do not belong together"):
        load_mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(labels.astype(">f4"), 13))
    with pytest.raises(ValueError, match="images of uint8 and labels of float32"):  # 1.5 was cut to a label 1
        load_mnist(tmp_path)


# --- CIFAR-10 -----------------------------------------------------------------------------------------------------


def python2_pickle(images: np.ndarray, labels: list[int]) -> bytes:
    """A batch as Python 2 and its NumPy wrote them (protocol 2, byte strings), by hand from pickletools' opcodes."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value if len(value) < 256 else b"T" + struct.pack("<i", len(value)) + value

    rows, columns = images.shape
    dtype = (
        b"cnumpy\ndtype\n"
        + text(b"u1")
        + b"K\0K\1\x87R(K\3"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    )
    shape = b"J" + struct.pack("<i", rows) + b"J" + struct.pack("<i", columns) + b"\x86"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + text(b"b") + b"\x87R"
        b"(K\1" + shape + dtype + b"\x89" + text(images.tobytes()) + b"tb"
    )
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    names = b"](" + b"".join(text(b"cat_%d.png" % number) for number in range(rows)) + b"e"
    parts = {b"batch_label": text(b"training batch 1 of 5"), b"labels": numbers, b"data": array, b"filenames": names}
    return b"\x80\x02}(" + b"".join(text(key) + value for key, value in parts.items()) + b"u."


def cifar(seed: int, rows: int = 3) -> tuple[np.ndarray, list[int]]:
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (rows, 3072)).astype(np.uint8), random.integers(0, 10, rows).tolist()


def write_cifar(folder: Path, writer: Any = python2_pickle) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, 6):
        (folder / f"data_batch_{number}").write_bytes(writer(*cifar(number)))
    (folder / "test_batch").write_bytes(writer(*cifar(6)))


def python3_pickle(images: np.ndarray, labels: list[int], protocol: int = 2) -> bytes:
    return pickle.dumps({"data": images, "labels": labels}, protocol=protocol)


WRITERS = [python2_pickle, *(functools.partial(python3_pickle, protocol=number) for number in range(5))]


@pytest.mark.parametrize("writer", WRITERS, ids=["python 2", *(f"protocol {number}" for number in range(5))])
@pytest.mark.parametrize("below", [".", "cifar-10-batches-py"])
@pytest.mark.usefixtures("offline")
def test_cifar_batches_are_read_in_order(tmp_path: Path, writer: Any, below: str) -> None:
    """Catches colours that are mixed up, batches out of order, and pickles of another Python."""
    write_cifar(tmp_path / below, writer)
    x, y = load_cifar10(tmp_path, dtype=np.uint8).tensors
    wanted = [cifar(number) for number in range(1, 6)]
    assert x.shape == (15, 3, 32, 32) and x.dtype == np.uint8 and y.dtype == np.int64
    assert y.tolist() == [label for _, labels in wanted for label in labels]
    assert np.array_equal(x.numpy().reshape(15, 3072), np.concatenate([images for images, _ in wanted]))
    assert x.numpy()[0, 1, 0, 5] == wanted[0][0][0, 1024 + 5], "the second 1,024 bytes are green"
    test = load_cifar10(tmp_path, train=False)
    assert len(test) == 3 and test.tensors[0].dtype == np.float32
    np.testing.assert_allclose(test.tensors[0].numpy().reshape(3, 3072) * 255, cifar(6)[0], atol=1e-4)


class Evil:
    """Runs a command when it is unpickled by pickle itself."""

    def __reduce__(self) -> Any:
        return os.system, ("echo pwned > pwned",)


IMAGES, LABELS = cifar(0)
HOSTILE = {
    "a command": pickle.dumps(Evil()),
    "a command among data": pickle.dumps({"data": IMAGES, "labels": LABELS, "more": Evil()}, protocol=2),
    "an old-style command": b"(S'echo pwned > pwned'\nios\nsystem\n.",
    "eval": b"cbuiltins\neval\n(V1+1\ntR.",
    "a name with dots": b"\x80\x04\x8c\x05numpy\x8c\x0dndarray.tofile\x93.",
    "a function of numpy": b"cnumpy\nload\n(S'x'\ntR.",
    "frombuffer": pickle.dumps({"data": IMAGES, "labels": LABELS}, protocol=5),
    "objects in an array": pickle.dumps({"data": np.array([[1, "a"]], dtype=object), "labels": [1]}, protocol=2),
    "objects beside the images": pickle.dumps(
        {"data": IMAGES, "labels": LABELS, "more": np.array([print.__name__], dtype=object)}, protocol=2
    ),
    "state for a stand-in": b"cnumpy\nndarray\n}S'x'\nK\1sb.",
    "code for a stand-in": b"c_codecs\nencode\n(N}S'__code__'\nK\1stb.",
    "no dictionary": pickle.dumps([1, 2]),
    "no labels": pickle.dumps({"data": IMAGES}, protocol=2),
    "too few labels": python2_pickle(IMAGES, LABELS[:-1]),
    "a label of 10": python2_pickle(IMAGES, [0, 10, 1]),
    "floats": pickle.dumps({"data": IMAGES * 1.0, "labels": LABELS}, protocol=2),
    "images of another size": pickle.dumps({"data": IMAGES[:, :3071], "labels": LABELS}, protocol=2),
    "cut off": python2_pickle(IMAGES, LABELS)[:-200],
    "nothing": b"",
    "no pickle": b"<html>404</html>",
    "an array that lies about its size": python2_pickle(IMAGES, LABELS).replace(b"J\3\0\0\0", b"J\xff\xff\xff\x7f"),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_nothing_but_arrays_and_plain_types_is_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """Catches a data file that runs a program, and one that is damaged, read as images."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test_batch").write_bytes(content)
    with pytest.raises(ValueError, match=r"test_batch is no batch of CIFAR-10: ."):
        load_cifar10(tmp_path, train=False)
    assert not (tmp_path / "pwned").exists()
    (tmp_path / "test_batch").write_bytes(python2_pickle(IMAGES, LABELS))
    assert len(load_cifar10(tmp_path, train=False)) == 3, "a hostile file must not spoil the reader for the next"


@pytest.mark.usefixtures("offline")
def test_missing_cifar_files_say_where_and_what_to_do(tmp_path: Path) -> None:
    """Catches a download that nobody asked for."""
    with pytest.raises(FileNotFoundError, match=r"data_batch_1 is not there.*download=True"):
        load_cifar10(tmp_path)


# --- downloads ----------------------------------------------------------------------------------------------------


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """A web server on this machine, and the folder that it serves."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

    monkeypatch.setenv("no_proxy", "*")
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", folder
        server.shutdown()
        thread.join()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_download_gets_its_name_only_when_its_sum_is_right(served: tuple[str, Path], tmp_path: Path) -> None:
    """Catches a file cut off or exchanged on the way that is used for ever after."""
    url, folder = served
    (folder / "data").write_bytes(b"right" * 1000)
    goal = tmp_path / "new" / "folder" / "data"
    with pytest.raises(ValueError, match="SHA-256"):
        download_file(url + "data", goal, sha(b"other"))
    assert list(goal.parent.iterdir()) == []
    with pytest.raises(urllib.error.HTTPError) as caught:
        download_file(url + "nowhere", goal, sha(b"right"))
    caught.value.close()
    assert list(goal.parent.iterdir()) == []
    assert download_file(url + "data", goal, sha(b"right" * 1000)).read_bytes() == b"right" * 1000
    assert list(goal.parent.iterdir()) == [goal]


@pytest.mark.usefixtures("offline")
def test_a_file_that_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    """Catches a second download, and a learner's own file that is overwritten."""
    goal = tmp_path / "data"
    goal.write_bytes(b"mine")
    assert download_file("http://127.0.0.1:9/data", goal, sha(b"mine")) == goal
    with pytest.raises(ValueError, match="Move it away"):
        download_file("http://127.0.0.1:9/data", goal, sha(b"theirs"))
    assert goal.read_bytes() == b"mine"


def test_cifar_is_downloaded_when_asked_for(
    served: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches members of an archive that are written outside the folder, and a second download."""
    url, folder = served
    write_cifar(tmp_path / "made")
    with tarfile.open(folder / "cifar.tar.gz", "w:gz") as tar:
        for path in sorted((tmp_path / "made").iterdir()):
            tar.add(path, f"cifar-10-batches-py/{path.name}")
        tar.add(tmp_path / "made" / "test_batch", "../outside")
    monkeypatch.setattr(dataloader, "CIFAR10_URL", url + "cifar.tar.gz")
    monkeypatch.setattr(dataloader, "CIFAR10_SHA256", sha((folder / "cifar.tar.gz").read_bytes()))
    goal = tmp_path / "place" / "goal"
    assert len(load_cifar10(goal, download=True)) == 15
    assert len(load_cifar10(goal, train=False, download=True)) == 3
    assert sorted(path.name for path in goal.iterdir()) == sorted(
        ["cifar-10-python.tar.gz", *(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    )
    assert [path.name for path in goal.parent.iterdir()] == ["goal"]
    (folder / "cifar.tar.gz").unlink()
    assert len(load_cifar10(goal, download=True)) == 15


def test_mnist_is_downloaded_when_asked_for(
    served: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a checksum that is not compared, and a test set fetched for training."""
    url, folder = served
    files = {
        "train-images-idx3-ubyte.gz": gzip.compress(idx(np.zeros((2, 28, 28), np.uint8))),
        "train-labels-idx1-ubyte.gz": gzip.compress(idx(np.array([3, 4], np.uint8))),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    monkeypatch.setattr(dataloader, "MNIST_URL", url)
    with pytest.raises(ValueError, match="SHA-256"):
        load_mnist(tmp_path / "goal", download=True)
    monkeypatch.setattr(dataloader, "MNIST_FILES", {name: sha(content) for name, content in files.items()})
    assert load_mnist(tmp_path / "goal", download=True).tensors[1].tolist() == [3, 4]
    assert sorted(path.name for path in (tmp_path / "goal").iterdir()) == sorted(files)
