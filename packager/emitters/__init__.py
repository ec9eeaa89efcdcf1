"""The forms in which people use a job's configuration: `forms` has them all."""
