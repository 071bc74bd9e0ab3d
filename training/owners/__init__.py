"""One owner's part in what several owners do together: `federated` fine-tunes, `average` averages finished models, and
`private_scores` scores documents with a model that its owner keeps to himself.

The protocols are in `corpusmill.privacy.secure`; these modules join them to models, data and checkpoints. Each is called by a verb
of `corpusmill secure` or `corpusmill privacy`.
"""
