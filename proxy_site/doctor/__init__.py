"""The checks of `manage.py doctor`: each is a small function that returns a finding with its next step.

run.py has their order. It runs before Django, because it is to report a missing package and a setting that
cannot be read.

Imports accounts, data_dir, demo, environment, gateway, operation, serving
and version.
"""
