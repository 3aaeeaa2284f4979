"""Long pieces of work for workers: their kinds, and the RQ queues by which workers get their jobs."""
