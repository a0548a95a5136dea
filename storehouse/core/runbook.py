"""Which entry of docs/runbook.md is about an error: for the end of a run, and for notices.

By the error's words, since dbt and Airflow hand on nothing else. It is for what stops a run at night; what is said of a
wrong argument or setting tells what to do itself.
"""

# The first whose words are in the message counts. A test looks for the words where they are said, and for the entry.
ENTRIES = {
    "Too many refused records": "too-many-refused-records",
    "not published: ": "the-marts-are-held-back",
    "was not free within": "a-disk-is-full-or-a-lock-is-not-free",
    "Make room there": "a-disk-is-full-or-a-lock-is-not-free",
    "The disk of ": "a-disk-is-full-or-a-lock-is-not-free",
    "configured to fail if": "a-test-failed",
}


def entry(said: str, otherwise: str) -> str:
    """The anchor of the entry about an error; `otherwise` where its words are not known."""
    return next((entry for words, entry in ENTRIES.items() if words in said), otherwise)
