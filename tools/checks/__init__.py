"""The repository's own audits: each function returns a list of complaints, empty when all is well."""
