"""MNIST for real: what a training must reach on handwritten digits that it has not seen."""

from __future__ import annotations

import pytest

from fastnn import MLP, SGD, Trainer, datasets


@pytest.mark.slow
def test_five_epochs_reach_97_8_percent():
    """60,000 training and 10,000 test images; fails, and does not skip, where the files cannot be had."""
    data = datasets.load("mnist")
    assert data.X.shape == (60_000, 784)
    assert data.X_test.shape == (10_000, 784)
    net = MLP([784, 256, 64, 10], seed=0)
    trainer = Trainer(net, optimizer=SGD(0.1, momentum=0.9), schedule="cosine", batch_size=128, max_epochs=5, verbose=0)
    history = trainer.fit(data.X, data.y)
    assert trainer.evaluate(data.X_test, data.y_test)["accuracy"] >= 0.978
    losses = history["train_loss"]
    assert losses == sorted(losses, reverse=True)
