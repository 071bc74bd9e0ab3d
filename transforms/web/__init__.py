"""Steps for web pages.

`urls` and `url_duplicates` work on addresses: `address` has their normal form, `block_lists` compiled lists of domains.
`site_boilerplate` cuts what recurs on many pages of one host.

`extract` writes the main content of pages as plain text or Markdown. `page` parses with resiliparse, `blocks` cuts the repaired
HTML into blocks of text, `features` describes them by numbers, `model` tells main content from the rest by trees in
`blocks.npz`, `kinds` tells kinds of pages apart, `render` writes the blocks that stay (`markup` and
`mathml` prepare a page for Markdown), `beside` finds links and microdata.
`tags` is what these know of HTML. The trees are trained by tests/benchmarks/extract_train.py.
"""
