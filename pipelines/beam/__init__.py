"""Our transforms for people who write Beam pipelines of their own, in Python or in Beam's YAML."""
