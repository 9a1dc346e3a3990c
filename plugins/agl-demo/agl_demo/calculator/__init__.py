"""The agent of the quick start and the tasks it learns: an ordinary tool loop that knows nothing of the trainer."""
