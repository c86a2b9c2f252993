"""The methods: one file a method, one way each to move a measure forward in time."""
