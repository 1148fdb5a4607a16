"""Looking at wirings and at what networks do with them: tables, pictures, reports."""
