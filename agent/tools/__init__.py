"""What the command line does without a running agent. Import its modules: each loads its own libraries."""
