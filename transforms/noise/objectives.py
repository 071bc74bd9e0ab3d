"""Denoising objectives as kernels on token ids: rows are values[offsets[i]:offsets[i + 1]] (int32), one key a row.

Each kernel is a pure function of (ids, keys, parameters); `corpusmill.transforms.noise.denoise` wraps them for batches.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from corpusmill.transforms.hashing import U, mix64
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.random import below, draw, uniform

IGNORED = -100
"""The label of positions without loss, as in torch and HF transformers."""


@njit(nogil=True, cache=True)
def mask_tokens(
    offsets: Any, values: Any, keys: Any, active: Any, rate: float, shares: Any, mask_id: int, vocab_size: int,
    special: Any, begins: Any,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """BERT (Devlin et al. 2019, section 3.1): (input_ids, labels, loss_mask), each aligned with `values`.

    Of the selected tokens the share shares[0] becomes mask_id, shares[1] a random id below vocab_size, the rest stays.
    special bool [*]: ids never selected. begins bool [*]: ids that begin a word, for whole-word masking; if empty, each token
    is selected on its own. Ids beyond a table are not special and begin a word.
    """
    n = len(values)
    ids, labels, loss = np.empty(n, np.int32), np.empty(n, np.int32), np.zeros(n, np.uint8)
    selected = U(rate * 4294967296.0)
    to_mask, to_random = U(shares[0] * 4294967296.0), U((shares[0] + shares[1]) * 4294967296.0)
    whole = len(begins) > 0
    for row in range(len(offsets) - 1):
        key, first = keys[row], np.int64(offsets[row])
        chosen = U(0)
        for i in range(first, offsets[row + 1]):
            token = values[i]
            d = draw(key, i - first)
            # all tokens of a word share the draw of its first
            if not whole or i == first or token >= len(begins) or begins[token]:
                chosen = d >> U(32)
            ids[i], labels[i] = token, IGNORED
            if not active[row] or chosen >= selected or (token < len(special) and special[token]):
                continue
            labels[i], loss[i] = token, 1
            e = mix64(d ^ U(0xD6E8FEB86659FD93))
            if (e >> U(32)) < to_mask:
                ids[i] = mask_id
            elif (e >> U(32)) < to_random:
                ids[i] = np.int32(((e & U(0xFFFFFFFF)) * U(vocab_size)) >> U(32))
    return ids, labels, loss


@njit(nogil=True, cache=True)
def corrupt_spans(
    offsets: Any, values: Any, keys: Any, active: Any, densities: Any, lengths: Any, modes: Any,
    first_sentinel: int, step: int, sentinels: int, eos_id: int,
) -> tuple[Any, Any, Any, Any]:  # fmt: skip
    """Span corruption (Raffel et al. 2020, section 3.1.4) and UL2's mixture of it (Tay et al. 2022, section 3.1):
    (input offsets, input_ids, target offsets, target_ids), offsets int32 [n + 1].

    Row i takes denoiser j = draw mod len(densities): noise = round(n * densities[j]) tokens in round(noise / lengths[j])
    spans, both at least 1; tokens kept and tokens lost are each cut into that many parts at random and alternate, beginning
    with kept ones. Where more spans than `sentinels` would be needed, only so many are lost, and noise shrinks with them, so
    that spans keep their mean length. lengths[j] == 0: the one span is the end of the row (UL2's S-denoiser). A span becomes the
    sentinel first_sentinel + step * number in the input; the target lists sentinels and lost tokens. modes[j] >= 0 is put before
    the input, eos_id >= 0 behind both. Rows of fewer than 2 tokens, and rows not `active`, have an empty target.
    """
    rows = len(offsets) - 1
    total = len(values)
    in_offsets, out_offsets = np.zeros(rows + 1, np.int32), np.zeros(rows + 1, np.int32)
    inputs, targets = np.empty(total + 3 * rows, np.int32), np.empty(2 * total + 2 * rows, np.int32)
    a, b = 0, 0
    for row in range(rows):
        begin = np.int64(offsets[row])
        n: Any = np.int64(offsets[row + 1] - offsets[row])
        if n < 2 or not active[row]:
            inputs[a : a + n] = values[begin : begin + n]
            a += n
            if eos_id >= 0 and n > 0 and active[row]:
                inputs[a] = eos_id
                a += 1
            in_offsets[row + 1], out_offsets[row + 1] = a, b
            continue
        key = keys[row]
        j = below(key, 0, len(densities))
        noise: Any = min(max(np.int64(np.round(n * densities[j])), 1), n - 1)
        spans: Any = 1
        if lengths[j] > 0:
            spans = max(np.int64(np.round(noise / lengths[j])), 1)
        if (
            lengths[j] > 0 and spans > sentinels
        ):  # spans of the asked length, and fewer of them, rather than longer ones
            noise = max(np.int64(np.round(sentinels * lengths[j])), 1)
        spans = min(min(spans, sentinels), min(noise, n - noise))
        if modes[j] >= 0:
            inputs[a] = modes[j]
            a += 1
        # two random partitions, each by selection sampling of its inner borders
        kept, lost = n - noise, noise
        kept_left, lost_left = spans - 1, spans - 1
        k, g = 1, 1  # tokens of each kind behind the present one, for the draws
        i: Any = begin
        for number in range(spans):
            while True:
                inputs[a] = values[i]
                a += 1
                i += 1
                border = k < kept and uniform(key, k) * (kept - k) < kept_left
                k += 1
                if border or k > kept:
                    break
            kept_left -= 1
            sentinel = first_sentinel + step * number
            inputs[a], targets[b] = sentinel, sentinel
            a += 1
            b += 1
            while True:
                targets[b] = values[i]
                b += 1
                i += 1
                border = g < lost and uniform(key, kept + g) * (lost - g) < lost_left
                g += 1
                if border or g > lost:
                    break
            lost_left -= 1
        if eos_id >= 0:
            inputs[a], targets[b] = eos_id, eos_id
            a += 1
            b += 1
        in_offsets[row + 1], out_offsets[row + 1] = a, b
    return in_offsets, inputs[:a], out_offsets, targets[:b]


@njit(nogil=True, cache=True)
def infill_spans(
    offsets: Any, values: Any, keys: Any, active: Any, rate: float, mean: float, mask_id: int, permute: bool, ends: Any
) -> tuple[Any, Any]:
    """BART (Lewis et al. 2020, section 2.2): (offsets int32 [n + 1], input_ids) of the corrupted rows; the target is the row.

    ceil(rate * n) tokens are lost in spans of Poisson(mean) tokens, each of which becomes one mask_id, and a span of none an
    added one; spans never touch. With `permute` the sentences, which end behind ids with ends[id], are put in random order
    first. Rows not `active` stay as they are.
    """
    rows = len(offsets) - 1
    longest: Any = 0
    for row in range(rows):
        longest = max(longest, offsets[row + 1] - offsets[row])
    text, borders, order = np.empty(longest, np.int32), np.empty(longest + 1, np.int64), np.empty(longest, np.int64)
    size = np.empty(2 * longest + 8, np.int64)
    out_offsets, out = np.zeros(rows + 1, np.int32), np.empty(2 * len(values) + 2 * rows + 8, np.int32)
    stop = math.exp(-mean)
    o = 0
    for row in range(rows):
        begin = np.int64(offsets[row])
        n: Any = np.int64(offsets[row + 1] - offsets[row])
        key = keys[row]
        text[:n] = values[begin : begin + n]
        if n == 0 or not active[row]:
            out[o : o + n] = text[:n]
            o += n
            out_offsets[row + 1] = o
            continue
        c = 0  # counter of draws
        if permute:
            s = 0
            borders[0] = 0
            for i in range(n):
                if i == n - 1 or (text[i] < len(ends) and ends[text[i]]):
                    order[s] = s
                    s += 1
                    borders[s] = i + 1
            for k in range(s - 1, 0, -1):
                j = below(key, c, k + 1)
                c += 1
                order[k], order[j] = order[j], order[k]
            at = 0
            for k in range(s):
                for i in range(borders[order[k]], borders[order[k] + 1]):
                    text[at] = values[begin + i]
                    at += 1
        budget: Any = min(n, np.int64(math.ceil(rate * n)))
        spans: Any = 0
        lost: Any = 0
        while lost < budget and spans < n - budget + 1:
            length, p = 0, uniform(key, c)
            c += 1
            while p > stop:
                p *= uniform(key, c)
                c += 1
                length += 1
            size[spans] = min(length, budget - lost)
            lost += size[spans]
            spans += 1
        kept = n - lost
        # the places of the spans: distinct among the kept + 1 gaps around the kept tokens, by selection sampling
        source: Any = 0
        number = 0
        for gap in range(kept + 1):
            if uniform(key, c + gap) * (kept + 1 - gap) < spans - number:
                out[o] = mask_id
                o += 1
                source += size[number]
                number += 1
            if gap < kept:
                out[o] = text[source]
                o += 1
                source += 1
        out_offsets[row + 1] = o
    return out_offsets, out[:o]


@njit(nogil=True, cache=True)
def split_prefix(offsets: Any, values: Any, keys: Any, active: Any) -> tuple[Any, Any, Any]:
    """Prefix language model (Raffel et al. 2020, section 3.2.3): (labels, loss_mask, prefix lengths int32 [rows]).

    The prefix, uniform in 1 ... n - 1 tokens, has no loss. Rows of fewer than 2 tokens, or not `active`, are all prefix.
    """
    labels, loss = np.empty(len(values), np.int32), np.zeros(len(values), np.uint8)
    lengths = np.zeros(len(offsets) - 1, np.int32)
    for row in range(len(offsets) - 1):
        begin = np.int64(offsets[row])
        n: Any = np.int64(offsets[row + 1] - offsets[row])
        lengths[row] = 1 + below(keys[row], 0, n - 1) if n > 1 and active[row] else n
        for i in range(n):
            late = i >= lengths[row]
            labels[begin + i] = values[begin + i] if late else IGNORED
            loss[begin + i] = late
    return labels, loss, lengths
