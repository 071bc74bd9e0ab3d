from corpusmill.transforms.sources.pdf.native import Line
from corpusmill.transforms.sources.pdf.paragraphs import text_of


def page(text, top=700, pitch=14):
    """Lines of 5 points a character; an empty one is a gap, and a soft hyphen at the end is one that pdfium took off."""
    return [
        Line(t.rstrip("\xad"), 70, top - pitch * i - 10, 70 + 5 * len(t), top - pitch * i, t.endswith("\xad"))
        for i, t in enumerate(text.split("\n"))
        if t
    ]


def joined(*pages):
    return text_of([page(p) for p in pages])[0]


def test_lines_go_on_where_the_next_word_did_not_fit():
    text = "It rained all day, and nobody minded the\nweather, which was as usual at that time\nof the year."
    assert joined(text) == text.replace("\n", " ")
    code = "def f(x):\nreturn x\nprint(f(1), 'a line that is about as long')"
    assert joined(code) == code


def test_gaps_are_blank_lines_and_a_paragraph_goes_on_over_pages():
    long = "It rained all day, and nobody minded the"
    assert joined(f"A heading\n\n{long}") == f"A heading\n\n{long}"
    text, starts = text_of([page(long), page("weather of the town of course, as ever is")])
    assert text == f"{long} weather of the town of course, as ever is"
    assert [text[s:][:7] for s in starts] == ["It rain", "weather"]
    text, starts = text_of([page("The end.\n" + long + "."), [], page("A new page")])
    assert text == f"The end.\n{long}. A new page"  # nothing says that it is not the same paragraph
    assert len(starts) == 3


def test_hyphens_go_but_for_words_that_have_one_elsewhere():
    assert joined("the compu\xad\ntation of a well-\nknown sum") == "the computation of a wellknown sum"
    text = "a well-known sum, and another well-\nknown sum of the compu-\ntation"
    assert joined(text) == "a well-known sum, and another well-known sum of the computation"
    assert joined("Anglo-\nSaxon and 1990-\n1995") == "Anglo-Saxon and 1990-1995"
    assert joined("the range 10\xad\n20") == "the range 10-20"


def test_no_space_comes_between_characters_of_chinese_but_between_words_of_korean():
    def wide(text):
        return [Line(t, 70, 690 - 14 * i, 70 + 10 * len(t), 700 - 14 * i) for i, t in enumerate(text.split("\n"))]

    assert text_of([wide("今天下了一整天的雨，谁也不在\n意天气。")])[0] == "今天下了一整天的雨，谁也不在意天气。"
    assert (
        text_of([wide("오늘은 하루 종일 비가 내렸다 그\n래도 아무도")])[0]
        == "오늘은 하루 종일 비가 내렸다 그 래도 아무도"
    )


def test_leaders_end_a_line():
    assert (
        joined("1 Trees . . . . . . . . . . . . . . . 2\n1.1 Leaves. . . . . . . . . . . . . . 3")
        == "1 Trees\t2\n1.1 Leaves\t3"
    )
