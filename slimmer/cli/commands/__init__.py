"""Commands, one per file: a module here with a constant `command` is one, and is found by being here."""
