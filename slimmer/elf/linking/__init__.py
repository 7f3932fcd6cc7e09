"""What binds to what, as the dynamic linker finds it: before and after a change."""
