"""Edge weights, aggregation, operations, and the stage that runs a wiring."""
