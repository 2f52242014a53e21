"""Write tinytorch/datasets/digits.npz from scikit-learn's copy of the UCI digits, in a fixed random order.

python3.11 -m venv sk && sk/bin/pip install scikit-learn numpy && sk/bin/python modules/05_dataloader/make_digits.py

The order is part of the file: the first 1,437 scans are for training, the last 360 for testing, whatever NumPy's
random numbers will be one day. scikit-learn's own order goes by writers, so its end is no fair sample.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

SOURCE = (
    "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits (test part), "
    "UCI Machine Learning Repository, 1998, doi:10.24432/C50P49, CC BY 4.0; taken from scikit-learn"
)
TARGET = Path(__file__).parents[2] / "tinytorch" / "datasets" / "digits.npz"


def main() -> None:
    """Shuffle once and for all, and write."""
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    images, labels = digits.images[order].astype(np.uint8), digits.target[order].astype(np.uint8)
    assert np.array_equal(images, digits.images[order]) and images.max() == 16
    TARGET.parent.mkdir(exist_ok=True)
    np.savez_compressed(TARGET, images=images, labels=labels, source=np.array(SOURCE))
    print(f"{TARGET}: {len(images)} scans, {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
