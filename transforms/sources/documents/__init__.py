"""Formats of one document a file, beside PDF: what their modules in `formats/` have in common, and the parsers of each."""
