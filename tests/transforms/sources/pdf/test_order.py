import random

from corpusmill.transforms.sources.pdf.native import Line
from corpusmill.transforms.sources.pdf.order import in_order


def line(text, left, top, width=200.0, height=10.0):
    return Line(text, left, top - height, left + width, top)


LEFT = [line(f"left {i}", 70, 700 - 14 * i) for i in range(10)]
RIGHT = [line(f"right {i}", 320, 700 - 14 * i) for i in range(10)]
TITLE = line("a title across both columns", 70, 760, 450)


def texts(lines):
    return [each.text for each in lines]


def test_the_order_of_drawing_stands_where_columns_go_down():
    assert texts(in_order([TITLE, *LEFT, *RIGHT])) == texts([TITLE, *LEFT, *RIGHT])
    assert texts(in_order([TITLE, *RIGHT, *LEFT])) == texts([TITLE, *RIGHT, *LEFT])


def test_lines_drawn_at_random_are_read_column_by_column():
    drawn = [TITLE, *LEFT, *RIGHT]
    random.Random(0).shuffle(drawn)
    assert texts(in_order(drawn)) == texts([TITLE, *LEFT, *RIGHT])


def test_headings_between_columns_divide_them():
    middle = line("a heading across both columns", 70, 540, 450)
    left = [line(f"lower left {i}", 70, 500 - 14 * i) for i in range(6)]
    right = [line(f"lower right {i}", 320, 500 - 14 * i) for i in range(6)]
    drawn = [TITLE, *LEFT, *RIGHT, middle, *left, *right]
    shuffled = drawn[:]
    random.Random(1).shuffle(shuffled)
    assert texts(in_order(shuffled)) == texts(drawn)


def test_exponents_and_pieces_of_a_line_are_put_together():
    parts = [line("the area x", 70, 700, 50), line("2", 120, 704, 4, 7), line("is known", 128, 700, 40)]
    assert texts(in_order(parts)) == ["the area x2 is known"]
    assert texts(in_order([LEFT[0], RIGHT[0]])) == ["left 0", "right 0"]


def test_no_line_is_lost_or_doubled_whatever_the_boxes():
    rng = random.Random(2)
    for _ in range(200):
        drawn = [
            line(f"w{i}", rng.uniform(-50, 600), rng.uniform(-50, 900), rng.uniform(0, 500), rng.uniform(0, 40))
            for i in range(rng.randrange(1, 40))
        ]
        words = " ".join(texts(in_order(drawn))).replace("w", " w").split()
        assert sorted(words) == sorted(each.text for each in drawn)
