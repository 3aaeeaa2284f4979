"""`hub doctor`: is everything there that a hub needs, and does it work? Looks, and changes nothing."""
