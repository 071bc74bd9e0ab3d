"""`clean`: one Unicode form, mended mojibake, tidy white space, Markdown or HTML turned into text."""
