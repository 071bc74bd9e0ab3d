"""Private synthetic text without training: a public model writes, and private documents vote.

`evolution` is the method, `votes` its private mechanism, and `note` the guarantee beside the file that comes out.
"""
