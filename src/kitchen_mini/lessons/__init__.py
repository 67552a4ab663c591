"""How the mini model is taught: boxes, words that stand in for clips, new layers that learn to see."""
