"""What everything else stands on: settings, errors, connections to databases and stores, running dbt.

It imports nothing else of this project, and needs no wheel of the embedded server.
"""
