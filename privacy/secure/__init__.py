"""Several owners compute together: deduplicate, count, mix, score, fine-tune and average models without showing text.

`settings` are job.yaml and party.yaml, `node` runs a party's part, `connection`, `wire` and `certificates` carry typed numbers
over TLS, `agreement` makes parties agree on a job. The protocols: `intersection` and `dedup`, `aggregation` and `rounds` (masked
sums), `homomorphic` (encrypted sums and scores), `counts`, `scoring`, `federated`, `average`.
"""
