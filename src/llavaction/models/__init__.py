"""Models: what is trained, what is converted, and the tiny random ones that tests and the demo run on."""
