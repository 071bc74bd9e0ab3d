"""`mix`: a mixture of domains by weights, temperature or unimax. `epochs` counts how often each document is read, `learn` fits
weights from small proxy runs.
"""
