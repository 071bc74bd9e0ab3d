"""Formats of one document a file, beside PDF: what their modules in `formats/` have in common, and the parsers of each.

`whole` reads a file at once, `container` opens ZIP files of XML, `epub_text` and `docx_text` write such documents as Markdown,
`source_code` tells what a source file's name and text say of it.
"""
