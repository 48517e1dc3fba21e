"""The worker: a supervisor, a template that imports the tasks, and children that run them."""
