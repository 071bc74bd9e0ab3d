"""Rights: which licence a document states, and what its page reserves.

`phrases` and `gnu` know the texts of licences, `recognise` finds them in a text, `signals` reads what a page and its HTTP headers
say of robots and of text and data mining, `dep5` reads machine-readable copyright files, `rights` is the step.
"""
