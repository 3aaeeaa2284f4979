"""The RQ workers: one library for all queues. `worker.py` does jobs, `tasks.py` does tasks slice by slice."""
