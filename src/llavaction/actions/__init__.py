"""The words everything else speaks: vocabulary, segments, clips."""
