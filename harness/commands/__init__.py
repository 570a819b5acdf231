"""The commands, by families; each module imports what is heavy where it is used."""
