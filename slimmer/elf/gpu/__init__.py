"""GPU code in shared libraries: what is in it, what a GPU needs of it, and the library without the rest."""
