"""Multiple-choice questions: schema, miners, filters, text pools, builder, audit, prompts."""
