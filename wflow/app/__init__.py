"""What a person runs: the command line, verify, reports. The only part of wflow that imports solvers."""
