from corpusmill.transforms.sources.pdf.furniture import without_furniture
from corpusmill.transforms.sources.pdf.native import Line


def page(*texts):
    return [Line(t, 70, 700 - 20 * i, 300, 710 - 20 * i) for i, t in enumerate(texts)]


def kept(pages):
    return [[line.text for line in lines] for lines in without_furniture(pages)]


def body(i):
    """Lines that no other page has."""
    return [f"{'abcdefghijklmnopqrstuvwxyz'[i]}{word} and more" for word in ("rain", "snow", "wind", "hail", "fog")]


def test_page_numbers_go_whether_alone_roman_or_behind_a_running_head():
    heads = ["Chapter 2: Trees 1", "Chapter 2: Trees 2", "Chapter 3: Leaves 3", "Roots 4"]
    assert kept([page(head, *body(i)) for i, head in enumerate(heads)]) == [body(i) for i in range(4)]
    for feet in (("- iii -", "iv", "v"), ("7", "8", "9"), ("Page 1 of 3", "Page 2 of 3", "Page 3 of 3")):
        assert kept([page(*body(i), foot) for i, foot in enumerate(feet)]) == [body(i) for i in range(3)]
    few = [page(*body(i), f"Annual report {i}" if i in (3, 4, 5) else "so it ends") for i in range(20)]
    assert kept(few)[3:6] == [body(i) for i in (3, 4, 5)]


def test_lines_that_repeat_go_on_even_and_odd_pages():
    pages = [page("A Book" if i % 2 else "An Author", *body(i), "Confidential") for i in range(8)]
    assert kept(pages) == [body(i) for i in range(8)]


def test_numbers_of_notes_and_of_chapters_and_rows_of_figures_stay():
    pages = [page(*body(i), f"{i + 1} a note on {body(i)[0]}" if i < 3 else body(i)[0]) for i in range(20)]
    pages[4] = page("5 Of Trees", *body(4))
    assert kept(pages)[:3] == [[*body(i), f"{i + 1} a note on {body(i)[0]}"] for i in range(3)]
    assert kept(pages)[4][0] == "5 Of Trees"
    rows = [page(*body(i), f"Total 1{i * 7} 2{i * i} 4{i * 3}") for i in range(8)]
    assert [lines[-1] for lines in kept(rows)] == [f"Total 1{i * 7} 2{i * i} 4{i * 3}" for i in range(8)]


def test_a_line_behind_one_that_stays_stays():
    pages = [page(body(i)[0], "Confidential", *body(i)[1:]) for i in range(4)]
    assert kept(pages) == [[body(i)[0], "Confidential", *body(i)[1:]] for i in range(4)]


def test_short_files_and_empty_pages_are_left_alone():
    assert kept([page("Head", "a"), [], page("Head", "b")]) == [["Head", "a"], [], ["Head", "b"]]
