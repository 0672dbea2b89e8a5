"""The ground floor: records, errors, clocks. Import its modules: some load OpenCV; `inspectd --help` does without."""
