"""The distribution has tests of its own; test_third_party.py runs them where it is installed."""

collect_ignore = ["hwnas-numpy"]
