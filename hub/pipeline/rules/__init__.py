"""
What happens to an event before anything is made of it, a module a step, in this order; docs/rules.md.

`filters` and `validators` decide whether it goes on, `compliance` takes out what may not be kept, `reshapers` bring it
into shape, `enrichment` adds what its request and its context tell. `steps` joins them. Pure.
"""
