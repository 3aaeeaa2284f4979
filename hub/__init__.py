"""ThamesThrive Hub: takes events in, keeps every one of them, keeps one profile per customer."""
