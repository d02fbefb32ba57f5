"""FLOOR 4: the embedded real digits: 1,797 images of 8 x 8 from scikit-learn, no download.

Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits (UCI, 1998), its test part.
"""

from __future__ import annotations

import numpy as np

from fastnn.datasets.dataset import Dataset


def load_digits() -> Dataset:
    """Return 1,347 training and 450 test samples of 64 uint8 features in 0..16, `input_scale` 1/16.

    The split is stratified by class and always the same.
    """
    from sklearn.datasets import load_digits as load
    from sklearn.model_selection import train_test_split

    X, y = load(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X.astype(np.uint8), y.astype(np.int64), test_size=0.25, stratify=y, random_state=0
    )
    return Dataset("digits", X_train, y_train, X_test, y_test, image_shape=(8, 8), input_scale=1 / 16)
