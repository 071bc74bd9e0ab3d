"""What a snapshot holds and lacks: topics, holes, diversity, a comparison with a reference, and how it speaks of people."""
