"""Imports: the rows of a file, a table or another topic onto events.v1, each once, from where it was interrupted."""
