"""Web archives (WARC, ISO 28500).

`frames` decompresses by `codecs` and knows where each byte comes from, and `stream` joins the frames. `records` cuts the stream
into records and finds the next one behind damage. `bodies` takes HTTP's transfer and content encodings off, and `pages` makes rows
of records.
"""
