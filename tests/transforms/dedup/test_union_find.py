import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.transforms.dedup._union_find import join, roots


def components(n: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    parent = np.arange(n)
    join(parent, a, b)
    return roots(parent)


def test_a_chain_of_a_million_is_one_component_without_recursion() -> None:
    n = 1_000_000
    a = np.arange(n - 1)
    assert components(n, a, a + 1).max() == 0
    assert components(n, a[::-1].copy(), (a + 1)[::-1].copy()).max() == 0


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=60), st.randoms())
def test_components_are_the_smallest_reachable_node_in_any_order_of_edges(edges: list, random: object) -> None:
    def solve(edges: list) -> list[int]:
        a = np.array([x for x, _ in edges], np.int64)
        b = np.array([y for _, y in edges], np.int64)
        return components(31, a, b).tolist()

    expected = list(range(31))
    for _ in range(31):
        for a, b in edges:
            expected[a] = expected[b] = min(expected[a], expected[b])
    assert solve(edges) == expected
    random.shuffle(edges)  # type: ignore[attr-defined]
    assert solve(edges) == expected
