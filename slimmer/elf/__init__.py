"""ELF objects: what they say, how dead file ranges leave them, and the proof that nothing else changed."""
