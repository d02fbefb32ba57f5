"""FLOOR 1: the head: output link with its loss, and the delta of the logits, on one row.

To add a head: an entry in HEADS of ops.codes, a branch in `link` (if the link is new) and one in `loss_and_delta`.
"""

from __future__ import annotations

from fastnn._jit import piece
from fastnn.ops.approx import exp, log, logistic
from fastnn.ops.codes import HEADS, OUTPUTS
from fastnn.simd.scalar import constant

_SOFTMAX, _LOGISTIC, _IDENTITY = OUTPUTS.values()
_SOFTMAX_CE, _LOGISTIC_CE, _IDENTITY_MSE, _LOGISTIC_MSE, _SOFTMAX_MSE = HEADS.values()
_zero, _half, _one = constant(0.0), constant(0.5), constant(1.0)


@piece
def link(output, n, z, a):
    """a = outputs of the n logits in z; both are padded to whole units, and the padding of a is overwritten.

    Softmax returns log(sum(exp(z))), from which the loss is computed without loss of digits; the others 0.
    """
    log_sum = _zero(z[0])
    if output == _SOFTMAX:
        top = z[0]
        for i in range(1, n):
            top = top if z[i] < top else z[i]
        for i in range(z.shape[0]):
            a[i] = exp(z[i] - top)
        total = _zero(z[0])
        for i in range(n):
            total += a[i]
        share = _one(z[0]) / total
        for i in range(z.shape[0]):
            a[i] *= share
        log_sum = top + log(total)
    elif output == _LOGISTIC:
        for i in range(z.shape[0]):
            a[i] = logistic(z[i])
    else:
        for i in range(z.shape[0]):
            a[i] = z[i]
    return log_sum


@piece
def loss_and_delta(head, n, z, a, log_sum, y, delta):
    """Loss of one row with targets y, and delta = d(loss)/dz; all (n,) or longer.

    mse is half the summed squared error. The targets of softmax sum to one.
    """
    loss = _zero(z[0])
    if head == _SOFTMAX_CE:
        for i in range(n):
            loss += y[i] * (log_sum - z[i])
            delta[i] = a[i] - y[i]
    elif head == _LOGISTIC_CE:
        # -y log(a) - (1 - y) log(1 - a) = max(z, 0) - z y + log(1 + exp(-|z|))
        for i in range(n):
            positive = _zero(z[0]) if z[i] < _zero(z[0]) else z[i]
            loss += positive - z[i] * y[i] + log(_one(z[0]) + exp(-abs(z[i])))
            delta[i] = a[i] - y[i]
    else:
        for i in range(n):
            delta[i] = a[i] - y[i]
            loss += _half(z[0]) * delta[i] * delta[i]
        if head == _LOGISTIC_MSE:
            for i in range(n):
                delta[i] *= a[i] * (_one(z[0]) - a[i])
        elif head == _SOFTMAX_MSE:
            mean = _zero(z[0])
            for i in range(n):
                mean += a[i] * delta[i]
            for i in range(n):
                delta[i] = a[i] * (delta[i] - mean)
    return loss
