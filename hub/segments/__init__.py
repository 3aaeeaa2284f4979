"""
Segments over time: who is due for another look, back-fills, a second opinion, sizes, previews.

Nothing here says who is in a segment. It asks the owner of a profile to look again (`hub.pipeline.requests`), and the
owner's answer is the only one: so no verdict of here can cross with an event.
"""
