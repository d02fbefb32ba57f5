"""MNIST from its files to 98% of the test set, with fastnn or pytorch; ends with exit code 1 if it gets not there.

784-256-10, ReLU, mini-batches of 80, momentum 0.9, the rate falling linearly to zero; the test set is looked at after
every epoch, and the process ends as soon as 98% are right.
"""

from __future__ import annotations

import sys

SIZES = (784, 256, 10)
RATE, MOMENTUM, BATCH_SIZE, MAX_EPOCHS, GOAL = 0.15, 0.9, 80, 3, 0.98


def rate(epoch: int) -> float:
    """Learning rate of an epoch, counted from 0."""
    return RATE * (1 - epoch / MAX_EPOCHS)


def with_fastnn(quick: bool) -> float:
    """The best accuracy on the test set."""
    import fastnn
    from fastnn import datasets

    mnist = datasets.load("mnist")

    def stop_at_goal(epoch, logs):
        trainer.stop_training = quick or logs["val_accuracy"] >= GOAL

    trainer = fastnn.Trainer(
        fastnn.MLP(SIZES, seed=1),
        optimizer=fastnn.SGD(RATE, MOMENTUM),
        schedule=rate,
        batch_size=BATCH_SIZE,
        max_epochs=MAX_EPOCHS,
        verbose=0,
        callbacks=[fastnn.LambdaCallback(on_epoch_end=stop_at_goal)],
    )
    rows = slice(2_000 if quick else None)
    history = trainer.fit(mnist.X[rows], mnist.y[rows], mnist.X_test, mnist.y_test)
    return max(history["val_accuracy"])


def with_pytorch(quick: bool) -> float:
    """The best accuracy on the test set; the files are read without fastnn, whose import would take time."""
    import gzip
    import os
    from pathlib import Path

    import torch
    from torch import nn
    from torch.nn import functional

    def read(name: str, header: int) -> torch.Tensor:
        with gzip.open(next(Path(os.environ["FASTNN_DATA"]).rglob(name))) as file:
            return torch.frombuffer(bytearray(file.read()), dtype=torch.uint8)[header:]

    def part(name: str) -> tuple[torch.Tensor, torch.Tensor]:
        images = read(f"{name}-images-idx3-ubyte.gz", 16).reshape(-1, 784)
        return images.float().div_(255), read(f"{name}-labels-idx1-ubyte.gz", 8).long()

    torch.manual_seed(1)
    torch.set_flush_denormal(True)
    (X, y), (X_test, y_test) = part("train"), part("t10k")
    net = nn.Sequential(nn.Linear(SIZES[0], SIZES[1]), nn.ReLU(), nn.Linear(SIZES[1], SIZES[2]))
    nn.init.kaiming_normal_(net[0].weight, nonlinearity="relu")
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE, momentum=MOMENTUM, fused=True)
    best = 0.0
    for epoch in range(MAX_EPOCHS):
        optimizer.param_groups[0]["lr"] = rate(epoch)
        for rows in torch.randperm(2_000 if quick else len(X)).split(BATCH_SIZE):
            loss = functional.cross_entropy(net(X[rows]), y[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        with torch.inference_mode():
            best = max(best, (net(X_test).argmax(dim=1) == y_test).float().mean().item())
        if quick or best >= GOAL:
            break
    return best


def main() -> None:
    """Race, and complain on the error stream if the goal was missed."""
    quick = "--quick" in sys.argv
    accuracy = {"fastnn": with_fastnn, "pytorch": with_pytorch}[sys.argv[1]](quick)
    if accuracy < GOAL and not quick:
        sys.exit(f"only {accuracy:.2%} of the test set were right after {MAX_EPOCHS} epochs")


if __name__ == "__main__":
    main()
