import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.privacy.secure.shamir import PRIME, join, split
from corpusmill.transforms.errors import ProtocolError
from tests.privacy.secure.uniform import is_uniform


@given(st.binary(min_size=32, max_size=32), st.integers(1, 5), st.integers(0, 3))
@settings(max_examples=30)
def test_any_t_shares_give_the_secret(secret, threshold, more):
    shares = split(secret, threshold, threshold + more)
    for chosen in itertools.combinations(range(len(shares)), threshold):
        assert join({i + 1: shares[i] for i in chosen}, threshold) == secret


def test_fewer_shares_and_shares_of_two_secrets_are_refused():
    a, b = split(bytes(32), 3, 5), split(bytes([255] * 32), 3, 5)
    with pytest.raises(ProtocolError, match="fewer than the 3"):
        join({1: a[0], 2: a[1]}, 3)
    with pytest.raises(ProtocolError, match="do not belong together"):
        join({1: a[0], 2: a[1], 3: b[2]}, 3)
    with pytest.raises(ProtocolError, match="cannot be cut"):
        split(bytes(32), 4, 3)


def test_one_share_of_two_says_nothing():
    # the share of x = 1 is the secret plus a uniform number: its bytes are uniform whatever the secret is
    shares = np.stack([split(bytes(32), 2, 2)[0] for _ in range(400)])[:, :64]
    assert is_uniform(shares)
    assert PRIME == 2**521 - 1
