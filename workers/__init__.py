"""Workers: thin shells of agents and jobs around pure functions of the hub."""
