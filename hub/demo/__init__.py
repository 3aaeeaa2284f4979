"""The demo on real purchases."""
