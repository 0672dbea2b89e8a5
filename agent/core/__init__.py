"""What the whole agent builds on: records, errors, clocks. Import the modules directly: some load OpenCV, and
`inspectd --help` must start without it."""
