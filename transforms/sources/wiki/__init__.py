"""Dumps of MediaWiki: `dump` finds pages in the XML, `markup` makes text of wikitext, with `blocks` (tags whose content is no
wikitext), `templates`, `links` and `tables`."""
