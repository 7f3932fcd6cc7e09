"""Static archives: what a linker takes from them, and the proof that it takes the same from a slimmed one."""
