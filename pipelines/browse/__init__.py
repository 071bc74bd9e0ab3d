"""The server of `corpusmill browse`: search, filter, sort and compare what a dataset holds, in a browser on this machine.

`tables` opens a snapshot's files in DuckDB, `queries` asks, `document` and `compare` show single documents and two snapshots,
`export` writes what is seen, `guard` lets in whoever has the token, and `app` joins them.
"""
