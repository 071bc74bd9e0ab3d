"""`redact`: personal data out of text. `detect` finds candidates with patterns, `checksums` confirms card and account numbers,
`keys` and `names` make pseudonyms, `splice` replaces spans.
"""
