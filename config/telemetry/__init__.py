"""What processes tell of themselves beside logs: where in which trace they are, spans, and figures. A room that any other may use."""
