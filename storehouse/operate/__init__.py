"""What a person does by a command: run a day, audit, forget a person, refresh rates, vacuum, read the summary."""
