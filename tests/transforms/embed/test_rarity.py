"""How rare the words of a cluster are."""

import numpy as np
import pyarrow as pa

from corpusmill.transforms.embed.rarity import places, rarity


def test_words_of_a_small_topic_cost_more_bits_and_the_order_of_texts_makes_no_difference():
    texts = pa.array(["common words here"] * 96 + ["quite other things"] * 4 + [""])
    vectors = np.zeros((101, 64), np.int8)
    vectors[:96, 0], vectors[96:100, 1] = 9, 9
    centres = np.eye(3, 64, dtype=np.int8)
    bits = rarity(texts, places(vectors, centres), len(centres))
    shares = np.log2((300 + 32768) / np.array([96.5, 4.5]))
    assert np.allclose(bits[:2], shares, atol=1 / 256)
    assert bits[0] < bits[2] < bits[1]  # a cluster without words has the bits of all texts
    order = np.random.default_rng(0).permutation(101)
    assert rarity(texts.take(pa.array(order)), places(vectors[order], centres), len(centres)).tolist() == bits.tolist()
    assert not len(rarity(texts, places(vectors, centres[:0]), 0))
