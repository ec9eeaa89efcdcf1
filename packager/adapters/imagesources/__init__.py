"""Where images are that are no files: an engine, a registry. Each gives as little as is needed."""
