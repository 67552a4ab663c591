"""How a run starts, dies and goes on: its folder, what it is known by, its lock, its journal, its loop."""
