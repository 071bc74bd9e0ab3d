"""Templates of instruction tuning: which one a document gets, what it makes of it, and what is no template."""

import pytest

from corpusmill.training.finetune.templates import DEFAULT, Template, load, render
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.random import Keyed

RNG = Keyed(1, "templates")


def test_columns_stand_where_they_are_named_and_braces_can_be_written():
    made = Template(prompt="{a} {{b}} {a}", answer="{c}!")
    assert made.render({"a": "1{c}", "c": 2, "other": "x"}) == ("1{c} {b} 1{c}", "2!")


@pytest.mark.parametrize("values", [{"instruction": "Add.", "input": None}, {"instruction": "Add.", "input": ""}])
def test_an_empty_input_needs_no_place(values):
    assert render(DEFAULT, values | {"output": "2"}, RNG) == ("Add.\n\n", "2")


def test_a_null_is_an_empty_text_and_no_word():
    template = (Template(prompt="Q: {instruction} {context}\n"),)
    assert render(template, {"instruction": "x", "context": None, "output": None}, RNG) == ("Q: x \n", "")


def test_of_several_the_one_with_most_needs_that_are_met_and_then_one_drawn_by_id():
    kinds = (
        Template(prompt="plain"),
        Template(prompt="one", needs=("a",)),
        Template(prompt="two", needs=("a", "b")),
        Template(prompt="2", needs=("b", "a")),
    )
    assert render(kinds, {"id": "x", "output": ""}, RNG)[0] == "plain"
    assert render(kinds, {"id": "x", "a": "y", "b": "", "output": ""}, RNG)[0] == "one"
    drawn = [render(kinds, {"id": str(i), "a": 1, "b": 1, "output": ""}, RNG)[0] for i in range(40)]
    assert set(drawn) == {"two", "2"}
    assert drawn == [render(kinds, {"id": str(i), "a": 1, "b": 1, "output": ""}, RNG)[0] for i in range(40)]
    other = [render(kinds, {"id": str(i), "a": 1, "b": 1, "output": ""}, Keyed(2, "templates"))[0] for i in range(40)]
    assert other != drawn


def test_what_a_document_lacks_is_said_with_its_id():
    with pytest.raises(RecipeError, match=r"document d7: no template's needs are met\. Add one without `needs`"):
        render((Template(prompt="x", needs=("a",)),), {"id": "d7", "a": ""}, RNG)
    with pytest.raises(RecipeError, match=r"document d7: has no column 'instruction' that its template names"):
        render(DEFAULT, {"id": "d7", "output": "x"}, RNG)


@pytest.mark.parametrize(
    "text",
    [
        '- {prompt: "{a.b}"}', '- {prompt: "{a[0]}"}', '- {prompt: "{a!r}"}', '- {prompt: "{a:>9}"}', '- {prompt: "{}"}',
        '- {prompt: "{a"}', '- {prompt: "a}"}', "- {answer: x}", "- {prompt: x, more: y}", "- {prompt: x, needs: a}", "prompt: x",
        "- [", "",
    ],
)  # fmt: skip
def test_what_is_no_template_is_told_by_its_file(tmp_path, text):
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(RecipeError, match=r"t\.yaml: is not a list of templates with `prompt` and `answer`: ."):
        load(tmp_path / "t.yaml")


def test_files_of_templates(tmp_path):
    assert load(None) == DEFAULT
    (tmp_path / "t.yaml").write_text('- {prompt: "问: {instruction}\\n答: "}\n- {prompt: x, answer: y, needs: [z]}\n')
    first, second = load(tmp_path / "t.yaml")
    assert first.render({"instruction": "你好", "output": "好"}) == ("问: 你好\n答: ", "好")
    assert (second.answer, second.needs) == ("y", ("z",))
    with pytest.raises(
        RecipeError, match=r"none\.yaml: cannot be read \(No such file or directory\)\. Correct objective"
    ):
        load(tmp_path / "none.yaml")
